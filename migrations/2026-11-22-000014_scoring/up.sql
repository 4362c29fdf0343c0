CREATE TABLE scoring_models (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    name_zh text,
    description text,
    published_version_id uuid,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT scoring_models_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT scoring_models_key_key UNIQUE (tenant_id, key),
    CONSTRAINT scoring_models_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$')
);
SELECT place('scoring_models', 'tenant');
CREATE TABLE scoring_model_versions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    model_id uuid NOT NULL,
    number integer NOT NULL,
    state text NOT NULL DEFAULT 'draft',
    document jsonb NOT NULL,
    document_hash bytea NOT NULL,
    published_at timestamptz,
    published_by uuid,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT scoring_model_versions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT scoring_model_versions_number_key UNIQUE (tenant_id, model_id, number),
    CONSTRAINT scoring_model_versions_model_fkey FOREIGN KEY (tenant_id, model_id) REFERENCES scoring_models (tenant_id, id),
    CONSTRAINT scoring_model_versions_state_check CHECK (state IN ('draft', 'published', 'retired')),
    CONSTRAINT scoring_model_versions_published_check CHECK ((state = 'draft') = (published_at IS NULL))
);
SELECT place('scoring_model_versions', 'tenant');
CREATE UNIQUE INDEX scoring_model_versions_draft_key ON scoring_model_versions (tenant_id, model_id) WHERE state = 'draft';
-- One for the whole company: leads are scored by the published version of one model.
CREATE UNIQUE INDEX scoring_model_versions_published_key ON scoring_model_versions (tenant_id) WHERE state = 'published';
ALTER TABLE scoring_models ADD CONSTRAINT scoring_models_published_version_fkey FOREIGN KEY (tenant_id, published_version_id) REFERENCES scoring_model_versions (tenant_id, id);
CREATE INDEX scoring_models_published_version_idx ON scoring_models (tenant_id, published_version_id);
COMMENT ON TABLE scoring_model_versions IS 'How leads are scored: rules and limits. A published version never changes.';
CREATE TABLE customer_profiles (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    name_zh text,
    description text,
    criteria jsonb NOT NULL DEFAULT '[]',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT customer_profiles_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT customer_profiles_key_key UNIQUE (tenant_id, key),
    CONSTRAINT customer_profiles_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$')
);
SELECT place('customer_profiles', 'tenant');
COMMENT ON TABLE customer_profiles IS 'Ideal customers: weighted conditions over leads and accounts.';
CREATE TABLE lead_behaviours (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL,
    external_id text,
    note text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT lead_behaviours_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT lead_behaviours_external_id_key UNIQUE (tenant_id, lead_id, external_id),
    CONSTRAINT lead_behaviours_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id)
);
SELECT place('lead_behaviours', 'tenant');
CREATE INDEX lead_behaviours_lead_idx ON lead_behaviours (tenant_id, lead_id, occurred_at DESC, id DESC);
COMMENT ON TABLE lead_behaviours IS 'What somebody did that tells of interest: visits, downloads, a demo asked for.';
CREATE TABLE lead_scores (
    tenant_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    model_version_id uuid,
    total numeric(12,4),
    demographic numeric(12,4),
    behavioural numeric(12,4),
    fit numeric(12,4),
    intent numeric(12,4),
    is_decaying boolean NOT NULL DEFAULT false,
    profile_id uuid,
    profile_match numeric(5,4),
    computed_at timestamptz,
    by_hand numeric(12,4),
    by_hand_reason text,
    by_hand_by uuid,
    by_hand_at timestamptz,
    CONSTRAINT lead_scores_pkey PRIMARY KEY (tenant_id, lead_id),
    CONSTRAINT lead_scores_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id),
    CONSTRAINT lead_scores_model_version_fkey FOREIGN KEY (tenant_id, model_version_id) REFERENCES scoring_model_versions (tenant_id, id),
    CONSTRAINT lead_scores_profile_fkey FOREIGN KEY (tenant_id, profile_id) REFERENCES customer_profiles (tenant_id, id),
    CONSTRAINT lead_scores_computed_check CHECK (num_nulls(model_version_id, total, demographic, behavioural, fit, intent, computed_at) IN (0, 7)),
    CONSTRAINT lead_scores_profile_match_check CHECK (num_nulls(profile_id, profile_match) IN (0, 2) AND (profile_match IS NULL OR profile_match BETWEEN 0 AND 1)),
    CONSTRAINT lead_scores_by_hand_check CHECK (num_nulls(by_hand, by_hand_reason, by_hand_at) IN (0, 3))
);
SELECT place('lead_scores', 'tenant');
CREATE INDEX lead_scores_model_version_idx ON lead_scores (tenant_id, model_version_id, lead_id);
CREATE INDEX lead_scores_profile_idx ON lead_scores (tenant_id, profile_id, profile_match);
CREATE INDEX lead_scores_decaying_idx ON lead_scores (tenant_id, lead_id) WHERE is_decaying;
COMMENT ON TABLE lead_scores IS 'The score of a lead as it was last computed, and the one set by hand beside it.';
COMMENT ON COLUMN lead_scores.total IS 'Points: the sum of the four dimensions.';
COMMENT ON COLUMN lead_scores.is_decaying IS 'Whether time alone changes it: behaviour with a half-life is part of it.';
COMMENT ON COLUMN lead_scores.profile_match IS 'Match with the ideal customer that it fits best, a share 0–1.';
COMMENT ON COLUMN lead_scores.computed_at IS 'As of when, by the company''s clock.';
CREATE TABLE lead_reviews (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'open',
    score numeric(12,4) NOT NULL,
    model_version_id uuid NOT NULL,
    evidence jsonb NOT NULL,
    reason text,
    decided_by uuid,
    decided_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT lead_reviews_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT lead_reviews_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id),
    CONSTRAINT lead_reviews_model_version_fkey FOREIGN KEY (tenant_id, model_version_id) REFERENCES scoring_model_versions (tenant_id, id),
    CONSTRAINT lead_reviews_status_check CHECK (status IN ('open', 'accepted', 'rejected', 'withdrawn')),
    CONSTRAINT lead_reviews_decided_check CHECK ((status = 'open') = (decided_at IS NULL)),
    CONSTRAINT lead_reviews_reason_check CHECK (status <> 'rejected' OR reason IS NOT NULL)
);
SELECT place('lead_reviews', 'tenant');
CREATE UNIQUE INDEX lead_reviews_open_key ON lead_reviews (tenant_id, lead_id) WHERE status = 'open';
CREATE INDEX lead_reviews_lead_idx ON lead_reviews (tenant_id, lead_id, created_at DESC);
CREATE INDEX lead_reviews_model_version_idx ON lead_reviews (tenant_id, model_version_id);
CREATE INDEX lead_reviews_created_idx ON lead_reviews (tenant_id, status, created_at, id);
COMMENT ON TABLE lead_reviews IS 'Candidates for sales qualification: who reached the second limit waits here for a person''s word.';
COMMENT ON COLUMN lead_reviews.score IS 'The score at the instant the review was opened.';
COMMENT ON COLUMN lead_reviews.evidence IS 'What made the score up then, rule by rule.';
ALTER TABLE leads ADD COLUMN score numeric(12,4);
COMMENT ON COLUMN leads.score IS 'The score that counts: the one set by hand, else the computed one; NULL without either.';
-- In the run's one transaction nothing can be built concurrently. The column is empty as yet, so this is one pass over the
-- table without a sort worth the name.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX leads_score_idx ON leads (tenant_id, (coalesce(score, 0)) DESC, id DESC);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX leads_owner_score_idx ON leads (tenant_id, owner_id, (coalesce(score, 0)) DESC, id DESC);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX accounts_grade_idx ON accounts (tenant_id, grade, expected_need_on) WHERE expected_need_on IS NOT NULL AND NOT is_grade_by_hand;
-- Companies that are there already: what their shipped roles would have been made with …
UPDATE roles SET grants = grants || '{"scoring.read": "all"}' WHERE is_shipped AND grants ? 'pipeline.read';
UPDATE roles SET grants = grants || '{"scoring.write": "all", "scoring.publish": "all", "lead.review": "all", "lead.override_score": "all"}'
    WHERE is_shipped AND key IN ('administrator', 'sales_director');
UPDATE roles SET grants = grants || '{"lead.review": "team_tree", "lead.override_score": "team_tree"}' WHERE is_shipped AND key = 'sales_lead';
-- … and the daily look at their grades, which sets itself anew from here on.
INSERT INTO timers (tenant_id, id, kind, subject_kind, subject_id, due_at)
    SELECT c.tenant_id, gen_random_uuid(), 'account_grades', 'company', c.tenant_id, c.created_at FROM tenants c
    WHERE EXISTS (SELECT 1 FROM accounts a WHERE a.tenant_id = c.tenant_id AND a.expected_need_on IS NOT NULL);
