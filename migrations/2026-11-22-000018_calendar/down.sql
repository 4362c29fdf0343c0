DROP TABLE calendar_days;
ALTER TABLE tenants DROP COLUMN working_hours;
ALTER TABLE tenants DROP COLUMN standard_hours;
