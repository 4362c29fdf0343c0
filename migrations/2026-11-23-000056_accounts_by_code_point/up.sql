-- By code point nothing is listed any more; what asks for an exact name is answered by the index that lists are read by.
DROP INDEX CONCURRENTLY IF EXISTS accounts_name_idx;
