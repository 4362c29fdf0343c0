CREATE INDEX CONCURRENTLY IF NOT EXISTS contacts_by_name_idx ON contacts (tenant_id, name COLLATE names, id);
