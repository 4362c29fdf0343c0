ALTER INDEX search_entries_terms_idx SET (fastupdate = off);
ALTER INDEX search_entries_terms_idx RESET (gin_pending_list_limit);
