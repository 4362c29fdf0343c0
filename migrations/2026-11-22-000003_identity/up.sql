CREATE TABLE teams (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    parent_id uuid,
    leader_id uuid,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT teams_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT teams_parent_fkey FOREIGN KEY (tenant_id, parent_id) REFERENCES teams (tenant_id, id),
    CONSTRAINT teams_parent_check CHECK (parent_id <> id)
);
SELECT place('teams', 'tenant');
CREATE INDEX teams_parent_idx ON teams (tenant_id, parent_id);
COMMENT ON TABLE teams IS 'A node in the company''s tree, with its leader.';
CREATE TABLE users (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    job_title text,
    phone text,
    password_hash text,
    team_id uuid,
    locale text,
    is_active boolean NOT NULL DEFAULT true,
    away_from timestamptz,
    away_until timestamptz,
    delegate_id uuid,
    sessions_valid_from timestamptz NOT NULL DEFAULT 'epoch',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_email_key UNIQUE (tenant_id, email),
    CONSTRAINT users_team_fkey FOREIGN KEY (tenant_id, team_id) REFERENCES teams (tenant_id, id),
    CONSTRAINT users_delegate_fkey FOREIGN KEY (tenant_id, delegate_id) REFERENCES users (tenant_id, id),
    CONSTRAINT users_delegate_check CHECK (delegate_id <> id),
    CONSTRAINT users_locale_check CHECK (locale IN ('en', 'zh-CN', 'ru'))
);
SELECT place('users', 'tenant');
CREATE INDEX users_email_idx ON users (email);
CREATE INDEX users_team_idx ON users (tenant_id, team_id);
CREATE INDEX users_delegate_idx ON users (tenant_id, delegate_id) WHERE delegate_id IS NOT NULL;
COMMENT ON COLUMN users.sessions_valid_from IS 'Tokens issued before this real instant are void: set on a password change, a sign-out everywhere, a deactivation.';
COMMENT ON COLUMN users.email IS 'Lower-cased.';
ALTER TABLE teams ADD CONSTRAINT teams_leader_fkey FOREIGN KEY (tenant_id, leader_id) REFERENCES users (tenant_id, id);
CREATE INDEX teams_leader_idx ON teams (tenant_id, leader_id);
CREATE TABLE roles (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    description text,
    is_shipped boolean NOT NULL DEFAULT false,
    grants jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT roles_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT roles_key_key UNIQUE (tenant_id, key),
    CONSTRAINT roles_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT roles_grants_check CHECK (jsonb_typeof(grants) = 'object')
);
SELECT place('roles', 'tenant');
COMMENT ON COLUMN roles.grants IS 'Permission (resource.action) to data scope (own, team, team_tree, all).';
CREATE TABLE user_roles (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid NOT NULL,
    CONSTRAINT user_roles_pkey PRIMARY KEY (tenant_id, user_id, role_id),
    CONSTRAINT user_roles_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT user_roles_role_fkey FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id)
);
SELECT place('user_roles', 'tenant');
CREATE INDEX user_roles_role_idx ON user_roles (tenant_id, role_id);
CREATE TABLE refresh_tokens (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    family_id uuid NOT NULL,
    user_id uuid NOT NULL,
    successor_id uuid,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT refresh_tokens_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
SELECT place('refresh_tokens', 'tenant');
CREATE INDEX refresh_tokens_user_idx ON refresh_tokens (tenant_id, user_id);
CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (tenant_id, family_id);
CREATE INDEX refresh_tokens_expiry_idx ON refresh_tokens (expires_at);
COMMENT ON TABLE refresh_tokens IS 'Refresh tokens by id; the token itself is id + HMAC, so nothing here can be used to sign in. Real time.';
CREATE TABLE api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid,
    prefix text NOT NULL,
    secret_hash bytea NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT api_keys_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT api_keys_role_fkey FOREIGN KEY (tenant_id, role_id) REFERENCES roles (tenant_id, id)
);
SELECT place('api_keys', 'tenant');
CREATE INDEX api_keys_user_idx ON api_keys (tenant_id, user_id);
CREATE INDEX api_keys_role_idx ON api_keys (tenant_id, role_id);
COMMENT ON TABLE api_keys IS 'Keys act as their user, limited to the role when one is named. Archived means revoked. Times are real.';
CREATE TABLE handovers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    from_user_id uuid NOT NULL,
    to_user_id uuid NOT NULL,
    counts jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT handovers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT handovers_from_user_fkey FOREIGN KEY (tenant_id, from_user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT handovers_to_user_fkey FOREIGN KEY (tenant_id, to_user_id) REFERENCES users (tenant_id, id)
);
SELECT place('handovers', 'tenant');
CREATE INDEX handovers_from_idx ON handovers (tenant_id, from_user_id);
CREATE INDEX handovers_to_idx ON handovers (tenant_id, to_user_id);
