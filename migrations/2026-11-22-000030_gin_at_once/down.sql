ALTER INDEX contacts_tags_idx RESET (fastupdate);
ALTER INDEX accounts_custom_idx RESET (fastupdate);
ALTER INDEX accounts_tags_idx RESET (fastupdate);
ALTER INDEX identity_names_distinctive_idx RESET (fastupdate);
