CREATE TABLE pool_settings (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    most_held integer,
    most_claimed_daily integer,
    cool_down_days integer NOT NULL,
    takes_unassigned boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pool_settings_pkey PRIMARY KEY (tenant_id, record_kind),
    CONSTRAINT pool_settings_record_kind_check CHECK (record_kind IN ('account', 'lead')),
    CONSTRAINT pool_settings_most_held_check CHECK (most_held >= 0),
    CONSTRAINT pool_settings_most_claimed_daily_check CHECK (most_claimed_daily >= 0),
    CONSTRAINT pool_settings_cool_down_days_check CHECK (cool_down_days BETWEEN 0 AND 3650)
);
SELECT place('pool_settings', 'tenant');
COMMENT ON TABLE pool_settings IS 'Quotas and cool-down of claiming; a company without a row has the defaults of the code.';
COMMENT ON COLUMN pool_settings.most_held IS 'NULL: no limit.';
COMMENT ON COLUMN pool_settings.takes_unassigned IS 'Whether a lead that comes without an owner is in the pool at once.';
CREATE TABLE pool_rules (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_kind text NOT NULL,
    name text NOT NULL,
    position integer NOT NULL,
    grade text,
    segment text,
    source_id uuid,
    no_follow_up_days integer,
    no_opportunity_days integer,
    warning_days integer NOT NULL DEFAULT 0,
    is_active boolean NOT NULL DEFAULT true,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT pool_rules_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pool_rules_source_fkey FOREIGN KEY (tenant_id, source_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT pool_rules_record_kind_check CHECK (record_kind IN ('account', 'lead')),
    CONSTRAINT pool_rules_grade_check CHECK (grade IN ('a', 'b', 'c')),
    CONSTRAINT pool_rules_no_follow_up_days_check CHECK (no_follow_up_days > 0),
    CONSTRAINT pool_rules_no_opportunity_days_check CHECK (no_opportunity_days > 0),
    CONSTRAINT pool_rules_warning_days_check CHECK (warning_days >= 0 AND warning_days < coalesce(least(no_follow_up_days, no_opportunity_days), 1))
);
SELECT place('pool_rules', 'tenant');
CREATE INDEX pool_rules_position_idx ON pool_rules (tenant_id, record_kind, position, id);
CREATE INDEX pool_rules_source_idx ON pool_rules (tenant_id, source_id);
COMMENT ON TABLE pool_rules IS 'When a record that nobody tends goes to the pool: of the active rules of a kind, the first by position that applies decides.';
COMMENT ON COLUMN pool_rules.no_follow_up_days IS 'Whole local days without a follow-up; with neither number the rule keeps what it applies to.';
CREATE TABLE pool_stays (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    why text NOT NULL,
    reason text,
    last_owner_id uuid,
    held_since timestamptz,
    rule_id uuid,
    since timestamptz NOT NULL,
    put_by uuid,
    ended_at timestamptz,
    ended_how text,
    taken_by uuid,
    CONSTRAINT pool_stays_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pool_stays_last_owner_fkey FOREIGN KEY (tenant_id, last_owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT pool_stays_taken_by_fkey FOREIGN KEY (tenant_id, taken_by) REFERENCES users (tenant_id, id),
    CONSTRAINT pool_stays_rule_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES pool_rules (tenant_id, id),
    CONSTRAINT pool_stays_record_kind_check CHECK (record_kind IN ('account', 'lead')),
    CONSTRAINT pool_stays_why_check CHECK (why IN ('released', 'recycled', 'never_owned', 'handed_over')),
    CONSTRAINT pool_stays_ended_how_check CHECK (ended_how IN ('claimed', 'assigned', 'undone', 'archived', 'merged', 'converted')),
    CONSTRAINT pool_stays_ended_check CHECK ((ended_at IS NULL) = (ended_how IS NULL))
);
SELECT place('pool_stays', 'tenant');
CREATE UNIQUE INDEX pool_stays_record_key ON pool_stays (tenant_id, record_kind, record_id) WHERE ended_at IS NULL;
CREATE INDEX pool_stays_since_idx ON pool_stays (tenant_id, record_kind, since DESC, record_id DESC) WHERE ended_at IS NULL;
CREATE INDEX pool_stays_record_idx ON pool_stays (tenant_id, record_kind, record_id, since DESC);
CREATE INDEX pool_stays_last_owner_idx ON pool_stays (tenant_id, last_owner_id);
CREATE INDEX pool_stays_taken_by_idx ON pool_stays (tenant_id, taken_by);
CREATE INDEX pool_stays_rule_idx ON pool_stays (tenant_id, rule_id);
COMMENT ON TABLE pool_stays IS 'The stays of records in the public pool; one without an end is the present one.';
COMMENT ON COLUMN pool_stays.held_since IS 'Since when the last owner had it, where that is known: taking a release back does not begin it anew.';
CREATE TABLE pool_cool_downs (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    user_id uuid NOT NULL,
    lost_at timestamptz NOT NULL,
    CONSTRAINT pool_cool_downs_pkey PRIMARY KEY (tenant_id, record_kind, record_id, user_id),
    CONSTRAINT pool_cool_downs_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT pool_cool_downs_record_kind_check CHECK (record_kind IN ('account', 'lead'))
);
SELECT place('pool_cool_downs', 'tenant');
CREATE INDEX pool_cool_downs_user_idx ON pool_cool_downs (tenant_id, user_id);
COMMENT ON TABLE pool_cool_downs IS 'Who last lost a record to the pool when: for a while they cannot claim it, whoever else had it meanwhile.';
CREATE TABLE pool_claimants (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    record_kind text NOT NULL,
    claimed_on date NOT NULL,
    claimed_count integer NOT NULL,
    CONSTRAINT pool_claimants_pkey PRIMARY KEY (tenant_id, user_id, record_kind),
    CONSTRAINT pool_claimants_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT pool_claimants_record_kind_check CHECK (record_kind IN ('account', 'lead'))
);
SELECT place('pool_claimants', 'tenant');
COMMENT ON TABLE pool_claimants IS 'How many a person claimed on the last local day on which they claimed any; its row is what two claims of one person wait for.';
CREATE TABLE pool_clocks (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    owner_id uuid,
    owned_since timestamptz,
    followed_up_at timestamptz,
    rule_id uuid,
    due_on date,
    warned_on date,
    look_on date,
    CONSTRAINT pool_clocks_pkey PRIMARY KEY (tenant_id, record_kind, record_id),
    CONSTRAINT pool_clocks_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT pool_clocks_rule_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES pool_rules (tenant_id, id),
    CONSTRAINT pool_clocks_record_kind_check CHECK (record_kind IN ('account', 'lead')),
    CONSTRAINT pool_clocks_owned_check CHECK ((owner_id IS NULL) = (owned_since IS NULL)),
    CONSTRAINT pool_clocks_due_check CHECK (due_on IS NULL OR (owner_id IS NOT NULL AND rule_id IS NOT NULL AND look_on IS NOT NULL))
);
SELECT place('pool_clocks', 'tenant');
CREATE INDEX pool_clocks_look_idx ON pool_clocks (tenant_id, look_on, record_kind, record_id) WHERE look_on IS NOT NULL;
CREATE INDEX pool_clocks_owner_idx ON pool_clocks (tenant_id, owner_id);
CREATE INDEX pool_clocks_rule_idx ON pool_clocks (tenant_id, rule_id);
COMMENT ON TABLE pool_clocks IS 'How long an owned record has been left alone, and when it would be taken for it. A record without a row has none of it yet.';
COMMENT ON COLUMN pool_clocks.due_on IS 'The local day at whose beginning it goes to the pool at the earliest: deals may still hold it.';
COMMENT ON COLUMN pool_clocks.look_on IS 'The local day at whose beginning it is looked at next: to warn, or to take it.';
CREATE VIEW pool_leads AS
SELECT s.tenant_id, s.record_id AS id, left(l.name, 1) || '***' AS name, left(l.company, 1) || '***' AS company, l.industry, l.region,
    l.source_id, l.status, l.score, l.phone IS NOT NULL AS has_phone, l.email IS NOT NULL AS has_email,
    s.since, s.why, s.last_owner_id, l.version, l.created_at, l.updated_at
FROM pool_stays s JOIN leads l ON l.tenant_id = s.tenant_id AND l.id = s.record_id
WHERE s.record_kind = 'lead' AND s.ended_at IS NULL;
COMMENT ON VIEW pool_leads IS 'Leads in the pool as they are shown before somebody claims them.';
CREATE VIEW pool_accounts AS
SELECT s.tenant_id, s.record_id AS id, left(a.name, 1) || '***' AS name, a.industry, a.region, a.employees, a.source_id, a.segment, a.grade, a.level,
    EXISTS (SELECT 1 FROM contacts c WHERE c.tenant_id = a.tenant_id AND c.account_id = a.id AND c.archived_at IS NULL) AS has_contacts,
    s.since, s.why, s.last_owner_id, a.version, a.created_at, a.updated_at
FROM pool_stays s JOIN accounts a ON a.tenant_id = s.tenant_id AND a.id = s.record_id
WHERE s.record_kind = 'account' AND s.ended_at IS NULL;
COMMENT ON VIEW pool_accounts IS 'Accounts in the pool as they are shown before somebody claims them.';
-- An account that nobody owns is in the pool; those that are there already enter it now.
INSERT INTO pool_stays (tenant_id, id, record_kind, record_id, why, since)
    SELECT tenant_id, gen_random_uuid(), 'account', id, 'never_owned', updated_at FROM accounts WHERE owner_id IS NULL AND archived_at IS NULL;
-- The shipped roles of companies that exist already, as new companies get them.
UPDATE roles SET grants = grants || '{"pool_rule.read": "all"}' WHERE is_shipped AND grants ? 'pipeline.read';
UPDATE roles SET grants = grants || '{"pool.claim": "all"}' WHERE is_shipped AND key IN ('administrator', 'sales_director', 'sales_lead', 'sales_representative');
UPDATE roles SET grants = grants || '{"pool.assign": "all", "pool_rule.write": "all"}' WHERE is_shipped AND key IN ('administrator', 'sales_director');
UPDATE roles SET grants = grants || '{"pool.assign": "team_tree"}' WHERE is_shipped AND key = 'sales_lead';
