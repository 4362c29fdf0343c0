-- A function in plain SQL is read and planned anew by each statement that calls it, which took as long as the search itself.
-- In PL/pgSQL its plan is kept by the session; there is but one way to go about it, whatever is looked for.
CREATE OR REPLACE FUNCTION near_names(tenant uuid, kinds text[], whole text, rare text) RETURNS TABLE (record_kind text, record_id uuid)
LANGUAGE plpgsql STABLE ROWS 50
SET pg_trgm.similarity_threshold = 0.5
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT f.record_kind, f.record_id FROM (
        SELECT n.record_kind, n.record_id, n.core FROM identity_names n
        WHERE n.tenant_id = tenant AND n.distinctive % rare AND n.record_kind = ANY (kinds) LIMIT 300
    ) f ORDER BY similarity(f.core, whole) DESC, f.record_id LIMIT 50;
END
$$;
