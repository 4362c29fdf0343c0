ALTER TABLE field_definitions ADD COLUMN indexed_at timestamptz;
COMMENT ON COLUMN field_definitions.indexed_at IS 'Since when every record''s value stands in custom_values; NULL while it does not.';
-- What was filterable from the beginning was copied with every record; what became so later is copied again.
UPDATE field_definitions SET indexed_at = created_at WHERE is_filterable AND archived_at IS NULL AND version = 1;
INSERT INTO timers (tenant_id, id, kind, subject_kind, subject_id, due_at, is_real_time, details)
SELECT tenant_id, gen_random_uuid(), 'field_index', 'field_definition', id, updated_at, true, '{}'
FROM field_definitions WHERE is_filterable AND archived_at IS NULL AND version > 1
ON CONFLICT (tenant_id, kind, subject_kind, subject_id) DO NOTHING;
CREATE TABLE saved_views (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    resource text NOT NULL,
    owner_id uuid NOT NULL,
    sharing text NOT NULL DEFAULT 'nobody',
    filter jsonb NOT NULL DEFAULT '{}',
    sort text[] NOT NULL DEFAULT '{}',
    columns text[] NOT NULL DEFAULT '{}',
    custom_fields text[] NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT saved_views_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT saved_views_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT saved_views_sharing_check CHECK (sharing IN ('nobody', 'team', 'all')),
    CONSTRAINT saved_views_filter_check CHECK (jsonb_typeof(filter) = 'object')
);
SELECT place('saved_views', 'tenant');
CREATE INDEX saved_views_owner_idx ON saved_views (tenant_id, owner_id);
CREATE INDEX saved_views_created_idx ON saved_views (tenant_id, created_at, id);
COMMENT ON TABLE saved_views IS 'How somebody likes to look at a collection: filter, order and columns.';
COMMENT ON COLUMN saved_views.custom_fields IS 'The company''s own fields that it names, each as resource.key.';
CREATE TABLE segments (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    resource text NOT NULL,
    owner_id uuid NOT NULL,
    sharing text NOT NULL DEFAULT 'nobody',
    filter jsonb NOT NULL DEFAULT '{}',
    custom_fields text[] NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT segments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT segments_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT segments_sharing_check CHECK (sharing IN ('nobody', 'team', 'all')),
    CONSTRAINT segments_filter_check CHECK (jsonb_typeof(filter) = 'object')
);
SELECT place('segments', 'tenant');
CREATE INDEX segments_owner_idx ON segments (tenant_id, owner_id);
CREATE INDEX segments_created_idx ON segments (tenant_id, created_at, id);
COMMENT ON TABLE segments IS 'Records that a filter describes; who belongs is found out when it is asked.';
COMMENT ON COLUMN segments.custom_fields IS 'The company''s own fields that it names, each as resource.key.';
-- The shipped roles of companies that exist already, as new companies get them.
UPDATE roles SET grants = grants || jsonb_build_object('view.read', 'all', 'view.write', CASE
    WHEN key IN ('administrator', 'sales_director') THEN 'all' WHEN key = 'sales_lead' THEN 'team_tree' ELSE 'own' END)
WHERE is_shipped AND NOT grants ? 'view.read';
