DROP INDEX contacts_owner_name_idx;
