DROP TABLE company_slugs;
ALTER TABLE approval_requests DROP COLUMN advances_to_id;
