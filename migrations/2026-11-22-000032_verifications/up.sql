CREATE TABLE account_verifications (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    member text NOT NULL,
    status text NOT NULL,
    method text NOT NULL,
    source text,
    note text,
    value text NOT NULL,
    verified_by uuid,
    verified_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT account_verifications_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT account_verifications_account_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id),
    CONSTRAINT account_verifications_verified_by_fkey FOREIGN KEY (tenant_id, verified_by) REFERENCES users (tenant_id, id),
    CONSTRAINT account_verifications_status_check CHECK (status IN ('verified', 'refuted', 'unverifiable')),
    CONSTRAINT account_verifications_method_check CHECK (method IN ('public_register', 'phone_call', 'visit', 'document', 'website', 'other'))
);
SELECT place('account_verifications', 'tenant');
-- What is archived keeps its history; of what lives there is one for each member.
CREATE UNIQUE INDEX account_verifications_member_key ON account_verifications (tenant_id, account_id, member) WHERE archived_at IS NULL;
CREATE INDEX account_verifications_account_idx ON account_verifications (tenant_id, account_id, created_at DESC, id DESC);
CREATE INDEX account_verifications_verified_by_idx ON account_verifications (tenant_id, verified_by) WHERE verified_by IS NOT NULL;
COMMENT ON TABLE account_verifications IS 'How a member of an account was verified, by whom, when.';
COMMENT ON COLUMN account_verifications.value IS 'What the member said then, as text; the verification is outdated when it says something else.';
COMMENT ON COLUMN account_verifications.verified_by IS 'Who; NULL when a program did.';
CREATE TABLE contact_verifications (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    contact_id uuid NOT NULL,
    member text NOT NULL,
    status text NOT NULL,
    method text NOT NULL,
    source text,
    note text,
    value text NOT NULL,
    verified_by uuid,
    verified_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT contact_verifications_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT contact_verifications_contact_fkey FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts (tenant_id, id),
    CONSTRAINT contact_verifications_verified_by_fkey FOREIGN KEY (tenant_id, verified_by) REFERENCES users (tenant_id, id),
    CONSTRAINT contact_verifications_status_check CHECK (status IN ('verified', 'refuted', 'unverifiable')),
    CONSTRAINT contact_verifications_method_check CHECK (method IN ('public_register', 'phone_call', 'visit', 'document', 'website', 'other'))
);
SELECT place('contact_verifications', 'tenant');
-- What is archived keeps its history; of what lives there is one for each member.
CREATE UNIQUE INDEX contact_verifications_member_key ON contact_verifications (tenant_id, contact_id, member) WHERE archived_at IS NULL;
CREATE INDEX contact_verifications_contact_idx ON contact_verifications (tenant_id, contact_id, created_at DESC, id DESC);
CREATE INDEX contact_verifications_verified_by_idx ON contact_verifications (tenant_id, verified_by) WHERE verified_by IS NOT NULL;
COMMENT ON TABLE contact_verifications IS 'How a member of a contact was verified, by whom, when.';
COMMENT ON COLUMN contact_verifications.value IS 'What the member said then, as text; the verification is outdated when it says something else.';
COMMENT ON COLUMN contact_verifications.verified_by IS 'Who; NULL when a program did.';
