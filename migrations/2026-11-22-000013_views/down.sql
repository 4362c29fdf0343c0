UPDATE roles SET grants = grants - 'view.read' - 'view.write' WHERE is_shipped;
DROP TABLE segments;
DROP TABLE saved_views;
DELETE FROM timers WHERE kind = 'field_index';
ALTER TABLE field_definitions DROP COLUMN indexed_at;
