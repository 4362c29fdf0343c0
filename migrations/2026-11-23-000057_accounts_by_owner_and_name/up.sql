CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_owner_name_idx ON accounts (tenant_id, owner_id, name COLLATE names, id);
