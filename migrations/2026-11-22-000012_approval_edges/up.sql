ALTER TABLE approval_requests ADD COLUMN advances_to_id uuid;
COMMENT ON COLUMN approval_requests.advances_to_id IS 'The stage that the advance which asked was to lead to; NULL where it named none.';
CREATE TABLE company_slugs (
    slug text NOT NULL,
    tenant_id uuid NOT NULL,
    CONSTRAINT company_slugs_slug_key PRIMARY KEY (slug)
);
SELECT place('company_slugs', 'reference');
COMMENT ON TABLE company_slugs IS 'Which company has which short name: one name, one company. A table of its own, since no key of a tenant''s table reaches over all tenants.';
-- Where two companies got the same name before this, the younger one's becomes longer.
INSERT INTO company_slugs (slug, tenant_id)
SELECT DISTINCT ON (slug) slug, tenant_id FROM tenants ORDER BY slug, created_at, tenant_id;
UPDATE tenants SET slug = slug || '-' || replace(tenant_id::text, '-', '')
WHERE tenant_id NOT IN (SELECT tenant_id FROM company_slugs);
INSERT INTO company_slugs (slug, tenant_id)
SELECT slug, tenant_id FROM tenants WHERE tenant_id NOT IN (SELECT tenant_id FROM company_slugs);
