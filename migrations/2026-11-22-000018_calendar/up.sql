ALTER TABLE tenants ADD COLUMN standard_hours jsonb NOT NULL DEFAULT '[{"begins": "09:00", "ends": "12:00"}, {"begins": "13:00", "ends": "18:00"}]';
ALTER TABLE tenants ADD COLUMN working_hours jsonb NOT NULL DEFAULT '{}';
ALTER TABLE tenants ADD CONSTRAINT tenants_standard_hours_check CHECK (jsonb_typeof(standard_hours) = 'array' AND standard_hours <> '[]') NOT VALID;
ALTER TABLE tenants ADD CONSTRAINT tenants_working_hours_check CHECK (jsonb_typeof(working_hours) = 'object') NOT VALID;
COMMENT ON COLUMN tenants.standard_hours IS 'Working hours of a day that has none of its own, in local time: [{begins, ends}], in order.';
COMMENT ON COLUMN tenants.working_hours IS 'Hours of weekdays that have their own, by ISO day of the week. Which days are worked is in working_days.';
CREATE TABLE calendar_days (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    name text,
    hours jsonb,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT calendar_days_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT calendar_days_day_check CHECK (day BETWEEN '2000-01-01' AND '2999-12-31'),
    CONSTRAINT calendar_days_kind_check CHECK (kind IN ('holiday', 'working_day')),
    CONSTRAINT calendar_days_hours_check CHECK (hours IS NULL OR (kind = 'working_day' AND jsonb_typeof(hours) = 'array' AND hours <> '[]'))
);
SELECT place('calendar_days', 'tenant');
CREATE UNIQUE INDEX calendar_days_day_key ON calendar_days (tenant_id, day) WHERE archived_at IS NULL;
CREATE INDEX calendar_days_day_idx ON calendar_days (tenant_id, day, id);
COMMENT ON TABLE calendar_days IS 'Days that are not as the week says: holidays, make-up days, days with other hours.';
COMMENT ON COLUMN calendar_days.hours IS 'Its own hours, [{begins, ends}]; NULL: those of its weekday, or the standard ones where that is not worked.';
