-- Names whose words stand in another order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS identity_names_letters_idx ON identity_names (tenant_id, letters_of(core));
