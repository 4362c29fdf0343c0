-- When somebody whose lead this is inquired anew, and what they said then: lists are filtered by the one, the owner reads
-- the other where the lead stands.
ALTER TABLE lead_signals ADD COLUMN last_inquired_at timestamptz;
ALTER TABLE lead_signals ADD COLUMN last_inquiry jsonb;
COMMENT ON COLUMN lead_signals.last_inquired_at IS 'When a source last delivered the same person again.';
COMMENT ON COLUMN lead_signals.last_inquiry IS 'What that delivery said otherwise than the lead did, with its intake and source.';
