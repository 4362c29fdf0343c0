-- Apart from the migration that adds them, so that reading the rows happens under a lock that lets others write.
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_account_duplicates_check;
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_contact_duplicates_check;
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_lead_duplicates_check;
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_intake_duplicates_check;
