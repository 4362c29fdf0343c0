DROP TABLE approval_acts;
DROP TABLE approval_seats;
DROP TABLE approval_steps;
DROP TABLE approval_requests;
DROP TABLE approval_process_versions;
DROP TABLE approval_processes;
