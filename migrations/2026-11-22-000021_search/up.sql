CREATE TABLE search_entries (
    tenant_id uuid NOT NULL,
    record_kind text NOT NULL,
    record_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    is_live boolean NOT NULL,
    form integer NOT NULL,
    names text COLLATE "C" NOT NULL,
    terms tsvector NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT search_entries_pkey PRIMARY KEY (tenant_id, record_kind, record_id)
);
SELECT place('search_entries', 'tenant');
-- No list of what is pending: it would be read through by every search, and emptied by whichever write comes last.
CREATE INDEX search_entries_terms_idx ON search_entries USING gin (tenant_id, owner_id, terms, names gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX search_entries_owner_idx ON search_entries (tenant_id, record_kind, owner_id, record_id);
CREATE INDEX search_entries_names_idx ON search_entries (tenant_id, record_kind, names);
COMMENT ON TABLE search_entries IS 'By what each account, contact, lead and opportunity is found; written with the record. A record without a row has not been entered here yet, or was merged.';
COMMENT ON COLUMN search_entries.owner_id IS 'Who owns the record; the nil id for nobody, since a GIN index does not look for NULL.';
COMMENT ON COLUMN search_entries.form IS 'The form in which its terms were made; those of an older form are made anew by and by.';
COMMENT ON COLUMN search_entries.names IS 'Its folded names: the ones by which it is known at a glance.';
COMMENT ON COLUMN search_entries.terms IS 'Pairs of characters, words, and endings of phones, each with the mark of its kind; in upper case what only some may read.';
COMMENT ON COLUMN search_entries.digest IS 'SHA-256 over the texts that it was made from, by which one sees that it is up to date.';
