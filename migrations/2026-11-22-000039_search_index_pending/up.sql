-- New entries wait on eight pages and are then entered together, at half the price of one by one. No more pages than that,
-- since every search reads them all.
ALTER INDEX search_entries_terms_idx SET (fastupdate = on, gin_pending_list_limit = 64);
