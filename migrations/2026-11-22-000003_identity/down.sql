ALTER TABLE teams DROP CONSTRAINT teams_leader_fkey;
DROP TABLE handovers;
DROP TABLE api_keys;
DROP TABLE refresh_tokens;
DROP TABLE user_roles;
DROP TABLE roles;
DROP TABLE users;
DROP TABLE teams;
