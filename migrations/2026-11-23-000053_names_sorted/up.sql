-- The order of names in lists: Chinese by pinyin, Latin and Cyrillic by their alphabets regardless of case, numbers by what
-- they count. Where the server knows no such orders (built without ICU), it is the database's own.
DO $$
BEGIN
    IF current_setting('server_encoding') = 'UTF8' AND EXISTS (SELECT 1 FROM pg_collation WHERE collprovider = 'i') THEN
        EXECUTE 'CREATE COLLATION names (provider = icu, locale = ''zh-u-kn-true'', deterministic = true)';
    ELSE
        EXECUTE (SELECT format('CREATE COLLATION names (provider = libc, locale = %L)', datcollate) FROM pg_database WHERE datname = current_database());
    END IF;
END
$$;
COMMENT ON COLLATION names IS 'The order of names in lists.';
