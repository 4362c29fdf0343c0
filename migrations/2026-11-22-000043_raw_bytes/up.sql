ALTER TABLE intakes ADD COLUMN raw bytea;
COMMENT ON COLUMN intakes.raw IS 'The bytes as they came, where the text is not just that; NULL where it is, and once they expired.';
