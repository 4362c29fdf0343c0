-- What waits in the pending list of a GIN index is read through by every search, and its length keeps the planner from
-- the index at all: while records arrive, looking for near names read the whole table. They are entered at once instead.
ALTER INDEX identity_names_distinctive_idx SET (fastupdate = off);
ALTER INDEX accounts_tags_idx SET (fastupdate = off);
ALTER INDEX accounts_custom_idx SET (fastupdate = off);
ALTER INDEX contacts_tags_idx SET (fastupdate = off);
SELECT gin_clean_pending_list('identity_names_distinctive_idx'::regclass);
SELECT gin_clean_pending_list('accounts_tags_idx'::regclass);
SELECT gin_clean_pending_list('accounts_custom_idx'::regclass);
SELECT gin_clean_pending_list('contacts_tags_idx'::regclass);
