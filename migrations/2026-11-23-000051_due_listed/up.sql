-- Lists of what is overdue, the longest first: by the expression that lists sort by.
CREATE INDEX CONCURRENTLY IF NOT EXISTS opportunities_due_idx ON opportunities (tenant_id, (coalesce(stage_due_at, 'infinity'::timestamptz)), id) WHERE archived_at IS NULL AND stage_due_at IS NOT NULL;
