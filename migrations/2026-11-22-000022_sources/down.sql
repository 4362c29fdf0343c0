DROP TABLE lead_campaigns;
DROP TABLE campaign_costs;
DROP TABLE campaigns;
DROP INDEX intakes_waiting_idx;
DROP INDEX intakes_raw_idx;
DROP INDEX intakes_remembered_idx;
DROP INDEX intakes_forgotten_idx;
DROP INDEX intakes_delivery_key;
-- An id that was forgotten may have come again since.
UPDATE intakes SET delivery_id = left(delivery_id, 200) || ' ' || id WHERE NOT is_remembered;
ALTER TABLE intakes ADD CONSTRAINT intakes_delivery_key UNIQUE (tenant_id, source_id, delivery_id);
ALTER TABLE intakes DROP COLUMN raw_expired_at;
ALTER TABLE intakes DROP COLUMN body_hash;
ALTER TABLE intakes DROP COLUMN is_remembered;
DROP INDEX lead_sources_previous_secret_idx;
ALTER TABLE lead_sources DROP COLUMN previous_secret_until;
ALTER TABLE lead_sources DROP COLUMN sealed_previous_secret;
ALTER TABLE lead_sources DROP COLUMN kind;
ALTER TABLE tenants DROP COLUMN raw_intake_days;
