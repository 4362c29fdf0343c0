UPDATE job_errors SET message_en = 'warning: ' || message_en, message_zh = '警告:' || message_zh WHERE is_warning;
ALTER TABLE job_errors DROP COLUMN is_warning;
