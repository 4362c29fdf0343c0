CREATE TABLE pipelines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    description text,
    published_version_id uuid,
    is_default boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT pipelines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pipelines_key_key UNIQUE (tenant_id, key),
    CONSTRAINT pipelines_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$')
);
SELECT place('pipelines', 'tenant');
CREATE UNIQUE INDEX pipelines_default_key ON pipelines (tenant_id) WHERE is_default AND archived_at IS NULL;
CREATE TABLE pipeline_versions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    number integer NOT NULL,
    state text NOT NULL DEFAULT 'draft',
    document jsonb NOT NULL,
    document_hash bytea NOT NULL,
    published_at timestamptz,
    published_by uuid,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pipeline_versions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pipeline_versions_number_key UNIQUE (tenant_id, pipeline_id, number),
    CONSTRAINT pipeline_versions_pipeline_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines (tenant_id, id),
    CONSTRAINT pipeline_versions_state_check CHECK (state IN ('draft', 'published', 'retired')),
    CONSTRAINT pipeline_versions_published_check CHECK ((state = 'draft') = (published_at IS NULL))
);
SELECT place('pipeline_versions', 'tenant');
CREATE UNIQUE INDEX pipeline_versions_draft_key ON pipeline_versions (tenant_id, pipeline_id) WHERE state = 'draft';
CREATE UNIQUE INDEX pipeline_versions_published_key ON pipeline_versions (tenant_id, pipeline_id) WHERE state = 'published';
ALTER TABLE pipelines ADD CONSTRAINT pipelines_published_version_fkey FOREIGN KEY (tenant_id, published_version_id) REFERENCES pipeline_versions (tenant_id, id);
CREATE INDEX pipelines_published_version_idx ON pipelines (tenant_id, published_version_id);
COMMENT ON COLUMN pipeline_versions.document IS 'The canonical definition, as exported; a published one never changes.';
CREATE TABLE stages (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    key text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT stages_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT stages_key_key UNIQUE (tenant_id, pipeline_id, key),
    CONSTRAINT stages_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT stages_pipeline_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines (tenant_id, id)
);
SELECT place('stages', 'tenant');
COMMENT ON TABLE stages IS 'The identity of a stage through all versions of its pipeline.';
CREATE TABLE criteria (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    stage_id uuid NOT NULL,
    key text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT criteria_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT criteria_key_key UNIQUE (tenant_id, stage_id, key),
    CONSTRAINT criteria_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT criteria_stage_fkey FOREIGN KEY (tenant_id, stage_id) REFERENCES stages (tenant_id, id)
);
SELECT place('criteria', 'tenant');
COMMENT ON TABLE criteria IS 'The identity of an exit criterion through all versions of its pipeline.';
CREATE TABLE version_stages (
    tenant_id uuid NOT NULL,
    version_id uuid NOT NULL,
    stage_id uuid NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    probability numeric(5,4) NOT NULL,
    probability_calibrated numeric(5,4),
    expected_dwell_seconds bigint,
    CONSTRAINT version_stages_pkey PRIMARY KEY (tenant_id, version_id, stage_id),
    CONSTRAINT version_stages_position_key UNIQUE (tenant_id, version_id, position),
    CONSTRAINT version_stages_version_fkey FOREIGN KEY (tenant_id, version_id) REFERENCES pipeline_versions (tenant_id, id),
    CONSTRAINT version_stages_stage_fkey FOREIGN KEY (tenant_id, stage_id) REFERENCES stages (tenant_id, id),
    CONSTRAINT version_stages_probability_check CHECK (probability BETWEEN 0 AND 1)
);
SELECT place('version_stages', 'tenant');
CREATE INDEX version_stages_stage_idx ON version_stages (tenant_id, stage_id);
COMMENT ON COLUMN version_stages.probability IS 'Chance of finally winning from this stage, a share 0–1; never multiplied along the way.';
CREATE TABLE loss_reasons (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT loss_reasons_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT loss_reasons_key_key UNIQUE (tenant_id, key),
    CONSTRAINT loss_reasons_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$')
);
SELECT place('loss_reasons', 'tenant');
