ALTER TABLE lead_signals DROP COLUMN last_inquiry;
ALTER TABLE lead_signals DROP COLUMN last_inquired_at;
