DROP TABLE pipeline_migration_deals;
DROP TABLE pipeline_migrations;
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
