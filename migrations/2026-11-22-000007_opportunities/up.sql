CREATE TABLE opportunities (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    account_id uuid NOT NULL,
    owner_id uuid,
    pipeline_id uuid NOT NULL,
    pipeline_version_id uuid NOT NULL,
    stage_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'open',
    cycle integer NOT NULL DEFAULT 1,
    visit_id uuid NOT NULL,
    stage_entered_at timestamptz NOT NULL,
    amount numeric(20,4),
    currency text NOT NULL,
    expected_close_on date,
    probability_default numeric(5,4) NOT NULL,
    probability_calibrated numeric(5,4),
    probability_by_hand numeric(5,4),
    probability_reason text,
    forecast_category text,
    source_id uuid,
    next_step text,
    next_step_on date,
    is_as_is_purchase boolean NOT NULL DEFAULT false,
    description text,
    tags text[] NOT NULL DEFAULT '{}',
    custom jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT opportunities_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT opportunities_account_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id),
    CONSTRAINT opportunities_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT opportunities_pipeline_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines (tenant_id, id),
    CONSTRAINT opportunities_pipeline_version_fkey FOREIGN KEY (tenant_id, pipeline_version_id) REFERENCES pipeline_versions (tenant_id, id),
    CONSTRAINT opportunities_stage_fkey FOREIGN KEY (tenant_id, pipeline_version_id, stage_id) REFERENCES version_stages (tenant_id, version_id, stage_id),
    CONSTRAINT opportunities_source_fkey FOREIGN KEY (tenant_id, source_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT opportunities_status_check CHECK (status IN ('open', 'won', 'lost')),
    CONSTRAINT opportunities_amount_check CHECK (amount >= 0),
    CONSTRAINT opportunities_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT opportunities_probability_by_hand_check CHECK (probability_by_hand BETWEEN 0 AND 1),
    CONSTRAINT opportunities_probability_reason_check CHECK (probability_by_hand IS NULL OR probability_reason IS NOT NULL),
    CONSTRAINT opportunities_forecast_category_check CHECK (forecast_category IN ('omitted', 'pipeline', 'best_case', 'commit')),
    CONSTRAINT opportunities_cycle_check CHECK (cycle > 0)
);
ALTER TABLE opportunities SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
SELECT place('opportunities', 'tenant');
CREATE INDEX opportunities_stage_amount_idx ON opportunities (tenant_id, stage_id, (coalesce(amount, 0)) DESC, id DESC) WHERE archived_at IS NULL;
CREATE INDEX opportunities_owner_stage_amount_idx ON opportunities (tenant_id, owner_id, stage_id, (coalesce(amount, 0)) DESC, id DESC) WHERE archived_at IS NULL;
CREATE INDEX opportunities_created_idx ON opportunities (tenant_id, created_at DESC, id DESC);
CREATE INDEX opportunities_owner_created_idx ON opportunities (tenant_id, owner_id, created_at DESC, id DESC);
CREATE INDEX opportunities_account_idx ON opportunities (tenant_id, account_id);
CREATE INDEX opportunities_pipeline_idx ON opportunities (tenant_id, pipeline_id, status);
CREATE INDEX opportunities_version_stage_idx ON opportunities (tenant_id, pipeline_version_id, stage_id);
CREATE INDEX opportunities_source_idx ON opportunities (tenant_id, source_id) WHERE source_id IS NOT NULL;
COMMENT ON COLUMN opportunities.visit_id IS 'The id of the transition that began the present stay in the stage.';
COMMENT ON COLUMN opportunities.probability_default IS 'The stage''s, as a share 0–1; kept apart from the calibrated and the hand-set one.';
CREATE TABLE cycles (
    tenant_id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    outcome text,
    stage_id uuid,
    owner_id uuid,
    amount numeric(20,4),
    currency text,
    exchange_rate numeric(20,10),
    probability numeric(5,4),
    lines jsonb,
    loss_reason_id uuid,
    reason text,
    competitor_id uuid,
    debrief_on date,
    CONSTRAINT cycles_pkey PRIMARY KEY (tenant_id, opportunity_id, number),
    CONSTRAINT cycles_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT cycles_loss_reason_fkey FOREIGN KEY (tenant_id, loss_reason_id) REFERENCES loss_reasons (tenant_id, id),
    CONSTRAINT cycles_competitor_fkey FOREIGN KEY (tenant_id, competitor_id) REFERENCES competitors (tenant_id, id),
    CONSTRAINT cycles_outcome_check CHECK (outcome IN ('won', 'lost')),
    CONSTRAINT cycles_ended_check CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT cycles_loss_reason_check CHECK (outcome <> 'lost' OR loss_reason_id IS NOT NULL)
);
SELECT place('cycles', 'tenant');
CREATE INDEX cycles_loss_reason_idx ON cycles (tenant_id, loss_reason_id) WHERE loss_reason_id IS NOT NULL;
CREATE INDEX cycles_competitor_idx ON cycles (tenant_id, competitor_id) WHERE competitor_id IS NOT NULL;
CREATE INDEX cycles_ended_idx ON cycles (tenant_id, ended_at);
COMMENT ON TABLE cycles IS 'One run of an opportunity through its pipeline; what it came to is frozen at its end.';
CREATE TABLE transitions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    cycle integer NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    pipeline_version_id uuid NOT NULL,
    from_stage_id uuid,
    to_stage_id uuid NOT NULL,
    from_status text,
    to_status text NOT NULL,
    visit_id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    dwell_seconds bigint,
    reason text,
    evidence jsonb,
    CONSTRAINT transitions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT transitions_ordinal_key UNIQUE (tenant_id, opportunity_id, ordinal),
    CONSTRAINT transitions_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT transitions_kind_check CHECK (kind IN ('enter', 'advance', 'win', 'lose', 'regress', 'skip', 'override', 'restart', 'reopen', 'migrate', 'import')),
    CONSTRAINT transitions_reason_check CHECK (kind NOT IN ('regress', 'skip', 'override') OR reason IS NOT NULL)
);
SELECT place('transitions', 'tenant');
CREATE INDEX transitions_at_idx ON transitions (tenant_id, at);
COMMENT ON TABLE transitions IS 'Every move of an opportunity, append-only. Its present stage, status and visit are those its last transition names.';
COMMENT ON COLUMN transitions.ordinal IS 'Counts the moves of one opportunity from 1.';
COMMENT ON COLUMN transitions.visit_id IS 'The visit the opportunity is in after this move; equals id where the move began one.';
COMMENT ON COLUMN transitions.evidence IS 'The gate as it stood: the state of every criterion.';
COMMENT ON COLUMN transitions.dwell_seconds IS 'Seconds spent in the visit that this move left.';
CREATE TABLE criterion_answers (
    tenant_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    criterion_id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    answer jsonb NOT NULL,
    note text,
    answered_by uuid,
    answered_at timestamptz NOT NULL,
    CONSTRAINT criterion_answers_pkey PRIMARY KEY (tenant_id, visit_id, criterion_id),
    CONSTRAINT criterion_answers_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT criterion_answers_criterion_fkey FOREIGN KEY (tenant_id, criterion_id) REFERENCES criteria (tenant_id, id)
);
SELECT place('criterion_answers', 'tenant');
CREATE INDEX criterion_answers_opportunity_idx ON criterion_answers (tenant_id, opportunity_id);
CREATE INDEX criterion_answers_criterion_idx ON criterion_answers (tenant_id, criterion_id);
COMMENT ON TABLE criterion_answers IS 'Ticks and answers, bound to the visit in which they were given.';
CREATE TABLE pipeline_migrations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    from_version_id uuid NOT NULL,
    to_version_id uuid NOT NULL,
    stage_map jsonb NOT NULL,
    state text NOT NULL,
    moved jsonb NOT NULL DEFAULT '[]',
    actor_id uuid,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pipeline_migrations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pipeline_migrations_pipeline_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines (tenant_id, id),
    CONSTRAINT pipeline_migrations_from_version_fkey FOREIGN KEY (tenant_id, from_version_id) REFERENCES pipeline_versions (tenant_id, id),
    CONSTRAINT pipeline_migrations_to_version_fkey FOREIGN KEY (tenant_id, to_version_id) REFERENCES pipeline_versions (tenant_id, id),
    CONSTRAINT pipeline_migrations_state_check CHECK (state IN ('running', 'done', 'rolled_back'))
);
SELECT place('pipeline_migrations', 'tenant');
CREATE INDEX pipeline_migrations_pipeline_idx ON pipeline_migrations (tenant_id, pipeline_id);
CREATE INDEX pipeline_migrations_from_version_idx ON pipeline_migrations (tenant_id, from_version_id);
CREATE INDEX pipeline_migrations_to_version_idx ON pipeline_migrations (tenant_id, to_version_id);
