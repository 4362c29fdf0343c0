ALTER TABLE job_errors ADD COLUMN is_warning boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN job_errors.is_warning IS 'The row was taken all the same.';
-- Until now their text alone told.
UPDATE job_errors SET is_warning = true, message_en = regexp_replace(message_en, '^warning: ', ''), message_zh = regexp_replace(message_zh, '^警告:', '')
WHERE message_en LIKE 'warning: %' AND message_zh LIKE '警告:%';
