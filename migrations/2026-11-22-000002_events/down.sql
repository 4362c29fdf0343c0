DROP TABLE timers;
DROP TABLE event_queue;
DROP TABLE event_positions;
DROP TABLE event_subjects;
DROP TABLE event_payloads;
DROP TABLE events;
