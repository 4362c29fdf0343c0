-- A constraint that holds cannot be made unproven again; it goes with its column.
SELECT 1;
