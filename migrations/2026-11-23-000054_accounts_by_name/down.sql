DROP INDEX accounts_by_name_idx;
