DROP TABLE pipeline_migrations;
DROP TABLE criterion_answers;
DROP TABLE transitions;
DROP TABLE cycles;
DROP TABLE opportunities;
