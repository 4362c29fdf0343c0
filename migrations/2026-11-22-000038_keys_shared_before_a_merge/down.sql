ALTER TABLE merges DROP COLUMN shared_keys;
