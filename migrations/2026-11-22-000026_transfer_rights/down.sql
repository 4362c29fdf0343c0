DELETE FROM timers WHERE kind = 'duplicate_review_due';
DELETE FROM merge_moves WHERE link IN ('duplicate_reviews.record_id', 'duplicate_reviews.status');
ALTER TABLE merge_moves DROP COLUMN was;
ALTER TABLE transfer_files DROP COLUMN rights;
ALTER TABLE transfer_files DROP COLUMN headings;
