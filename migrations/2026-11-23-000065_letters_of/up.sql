-- The Chinese characters of a name in the order of their code points, where they are four at least, and then its other letters
-- as they stand; NULL otherwise. Names without spaces whose words stand in another order have the same.
CREATE FUNCTION letters_of(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_agg(l.letter, '' ORDER BY l.letter COLLATE "C") || regexp_replace(name, '[ 㐀-鿿𠀀-𿿿]', '', 'g')
    FROM regexp_split_to_table(regexp_replace(name, '[^㐀-鿿𠀀-𿿿]', '', 'g'), '') AS l (letter)
    HAVING count(*) >= 4
$$;
