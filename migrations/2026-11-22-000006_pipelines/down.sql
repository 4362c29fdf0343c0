ALTER TABLE pipelines DROP CONSTRAINT pipelines_published_version_fkey;
DROP TABLE loss_reasons;
DROP TABLE version_stages;
DROP TABLE criteria;
DROP TABLE stages;
DROP TABLE pipeline_versions;
DROP TABLE pipelines;
