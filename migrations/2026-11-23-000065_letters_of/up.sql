-- The Chinese characters of a name in the order of their code points, where they are four at least, and then its other letters
-- as they stand; NULL otherwise. Names without spaces whose words stand in another order have the same. In PL/pgSQL its plan is
-- kept by the session: in plain SQL it would be made anew by each statement that writes a name.
CREATE FUNCTION letters_of(name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    han text := regexp_replace(name, '[^㐀-鿿𠀀-𿿿]', '', 'g');
BEGIN
    IF length(han) < 4 THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT string_agg(l.letter, '' ORDER BY l.letter COLLATE "C") FROM regexp_split_to_table(han, '') AS l (letter))
        || regexp_replace(name, '[ 㐀-鿿𠀀-𿿿]', '', 'g');
END
$$;
