DROP TABLE contact_verifications;
DROP TABLE account_verifications;
