CREATE TABLE assignment_settings (
    tenant_id uuid NOT NULL,
    lead_capacity integer,
    assigns_entered_leads boolean NOT NULL DEFAULT true,
    assigns_imported_leads boolean NOT NULL DEFAULT true,
    response_minutes integer DEFAULT 480,
    warning_minutes integer DEFAULT 60,
    when_missed text NOT NULL DEFAULT 'reassign',
    when_nobody_left text NOT NULL DEFAULT 'keep',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT assignment_settings_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT assignment_settings_lead_capacity_check CHECK (lead_capacity IS NULL OR lead_capacity >= 0),
    CONSTRAINT assignment_settings_response_minutes_check CHECK (response_minutes IS NULL OR response_minutes > 0),
    CONSTRAINT assignment_settings_warning_minutes_check CHECK (warning_minutes IS NULL OR (response_minutes IS NOT NULL AND warning_minutes > 0 AND warning_minutes < response_minutes)),
    CONSTRAINT assignment_settings_when_missed_check CHECK (when_missed IN ('reassign', 'pool', 'keep')),
    CONSTRAINT assignment_settings_when_nobody_left_check CHECK (when_nobody_left IN ('pool', 'leader', 'keep'))
);
SELECT place('assignment_settings', 'tenant');
COMMENT ON TABLE assignment_settings IS 'How a company gives leads to people; no row: the defaults. Its row is the lock under which loads are counted and turns are taken.';
COMMENT ON COLUMN assignment_settings.lead_capacity IS 'Most open leads that one person holds who has no capacity of their own; NULL: any number.';
COMMENT ON COLUMN assignment_settings.response_minutes IS 'Working minutes until the first response to a sales-qualified lead; NULL: no deadline.';
COMMENT ON COLUMN assignment_settings.warning_minutes IS 'Working minutes before the deadline.';
CREATE TABLE assignment_rules (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    position integer NOT NULL,
    trigger text NOT NULL,
    condition text,
    candidates jsonb NOT NULL,
    strategy text NOT NULL,
    when_nobody text NOT NULL DEFAULT 'pool',
    is_enabled boolean NOT NULL DEFAULT true,
    takes_owned boolean NOT NULL DEFAULT false,
    response_minutes integer,
    warning_minutes integer,
    goal text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT assignment_rules_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT assignment_rules_trigger_check CHECK (trigger IN ('created', 'marketing_qualified', 'sales_qualified')),
    CONSTRAINT assignment_rules_strategy_check CHECK (strategy IN ('round_robin', 'least_loaded', 'weighted')),
    CONSTRAINT assignment_rules_when_nobody_check CHECK (when_nobody IN ('pool', 'next_rule')),
    CONSTRAINT assignment_rules_candidates_check CHECK (jsonb_typeof(candidates) = 'array'),
    CONSTRAINT assignment_rules_warning_minutes_check CHECK (warning_minutes IS NULL OR (response_minutes IS NOT NULL AND warning_minutes > 0 AND warning_minutes < response_minutes))
);
SELECT place('assignment_rules', 'tenant');
CREATE INDEX assignment_rules_position_idx ON assignment_rules (tenant_id, position, id);
COMMENT ON TABLE assignment_rules IS 'Who gets which leads: of the rules of a moment the first that is met decides.';
COMMENT ON COLUMN assignment_rules.condition IS 'CEL; NULL: every lead.';
CREATE TABLE assignment_turns (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    user_id uuid NOT NULL,
    last_turn bigint NOT NULL DEFAULT 0,
    credit bigint NOT NULL DEFAULT 0,
    CONSTRAINT assignment_turns_pkey PRIMARY KEY (tenant_id, rule_id, user_id),
    CONSTRAINT assignment_turns_rule_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES assignment_rules (tenant_id, id),
    CONSTRAINT assignment_turns_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
ALTER TABLE assignment_turns SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
SELECT place('assignment_turns', 'tenant');
CREATE INDEX assignment_turns_user_idx ON assignment_turns (tenant_id, user_id);
COMMENT ON TABLE assignment_turns IS 'Whose turn it is at a rule; written under the lock of assignment_settings.';
COMMENT ON COLUMN assignment_turns.last_turn IS 'Number of the rule''s turn at which they last got a lead, counted from 1.';
COMMENT ON COLUMN assignment_turns.credit IS 'What they have to their credit where leads go by weight: the sum over a rule''s candidates is 0.';
CREATE TABLE user_absences (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    owner_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    note text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT user_absences_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT user_absences_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT user_absences_ends_at_check CHECK (ends_at > starts_at)
);
SELECT place('user_absences', 'tenant');
CREATE INDEX user_absences_owner_idx ON user_absences (tenant_id, owner_id, starts_at);
CREATE INDEX user_absences_starts_idx ON user_absences (tenant_id, starts_at DESC, id DESC);
COMMENT ON TABLE user_absences IS 'When somebody is away and gets no leads; of one person no two overlap.';
CREATE TABLE lead_handovers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    chain_id uuid NOT NULL,
    attempt integer NOT NULL,
    from_user_id uuid,
    to_user_id uuid NOT NULL,
    rule_id uuid,
    reason text NOT NULL,
    goal text,
    status text NOT NULL DEFAULT 'open',
    is_overdue boolean NOT NULL DEFAULT false,
    accepted_at timestamptz,
    started_at timestamptz NOT NULL,
    chain_started_at timestamptz NOT NULL,
    response_minutes integer,
    warn_at timestamptz,
    due_at timestamptz,
    warned_at timestamptz,
    first_response_at timestamptz,
    first_response_kind text,
    first_response_note text,
    responded_after_minutes bigint,
    waited_minutes bigint,
    ended_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT lead_handovers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT lead_handovers_attempt_key UNIQUE (tenant_id, chain_id, attempt),
    CONSTRAINT lead_handovers_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id),
    CONSTRAINT lead_handovers_from_user_fkey FOREIGN KEY (tenant_id, from_user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT lead_handovers_to_user_fkey FOREIGN KEY (tenant_id, to_user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT lead_handovers_rule_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES assignment_rules (tenant_id, id),
    CONSTRAINT lead_handovers_status_check CHECK (status IN ('open', 'responded', 'missed', 'superseded', 'withdrawn', 'closed')),
    CONSTRAINT lead_handovers_reason_check CHECK (reason IN ('qualified', 'by_hand', 'rule', 'hand_over', 'claim', 'leaver', 'undo')),
    CONSTRAINT lead_handovers_attempt_check CHECK (attempt > 0),
    CONSTRAINT lead_handovers_ended_at_check CHECK ((status = 'open') = (ended_at IS NULL)),
    CONSTRAINT lead_handovers_first_response_at_check CHECK ((status = 'responded') = (first_response_at IS NOT NULL)),
    CONSTRAINT lead_handovers_first_response_kind_check CHECK ((first_response_kind IS NULL) = (first_response_at IS NULL))
);
SELECT place('lead_handovers', 'tenant');
CREATE UNIQUE INDEX lead_handovers_lead_key ON lead_handovers (tenant_id, lead_id) WHERE status = 'open';
CREATE INDEX lead_handovers_lead_idx ON lead_handovers (tenant_id, lead_id, started_at DESC, id DESC);
CREATE INDEX lead_handovers_started_idx ON lead_handovers (tenant_id, started_at DESC, id DESC);
CREATE INDEX lead_handovers_status_idx ON lead_handovers (tenant_id, status, due_at, id);
CREATE INDEX lead_handovers_to_user_idx ON lead_handovers (tenant_id, to_user_id, started_at DESC, id DESC);
CREATE INDEX lead_handovers_from_user_idx ON lead_handovers (tenant_id, from_user_id) WHERE from_user_id IS NOT NULL;
CREATE INDEX lead_handovers_rule_idx ON lead_handovers (tenant_id, rule_id) WHERE rule_id IS NOT NULL;
COMMENT ON TABLE lead_handovers IS 'A sales-qualified lead in somebody''s hands, and the clock until their first response.';
COMMENT ON COLUMN lead_handovers.chain_id IS 'The first hand-over of the lead''s way from hand to hand; nobody in it gets the lead again by rule.';
COMMENT ON COLUMN lead_handovers.is_overdue IS 'The deadline passed without a first response.';
COMMENT ON COLUMN lead_handovers.responded_after_minutes IS 'Working minutes from the start of this hand-over to the first response.';
COMMENT ON COLUMN lead_handovers.waited_minutes IS 'Working minutes from the start of the chain to the first response.';
ALTER TABLE users ADD COLUMN lead_capacity integer;
COMMENT ON COLUMN users.lead_capacity IS 'Most open leads that they hold; NULL: the company''s number.';
-- In the run's one transaction nothing can be built concurrently; one pass over the table, as for the scores' indexes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX leads_open_owner_idx ON leads (tenant_id, owner_id) WHERE archived_at IS NULL AND status IN ('new', 'working', 'marketing_qualified', 'sales_qualified');
-- Companies that are there already: what their shipped roles would have been made with.
UPDATE roles SET grants = grants || '{"assignment.read": "all"}' WHERE is_shipped AND grants ? 'pipeline.read';
UPDATE roles SET grants = grants || '{"assignment.write": "all", "absence.write": "all"}' WHERE is_shipped AND key IN ('administrator', 'sales_director');
UPDATE roles SET grants = grants || '{"absence.read": "team_tree", "absence.write": "team_tree"}' WHERE is_shipped AND key = 'sales_lead';
UPDATE roles SET grants = grants || '{"absence.read": "own", "absence.write": "own"}' WHERE is_shipped AND key = 'sales_representative';
UPDATE roles SET grants = grants || '{"absence.read": "all"}' WHERE is_shipped AND grants ? 'pipeline.read' AND key NOT IN ('sales_lead', 'sales_representative');
