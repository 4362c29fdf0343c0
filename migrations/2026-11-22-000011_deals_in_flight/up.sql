-- Nothing was ever written to the first form of this table, which knew one version to leave and kept all deals in one value.
-- squawk-ignore ban-drop-table
DROP TABLE pipeline_migrations;
CREATE TABLE pipeline_migrations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    from_version_ids uuid[] NOT NULL,
    to_version_id uuid NOT NULL,
    stage_map jsonb NOT NULL,
    answers text NOT NULL,
    reason text,
    state text NOT NULL DEFAULT 'running',
    planned integer NOT NULL,
    moved integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    returned integer NOT NULL DEFAULT 0,
    stayed integer NOT NULL DEFAULT 0,
    requested_by uuid,
    job_id uuid,
    roll_back_job_id uuid,
    finished_at timestamptz,
    rolled_back_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pipeline_migrations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pipeline_migrations_pipeline_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines (tenant_id, id),
    CONSTRAINT pipeline_migrations_to_version_fkey FOREIGN KEY (tenant_id, to_version_id) REFERENCES pipeline_versions (tenant_id, id),
    CONSTRAINT pipeline_migrations_requested_by_fkey FOREIGN KEY (tenant_id, requested_by) REFERENCES users (tenant_id, id),
    CONSTRAINT pipeline_migrations_answers_check CHECK (answers IN ('by_criterion', 'by_key', 'drop')),
    CONSTRAINT pipeline_migrations_state_check CHECK (state IN ('running', 'done', 'stopped', 'rolling_back', 'rolled_back')),
    CONSTRAINT pipeline_migrations_finished_check CHECK ((state = 'running') = (finished_at IS NULL)),
    CONSTRAINT pipeline_migrations_rolled_back_check CHECK ((state = 'rolled_back') = (rolled_back_at IS NOT NULL))
);
SELECT place('pipeline_migrations', 'tenant');
CREATE UNIQUE INDEX pipeline_migrations_running_key ON pipeline_migrations (tenant_id, pipeline_id) WHERE state IN ('running', 'rolling_back');
CREATE INDEX pipeline_migrations_pipeline_idx ON pipeline_migrations (tenant_id, pipeline_id, created_at DESC, id DESC);
CREATE INDEX pipeline_migrations_to_version_idx ON pipeline_migrations (tenant_id, to_version_id);
CREATE INDEX pipeline_migrations_requested_by_idx ON pipeline_migrations (tenant_id, requested_by) WHERE requested_by IS NOT NULL;
COMMENT ON COLUMN pipeline_migrations.stage_map IS 'Stage key left to stage key entered, of every stage that a deal may be in.';
COMMENT ON COLUMN pipeline_migrations.planned IS 'How many deals it set out with; moved + skipped once it is done.';
COMMENT ON COLUMN pipeline_migrations.stayed IS 'Moved deals that a roll-back left where they were, since something later rests on them.';
CREATE TABLE pipeline_migration_deals (
    tenant_id uuid NOT NULL,
    migration_id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    outcome text NOT NULL DEFAULT 'planned',
    why text,
    plan jsonb,
    transition_id uuid,
    back_transition_id uuid,
    from_version_id uuid,
    from_stage_id uuid,
    from_visit_id uuid,
    from_entered_at timestamptz,
    dropped jsonb NOT NULL DEFAULT '[]',
    answers_hash text,
    approvals_hash text,
    CONSTRAINT pipeline_migration_deals_pkey PRIMARY KEY (tenant_id, migration_id, opportunity_id),
    CONSTRAINT pipeline_migration_deals_migration_fkey FOREIGN KEY (tenant_id, migration_id) REFERENCES pipeline_migrations (tenant_id, id),
    CONSTRAINT pipeline_migration_deals_outcome_check CHECK (outcome IN ('planned', 'moved', 'skipped', 'returned', 'stayed')),
    CONSTRAINT pipeline_migration_deals_why_check CHECK ((outcome IN ('skipped', 'stayed')) = (why IS NOT NULL)),
    CONSTRAINT pipeline_migration_deals_transition_check CHECK ((outcome IN ('moved', 'returned', 'stayed')) = (transition_id IS NOT NULL)),
    CONSTRAINT pipeline_migration_deals_back_transition_check CHECK ((outcome = 'returned') = (back_transition_id IS NOT NULL)),
    CONSTRAINT pipeline_migration_deals_from_check CHECK (num_nulls(from_version_id, from_stage_id, from_visit_id, from_entered_at) IN (0, 4) AND (transition_id IS NULL OR from_version_id IS NOT NULL))
);
SELECT place('pipeline_migration_deals', 'tenant');
CREATE INDEX pipeline_migration_deals_outcome_idx ON pipeline_migration_deals (tenant_id, migration_id, outcome, opportunity_id);
CREATE INDEX pipeline_migration_deals_opportunity_idx ON pipeline_migration_deals (tenant_id, opportunity_id);
COMMENT ON TABLE pipeline_migration_deals IS 'What a migration means to do, did, or took back, deal by deal. No foreign key to the deals: writing thousands of rows would hold each of them up; `check` looks instead.';
COMMENT ON COLUMN pipeline_migration_deals.dropped IS 'The ticks and answers taken out of a visit that goes on, as rows to be put back.';
COMMENT ON COLUMN pipeline_migration_deals.answers_hash IS 'Digest of the ticks and answers of the visit right after the move; another one since forbids taking it back.';
COMMENT ON COLUMN pipeline_migration_deals.approvals_hash IS 'Digest of the approval requests of the deal right after the move; another one since forbids taking it back.';
