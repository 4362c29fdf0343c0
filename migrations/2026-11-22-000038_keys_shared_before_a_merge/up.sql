ALTER TABLE merges ADD COLUMN shared_keys jsonb;
COMMENT ON COLUMN merges.shared_keys IS 'Keys that several of the records had before, by kind; NULL where the merge did not note them.';
