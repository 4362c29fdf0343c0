UPDATE roles SET grants = grants - '{assignment.read,assignment.write,absence.read,absence.write}'::text[] WHERE is_shipped;
DELETE FROM timers WHERE kind IN ('lead_response_warning', 'lead_response_deadline');
DROP INDEX leads_open_owner_idx;
ALTER TABLE users DROP COLUMN lead_capacity;
DROP TABLE lead_handovers;
DROP TABLE user_absences;
DROP TABLE assignment_turns;
DROP TABLE assignment_rules;
DROP TABLE assignment_settings;
