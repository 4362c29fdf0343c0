CREATE OR REPLACE FUNCTION near_names(tenant uuid, kinds text[], whole text, rare text) RETURNS TABLE (record_kind text, record_id uuid)
LANGUAGE sql STABLE ROWS 1000
SET pg_trgm.similarity_threshold = 0.5 AS $$
    SELECT f.record_kind, f.record_id FROM (
        SELECT n.record_kind, n.record_id, n.core FROM identity_names n
        WHERE n.tenant_id = tenant AND n.distinctive % rare AND n.record_kind = ANY (kinds) LIMIT 300
    ) f ORDER BY similarity(f.core, whole) DESC, f.record_id LIMIT 50
$$;
