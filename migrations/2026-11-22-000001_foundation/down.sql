DROP TABLE idempotency_keys;
DROP TABLE leases;
DROP TABLE tenants;
DROP FUNCTION instant_text(timestamptz);
DROP FUNCTION money_text(numeric, text);
DROP FUNCTION minor_unit(text);
DROP FUNCTION place(text, text);
