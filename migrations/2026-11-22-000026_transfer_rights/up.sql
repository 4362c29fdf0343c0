ALTER TABLE transfer_files ADD COLUMN headings jsonb;
ALTER TABLE transfer_files ADD COLUMN rights jsonb;
COMMENT ON COLUMN transfer_files.headings IS 'Of a file of lines that was sent in: the members of all of them, as they first occur.';
COMMENT ON COLUMN transfer_files.rights IS 'Of an export: the permissions and teams that it was made with; who fetches it must have no less.';
ALTER TABLE merge_moves ADD COLUMN was jsonb;
COMMENT ON COLUMN merge_moves.was IS 'What the row said before, where the merge changed more than the record that it names.';
-- What is set aside already comes back too.
INSERT INTO timers (tenant_id, id, kind, subject_kind, subject_id, due_at)
SELECT r.tenant_id, gen_random_uuid(), 'duplicate_review_due', 'duplicate_review', r.id, r.later_until::timestamp AT TIME ZONE c.time_zone
FROM duplicate_reviews r JOIN tenants c ON c.tenant_id = r.tenant_id WHERE r.status = 'later' AND r.later_until IS NOT NULL;
