-- Apart from the migration that adds them, so that reading the rows happens under a lock that lets others write.
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_standard_hours_check;
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_working_hours_check;
ALTER TABLE tenants ADD COLUMN raw_intake_days integer NOT NULL DEFAULT 90;
COMMENT ON COLUMN tenants.raw_intake_days IS 'For how many days what arrived is kept raw once it is accepted; what waits is kept.';
ALTER TABLE lead_sources ADD COLUMN kind text NOT NULL DEFAULT 'offline';
ALTER TABLE lead_sources ADD COLUMN sealed_previous_secret bytea;
ALTER TABLE lead_sources ADD COLUMN previous_secret_until timestamptz;
COMMENT ON COLUMN lead_sources.kind IS 'online, offline or internal; by the channel unless it was set.';
COMMENT ON COLUMN lead_sources.sealed_previous_secret IS 'The secret before a rotation, good until previous_secret_until by real time.';
UPDATE lead_sources SET kind = 'online' WHERE channel IN ('web', 'ads', 'webinar');
UPDATE lead_sources SET kind = 'internal' WHERE channel = 'existing_customer';
-- In the run's one transaction nothing can be built concurrently; the column is empty as yet.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX lead_sources_previous_secret_idx ON lead_sources (previous_secret_until) WHERE previous_secret_until IS NOT NULL;
ALTER TABLE intakes ADD COLUMN is_remembered boolean NOT NULL DEFAULT true;
ALTER TABLE intakes ADD COLUMN body_hash bytea;
ALTER TABLE intakes ADD COLUMN raw_expired_at timestamptz;
COMMENT ON COLUMN intakes.is_remembered IS 'Whether its delivery id alone tells a repetition: for seven days, and while it waits; by real time.';
COMMENT ON COLUMN intakes.body_hash IS 'SHA-256 of the bytes as they came: later the id tells a repetition together with it.';
COMMENT ON COLUMN intakes.raw_expired_at IS 'When the raw delivery was emptied, by real time.';
-- The index below stands in its place, for what is remembered.
-- squawk-ignore ban-drop-constraint
ALTER TABLE intakes DROP CONSTRAINT intakes_delivery_key;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX intakes_delivery_key ON intakes (tenant_id, source_id, delivery_id) WHERE is_remembered;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX intakes_forgotten_idx ON intakes (tenant_id, source_id, delivery_id) WHERE NOT is_remembered;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX intakes_remembered_idx ON intakes (received_at) WHERE is_remembered AND status = 'accepted';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX intakes_raw_idx ON intakes (tenant_id, received_at) WHERE raw_expired_at IS NULL AND status = 'accepted';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX intakes_waiting_idx ON intakes (tenant_id, id) WHERE status = 'rejected';
CREATE TABLE campaigns (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    source_id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    starts_on date,
    ends_on date,
    budget numeric(20,4),
    currency text,
    description text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT campaigns_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT campaigns_key_key UNIQUE (tenant_id, key),
    CONSTRAINT campaigns_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT campaigns_source_fkey FOREIGN KEY (tenant_id, source_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT campaigns_ends_on_check CHECK (ends_on IS NULL OR starts_on IS NULL OR ends_on >= starts_on),
    CONSTRAINT campaigns_budget_check CHECK (budget IS NULL OR (budget >= 0 AND currency IS NOT NULL))
);
SELECT place('campaigns', 'tenant');
CREATE INDEX campaigns_source_idx ON campaigns (tenant_id, source_id);
COMMENT ON TABLE campaigns IS 'Something that a channel does to win leads, for a time and a budget.';
CREATE TABLE campaign_costs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    cost_on date NOT NULL,
    amount numeric(20,4) NOT NULL,
    currency text NOT NULL,
    note text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT campaign_costs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT campaign_costs_campaign_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id),
    CONSTRAINT campaign_costs_amount_check CHECK (amount >= 0)
);
SELECT place('campaign_costs', 'tenant');
CREATE INDEX campaign_costs_campaign_idx ON campaign_costs (tenant_id, campaign_id, cost_on);
COMMENT ON TABLE campaign_costs IS 'What a campaign cost, day by day, in the currency in which it was paid.';
CREATE TABLE lead_campaigns (
    tenant_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    CONSTRAINT lead_campaigns_pkey PRIMARY KEY (tenant_id, lead_id),
    -- Looked at when the transaction ends: it is noted in the same one, before the lead's row is written.
    CONSTRAINT lead_campaigns_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT lead_campaigns_campaign_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id)
);
SELECT place('lead_campaigns', 'tenant');
CREATE INDEX lead_campaigns_campaign_idx ON lead_campaigns (tenant_id, campaign_id, lead_id);
COMMENT ON TABLE lead_campaigns IS 'The campaign that won a lead.';
