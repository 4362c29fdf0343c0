CREATE INDEX CONCURRENTLY IF NOT EXISTS contacts_owner_name_idx ON contacts (tenant_id, owner_id, name COLLATE names, id);
