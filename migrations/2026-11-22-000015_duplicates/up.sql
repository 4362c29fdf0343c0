CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
-- Loads the library into this session, so that a role that is no superuser may name its setting below.
SELECT similarity('', '');
ALTER TABLE tenants ADD COLUMN account_duplicates text NOT NULL DEFAULT 'warn';
ALTER TABLE tenants ADD COLUMN contact_duplicates text NOT NULL DEFAULT 'warn';
ALTER TABLE tenants ADD COLUMN lead_duplicates text NOT NULL DEFAULT 'warn';
ALTER TABLE tenants ADD COLUMN intake_duplicates text NOT NULL DEFAULT 'attach';
ALTER TABLE tenants ADD CONSTRAINT tenants_account_duplicates_check CHECK (account_duplicates IN ('block', 'warn', 'queue', 'allow')) NOT VALID;
ALTER TABLE tenants ADD CONSTRAINT tenants_contact_duplicates_check CHECK (contact_duplicates IN ('block', 'warn', 'queue', 'allow')) NOT VALID;
ALTER TABLE tenants ADD CONSTRAINT tenants_lead_duplicates_check CHECK (lead_duplicates IN ('block', 'warn', 'queue', 'allow')) NOT VALID;
ALTER TABLE tenants ADD CONSTRAINT tenants_intake_duplicates_check CHECK (intake_duplicates IN ('attach', 'queue')) NOT VALID;
COMMENT ON COLUMN tenants.account_duplicates IS 'What happens when an account is entered that seems to be there.';
COMMENT ON COLUMN tenants.intake_duplicates IS 'A delivery about a lead that is there is attached to it, or makes a lead that waits for review.';
CREATE TABLE identity_keys (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    key_kind text NOT NULL,
    key text NOT NULL,
    record_id uuid NOT NULL,
    standing text NOT NULL,
    reason text,
    CONSTRAINT identity_keys_pkey PRIMARY KEY (tenant_id, key_kind, key, record_kind, record_id),
    CONSTRAINT identity_keys_record_kind_check CHECK (record_kind IN ('account', 'contact', 'lead')),
    CONSTRAINT identity_keys_key_kind_check CHECK (key_kind IN ('phone', 'email', 'tax_number', 'name')),
    CONSTRAINT identity_keys_standing_check CHECK (standing IN ('exclusive', 'shared', 'admitted', 'retired')),
    CONSTRAINT identity_keys_reason_check CHECK ((standing = 'admitted') = (reason IS NOT NULL))
);
SELECT place('identity_keys', 'tenant');
CREATE UNIQUE INDEX identity_keys_key_key ON identity_keys (tenant_id, record_kind, key_kind, key) WHERE standing = 'exclusive';
CREATE INDEX identity_keys_record_idx ON identity_keys (tenant_id, record_kind, record_id);
COMMENT ON TABLE identity_keys IS 'By what a record can be known exactly: its phones, e-mail and tax number in normal form, and its whole folded name.';
COMMENT ON COLUMN identity_keys.standing IS 'exclusive: of its kind one live record has it; shared: many may (switchboards, info@, names); admitted: a second record has it all the same; retired: its record is archived, converted or merged.';
COMMENT ON COLUMN identity_keys.reason IS 'Why it was admitted: the reason of an override, or the setting.';
CREATE TABLE identity_names (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    core text,
    distinctive text,
    CONSTRAINT identity_names_pkey PRIMARY KEY (tenant_id, record_kind, record_id),
    CONSTRAINT identity_names_record_kind_check CHECK (record_kind IN ('account', 'contact', 'lead'))
);
SELECT place('identity_names', 'tenant');
CREATE INDEX identity_names_distinctive_idx ON identity_names USING gin (tenant_id, distinctive gin_trgm_ops);
COMMENT ON TABLE identity_names IS 'The company names of accounts and leads, folded for likeness; a record without a row has not been entered here yet.';
COMMENT ON COLUMN identity_names.core IS 'What is left of the name without legal form and place; NULL when that is under three characters.';
COMMENT ON COLUMN identity_names.distinctive IS 'What is left of the core without the words that many names have: by it the like ones are found, by the core they are judged.';
-- The names most like one, at most fifty: of what its rare words find, however many that is, three hundred are judged by the
-- whole. The setting belongs to the function, so that no caller depends on the session's.
CREATE FUNCTION near_names(tenant uuid, kinds text[], whole text, rare text) RETURNS TABLE (record_kind text, record_id uuid)
LANGUAGE sql STABLE SET pg_trgm.similarity_threshold = 0.5 AS $$
    SELECT f.record_kind, f.record_id FROM (
        SELECT n.record_kind, n.record_id, n.core FROM identity_names n
        WHERE n.tenant_id = tenant AND n.distinctive % rare AND n.record_kind = ANY (kinds) LIMIT 300
    ) f ORDER BY similarity(f.core, whole) DESC, f.record_id LIMIT 50
