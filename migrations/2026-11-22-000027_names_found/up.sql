-- Imports find accounts by name and by the ids of other systems, whatever the case. In the run's one transaction nothing can
-- be built concurrently.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX accounts_lower_name_idx ON accounts (tenant_id, lower(name));
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX external_ids_lower_idx ON external_ids (tenant_id, record_kind, system, lower(external_id));
