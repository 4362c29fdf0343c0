-- On plain Postgres this does nothing; on a Citus cluster it places the table. Called right after each CREATE TABLE.
CREATE FUNCTION place(relation text, kind text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus') THEN
        RETURN;
    END IF;
    IF kind = 'tenant' AND relation = 'tenants' THEN
        EXECUTE format('SELECT create_distributed_table(%L, ''tenant_id'')', relation);
    ELSIF kind = 'tenant' THEN
        EXECUTE format('SELECT create_distributed_table(%L, ''tenant_id'', colocate_with => ''tenants'')', relation);
    ELSIF kind = 'reference' THEN
        EXECUTE format('SELECT create_reference_table(%L)', relation);
    END IF;
END
$$;
-- How many decimal places a currency has (ISO 4217), for output; the same table stands in kernel/money.rs.
CREATE FUNCTION minor_unit(currency text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') THEN 0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
        ELSE 2
    END
$$;
CREATE FUNCTION money_text(amount numeric, currency text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT round(amount, minor_unit(currency))::text
$$;
CREATE FUNCTION instant_text(moment timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
CREATE TABLE tenants (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    time_zone text NOT NULL,
    currency text NOT NULL,
    locale text NOT NULL,
    week_start smallint NOT NULL DEFAULT 1,
    fiscal_year_start_month smallint NOT NULL DEFAULT 1,
    working_days smallint[] NOT NULL DEFAULT '{1,2,3,4,5}',
    grade_a_days integer NOT NULL DEFAULT 30,
    grade_b_months integer NOT NULL DEFAULT 6,
    is_phone_strict boolean NOT NULL DEFAULT false,
    sandbox_now timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tenants_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT tenants_locale_check CHECK (locale IN ('en', 'zh-CN', 'ru')),
    CONSTRAINT tenants_week_start_check CHECK (week_start BETWEEN 1 AND 7),
    CONSTRAINT tenants_fiscal_year_start_month_check CHECK (fiscal_year_start_month BETWEEN 1 AND 12)
);
SELECT place('tenants', 'tenant');
CREATE INDEX tenants_slug_idx ON tenants (slug);
COMMENT ON TABLE tenants IS 'One company; nothing is ever visible across two of them.';
COMMENT ON COLUMN tenants.sandbox_now IS 'The clock of a sandbox company, standing still until it is moved; NULL means real time.';
COMMENT ON COLUMN tenants.week_start IS 'ISO day of the week, 1 = Monday.';
CREATE TABLE leases (
    name text NOT NULL,
    holder uuid NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);
SELECT place('leases', 'local');
COMMENT ON TABLE leases IS 'Which server runs a background duty now (sequencer, timers); by real time.';
CREATE TABLE idempotency_keys (
    tenant_id uuid NOT NULL,
    caller_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, caller_id, operation, key)
);
SELECT place('idempotency_keys', 'tenant');
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (created_at);
COMMENT ON TABLE idempotency_keys IS 'The first 2xx answer of a POST, for its repetitions; commits with the work, expires after 24 h of real time.';
