CREATE INDEX accounts_name_idx ON accounts (tenant_id, name, id);