$$;
CREATE TABLE merges (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_kind text NOT NULL,
    survivor_id uuid NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    merged_by uuid,
    undone_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT merges_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT merges_record_kind_check CHECK (record_kind IN ('account', 'contact', 'lead'))
);
SELECT place('merges', 'tenant');
CREATE INDEX merges_survivor_idx ON merges (tenant_id, record_kind, survivor_id);
COMMENT ON COLUMN merges.before IS 'The members of the survivor that the merge changed, as they were.';
COMMENT ON COLUMN merges.after IS 'The same members as the merge left them.';
CREATE TABLE merged_records (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    survivor_id uuid NOT NULL,
    merge_id uuid NOT NULL,
    CONSTRAINT merged_records_pkey PRIMARY KEY (tenant_id, record_kind, record_id),
    CONSTRAINT merged_records_merge_fkey FOREIGN KEY (tenant_id, merge_id) REFERENCES merges (tenant_id, id)
);
SELECT place('merged_records', 'tenant');
CREATE INDEX merged_records_survivor_idx ON merged_records (tenant_id, record_kind, survivor_id);
CREATE INDEX merged_records_merge_idx ON merged_records (tenant_id, merge_id);
COMMENT ON TABLE merged_records IS 'Where a merged record went: its redirect. Gone when the merge is undone.';
CREATE TABLE merge_moves (
    tenant_id uuid NOT NULL,
    merge_id uuid NOT NULL,
    link text NOT NULL,
    row_id uuid NOT NULL,
    from_id uuid NOT NULL,
    CONSTRAINT merge_moves_pkey PRIMARY KEY (tenant_id, merge_id, link, row_id),
    CONSTRAINT merge_moves_merge_fkey FOREIGN KEY (tenant_id, merge_id) REFERENCES merges (tenant_id, id)
);
SELECT place('merge_moves', 'tenant');
COMMENT ON TABLE merge_moves IS 'Which rows a merge took from which of the records that it ended, so that they can go back.';
COMMENT ON COLUMN merge_moves.link IS 'table.column that named the record.';
CREATE TABLE duplicate_reviews (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    other_kind text NOT NULL,
    other_id uuid NOT NULL,
    score numeric(5,4) NOT NULL,
    reasons jsonb NOT NULL,
    status text NOT NULL DEFAULT 'open',
    later_until date,
    decided_by uuid,
    decided_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT duplicate_reviews_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT duplicate_reviews_pair_key UNIQUE (tenant_id, record_kind, record_id, other_kind, other_id),
    CONSTRAINT duplicate_reviews_decided_by_fkey FOREIGN KEY (tenant_id, decided_by) REFERENCES users (tenant_id, id),
    CONSTRAINT duplicate_reviews_pair_check CHECK ((record_kind || record_id::text) COLLATE "C" < (other_kind || other_id::text) COLLATE "C"),
    CONSTRAINT duplicate_reviews_score_check CHECK (score BETWEEN 0 AND 1),
    CONSTRAINT duplicate_reviews_status_check CHECK (status IN ('open', 'later', 'merged', 'distinct'))
);
SELECT place('duplicate_reviews', 'tenant');
CREATE INDEX duplicate_reviews_created_idx ON duplicate_reviews (tenant_id, created_at DESC, id DESC);
CREATE INDEX duplicate_reviews_status_idx ON duplicate_reviews (tenant_id, status, score DESC, id DESC);
CREATE INDEX duplicate_reviews_other_idx ON duplicate_reviews (tenant_id, other_kind, other_id);
CREATE INDEX duplicate_reviews_decided_by_idx ON duplicate_reviews (tenant_id, decided_by);
COMMENT ON TABLE duplicate_reviews IS 'Pairs of records that may be one, each pair once, and what people decided.';
UPDATE roles SET grants = grants || '{"account.merge": "all", "contact.merge": "all", "lead.merge": "all", "duplicate.read": "all", "duplicate.decide": "all", "duplicate.override": "all"}'
WHERE is_shipped AND key IN ('administrator', 'sales_director');
