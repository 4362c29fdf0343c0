DROP TABLE fills;
ALTER TABLE opportunities DROP COLUMN stage_due_at;
