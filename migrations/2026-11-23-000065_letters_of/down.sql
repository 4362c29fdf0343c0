DROP FUNCTION letters_of(text);
