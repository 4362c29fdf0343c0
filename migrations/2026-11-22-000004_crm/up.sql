CREATE TABLE field_definitions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    resource text NOT NULL,
    key text NOT NULL,
    label text NOT NULL,
    kind text NOT NULL,
    choices text[],
    is_required boolean NOT NULL DEFAULT false,
    is_filterable boolean NOT NULL DEFAULT false,
    help text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT field_definitions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT field_definitions_key_key UNIQUE (tenant_id, resource, key),
    CONSTRAINT field_definitions_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT field_definitions_resource_check CHECK (resource IN ('account', 'contact', 'lead', 'opportunity')),
    CONSTRAINT field_definitions_kind_check CHECK (kind IN ('text', 'number', 'money', 'date', 'choice', 'user'))
);
SELECT place('field_definitions', 'tenant');
COMMENT ON TABLE field_definitions IS 'The fields that a company adds to a resource; their values stand in that resource''s custom member.';
CREATE TABLE custom_values (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    field_key text NOT NULL,
    record_id uuid NOT NULL,
    text_value text,
    number_value numeric(20,4),
    day_value date,
    CONSTRAINT custom_values_pkey PRIMARY KEY (tenant_id, record_kind, record_id, field_key)
);
SELECT place('custom_values', 'tenant');
CREATE INDEX custom_values_text_idx ON custom_values (tenant_id, record_kind, field_key, text_value, record_id);
CREATE INDEX custom_values_number_idx ON custom_values (tenant_id, record_kind, field_key, number_value, record_id);
CREATE INDEX custom_values_day_idx ON custom_values (tenant_id, record_kind, field_key, day_value, record_id);
COMMENT ON TABLE custom_values IS 'A second copy of the filterable custom values, in typed columns with B-trees; written with the record.';
CREATE TABLE participants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    user_id uuid NOT NULL,
    access text NOT NULL DEFAULT 'read',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT participants_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT participants_user_key UNIQUE (tenant_id, record_kind, record_id, user_id),
    CONSTRAINT participants_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT participants_record_kind_check CHECK (record_kind IN ('account', 'contact', 'lead', 'opportunity')),
    CONSTRAINT participants_access_check CHECK (access IN ('read', 'edit'))
);
SELECT place('participants', 'tenant');
CREATE INDEX participants_user_idx ON participants (tenant_id, user_id, record_kind, record_id);
COMMENT ON TABLE participants IS 'Someone besides the owner who supports a record.';
CREATE TABLE external_ids (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    system text NOT NULL,
    external_id text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT external_ids_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT external_ids_external_key UNIQUE (tenant_id, record_kind, system, external_id)
);
SELECT place('external_ids', 'tenant');
CREATE INDEX external_ids_record_idx ON external_ids (tenant_id, record_kind, record_id);
CREATE TABLE lead_sources (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    channel text NOT NULL DEFAULT 'other',
    parent_id uuid,
    is_intake_open boolean NOT NULL DEFAULT false,
    mapping jsonb NOT NULL DEFAULT '{}',
    required_members text[] NOT NULL DEFAULT '{}',
    default_owner_id uuid,
    sealed_secret bytea,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT lead_sources_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT lead_sources_key_key UNIQUE (tenant_id, key),
    CONSTRAINT lead_sources_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT lead_sources_parent_fkey FOREIGN KEY (tenant_id, parent_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT lead_sources_default_owner_fkey FOREIGN KEY (tenant_id, default_owner_id) REFERENCES users (tenant_id, id)
);
SELECT place('lead_sources', 'tenant');
CREATE INDEX lead_sources_parent_idx ON lead_sources (tenant_id, parent_id);
CREATE INDEX lead_sources_default_owner_idx ON lead_sources (tenant_id, default_owner_id);
COMMENT ON COLUMN lead_sources.mapping IS 'Lead member to {pointer | constant, default}.';
COMMENT ON COLUMN lead_sources.sealed_secret IS 'The signing secret, encrypted under the server''s secret.';
CREATE TABLE accounts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    industry text,
    employees integer,
    annual_revenue numeric(20,4),
    currency text,
    size_note text,
    region text,
    address text,
    billing_title text,
    tax_number text,
    website text,
    source_id uuid,
    owner_id uuid,
    parent_id uuid,
    segment text,
    grade text,
    level text,
    follow_up_status text,
    next_follow_up_on date,
    expected_need_on date,
    credit_terms text,
    description text,
    tags text[] NOT NULL DEFAULT '{}',
    custom jsonb NOT NULL DEFAULT '{}',
    is_grade_by_hand boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT accounts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT accounts_source_fkey FOREIGN KEY (tenant_id, source_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT accounts_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT accounts_parent_fkey FOREIGN KEY (tenant_id, parent_id) REFERENCES accounts (tenant_id, id),
    CONSTRAINT accounts_parent_check CHECK (parent_id <> id),
    CONSTRAINT accounts_employees_check CHECK (employees >= 0),
    CONSTRAINT accounts_annual_revenue_check CHECK (annual_revenue IS NULL OR (annual_revenue >= 0 AND currency IS NOT NULL)),
    CONSTRAINT accounts_grade_check CHECK (grade IN ('a', 'b', 'c')),
    CONSTRAINT accounts_level_check CHECK (level IN ('a', 'b', 'c'))
);
SELECT place('accounts', 'tenant');
CREATE INDEX accounts_created_idx ON accounts (tenant_id, created_at DESC, id DESC);
CREATE INDEX accounts_owner_idx ON accounts (tenant_id, owner_id, created_at DESC, id DESC);
CREATE INDEX accounts_name_idx ON accounts (tenant_id, name, id);
CREATE INDEX accounts_source_idx ON accounts (tenant_id, source_id);
CREATE INDEX accounts_parent_idx ON accounts (tenant_id, parent_id);
CREATE INDEX accounts_tags_idx ON accounts USING gin (tags);
CREATE INDEX accounts_custom_idx ON accounts USING gin (custom jsonb_path_ops);
COMMENT ON COLUMN accounts.size_note IS 'The size as it was stated, e.g. 200人/1亿.';
COMMENT ON COLUMN accounts.credit_terms IS 'net N, net N eom, eom N, or instalments.';
CREATE TABLE contacts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    account_id uuid,
    name text NOT NULL,
    job_title text,
    phone text,
    phone_e164 text,
    personal_phone text,
    email text,
    buying_role text,
    owner_id uuid,
    description text,
    tags text[] NOT NULL DEFAULT '{}',
    custom jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT contacts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT contacts_account_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id),
    CONSTRAINT contacts_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT contacts_buying_role_check CHECK (buying_role IN ('user', 'technical', 'procurement', 'decision_maker'))
);
SELECT place('contacts', 'tenant');
CREATE INDEX contacts_created_idx ON contacts (tenant_id, created_at DESC, id DESC);
CREATE INDEX contacts_owner_idx ON contacts (tenant_id, owner_id, created_at DESC, id DESC);
CREATE INDEX contacts_account_idx ON contacts (tenant_id, account_id);
CREATE INDEX contacts_phone_idx ON contacts (tenant_id, phone_e164);
CREATE INDEX contacts_email_idx ON contacts (tenant_id, email);
CREATE INDEX contacts_tags_idx ON contacts USING gin (tags);
COMMENT ON COLUMN contacts.phone IS 'As it was typed.';
COMMENT ON COLUMN contacts.phone_e164 IS 'Normalised, when it parses.';
CREATE TABLE leads (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    company text,
    job_title text,
    phone text,
    phone_e164 text,
    email text,
    industry text,
    region text,
    need text,
    budget_amount numeric(20,4),
    currency text,
    expected_need_on date,
    source_id uuid,
    owner_id uuid,
    status text NOT NULL DEFAULT 'new',
    reopen_status text,
    disqualified_reason text,
    nurture_until date,
    converted_account_id uuid,
    converted_contact_id uuid,
    converted_opportunity_id uuid,
    converted_at timestamptz,
    tags text[] NOT NULL DEFAULT '{}',
    custom jsonb NOT NULL DEFAULT '{}',
    description text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT leads_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT leads_source_fkey FOREIGN KEY (tenant_id, source_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT leads_owner_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT leads_converted_account_fkey FOREIGN KEY (tenant_id, converted_account_id) REFERENCES accounts (tenant_id, id),
    CONSTRAINT leads_converted_contact_fkey FOREIGN KEY (tenant_id, converted_contact_id) REFERENCES contacts (tenant_id, id),
    CONSTRAINT leads_status_check CHECK (status IN ('new', 'working', 'marketing_qualified', 'sales_qualified', 'nurturing', 'disqualified', 'converted')),
    CONSTRAINT leads_converted_check CHECK ((status = 'converted') = (converted_at IS NOT NULL)),
    CONSTRAINT leads_disqualified_reason_check CHECK (status <> 'disqualified' OR disqualified_reason IS NOT NULL),
    CONSTRAINT leads_budget_amount_check CHECK (budget_amount IS NULL OR (budget_amount >= 0 AND currency IS NOT NULL))
);
SELECT place('leads', 'tenant');
CREATE INDEX leads_created_idx ON leads (tenant_id, created_at DESC, id DESC);
CREATE INDEX leads_owner_idx ON leads (tenant_id, owner_id, created_at DESC, id DESC);
CREATE INDEX leads_status_idx ON leads (tenant_id, status, created_at DESC, id DESC);
CREATE INDEX leads_source_idx ON leads (tenant_id, source_id);
CREATE INDEX leads_converted_account_idx ON leads (tenant_id, converted_account_id) WHERE converted_account_id IS NOT NULL;
CREATE INDEX leads_converted_contact_idx ON leads (tenant_id, converted_contact_id) WHERE converted_contact_id IS NOT NULL;
CREATE INDEX leads_converted_opportunity_idx ON leads (tenant_id, converted_opportunity_id) WHERE converted_opportunity_id IS NOT NULL;
COMMENT ON COLUMN leads.reopen_status IS 'The status left for nurturing or disqualification, to which reopening returns.';
CREATE TABLE intakes (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    source_id uuid NOT NULL,
    delivery_id text NOT NULL,
    body text NOT NULL,
    status text NOT NULL,
    faults jsonb NOT NULL DEFAULT '[]',
    lead_id uuid,
    corrected_body text,
    received_at timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT intakes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT intakes_delivery_key UNIQUE (tenant_id, source_id, delivery_id),
    CONSTRAINT intakes_source_fkey FOREIGN KEY (tenant_id, source_id) REFERENCES lead_sources (tenant_id, id),
    CONSTRAINT intakes_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id),
    CONSTRAINT intakes_status_check CHECK (status IN ('accepted', 'rejected')),
    CONSTRAINT intakes_lead_check CHECK ((status = 'accepted') = (lead_id IS NOT NULL))
);
SELECT place('intakes', 'tenant');
CREATE INDEX intakes_source_idx ON intakes (tenant_id, source_id, created_at DESC, id DESC);
CREATE INDEX intakes_lead_idx ON intakes (tenant_id, lead_id);
CREATE INDEX intakes_created_idx ON intakes (tenant_id, created_at DESC, id DESC);
COMMENT ON TABLE intakes IS 'Everything that arrived at a source, raw, with what became of it.';
COMMENT ON COLUMN intakes.corrected_body IS 'What was replayed in place of the raw body.';
COMMENT ON COLUMN intakes.received_at IS 'Real time.';
CREATE TABLE exchange_rates (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    currency text NOT NULL,
    rate_on date NOT NULL,
    rate numeric(20,10) NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT exchange_rates_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT exchange_rates_day_key UNIQUE (tenant_id, currency, rate_on),
    CONSTRAINT exchange_rates_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT exchange_rates_rate_check CHECK (rate > 0)
);
SELECT place('exchange_rates', 'tenant');
COMMENT ON COLUMN exchange_rates.rate IS 'Units of the company''s currency for one unit of this one, on that day and until the next entry.';
CREATE TABLE products (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    unit text,
    category text,
    price numeric(20,4),
    currency text,
    cost numeric(20,4),
    is_active boolean NOT NULL DEFAULT true,
    description text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT products_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT products_code_key UNIQUE (tenant_id, code),
    CONSTRAINT products_price_check CHECK (price IS NULL OR (price >= 0 AND currency IS NOT NULL)),
    CONSTRAINT products_cost_check CHECK (cost >= 0)
);
SELECT place('products', 'tenant');
CREATE TABLE competitors (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    website text,
    strengths text,
    weaknesses text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT competitors_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT competitors_name_key UNIQUE (tenant_id, name)
);
SELECT place('competitors', 'tenant');
