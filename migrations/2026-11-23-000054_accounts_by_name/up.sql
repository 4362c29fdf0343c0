CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_by_name_idx ON accounts (tenant_id, name COLLATE names, id);
