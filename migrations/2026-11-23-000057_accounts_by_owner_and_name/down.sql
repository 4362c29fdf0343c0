DROP INDEX accounts_owner_name_idx;
