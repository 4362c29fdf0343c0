DROP INDEX external_ids_lower_idx;
DROP INDEX accounts_lower_name_idx;
