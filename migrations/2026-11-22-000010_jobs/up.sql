CREATE TABLE jobs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'queued',
    asked_by uuid,
    api_key_id uuid,
    lang text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}',
    checkpoint jsonb,
    result jsonb,
    failure jsonb,
    done_count bigint NOT NULL DEFAULT 0,
    total_count bigint,
    error_count bigint NOT NULL DEFAULT 0,
    is_cancel_asked boolean NOT NULL DEFAULT false,
    steps bigint NOT NULL DEFAULT 0,
    holder uuid,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_asked_by_fkey FOREIGN KEY (tenant_id, asked_by) REFERENCES users (tenant_id, id),
    CONSTRAINT jobs_state_check CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    CONSTRAINT jobs_lang_check CHECK (lang IN ('en', 'zh-CN')),
    CONSTRAINT jobs_ended_at_check CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))),
    CONSTRAINT jobs_done_count_check CHECK (done_count >= 0 AND error_count >= 0)
);
ALTER TABLE jobs SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
SELECT place('jobs', 'tenant');
CREATE INDEX jobs_due_idx ON jobs (due_at) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_tenant_due_idx ON jobs (tenant_id, due_at) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_asked_by_idx ON jobs (tenant_id, asked_by, id DESC);
COMMENT ON TABLE jobs IS 'Long work: done in chunks, each of which commits with the checkpoint from which the next goes on.';
COMMENT ON COLUMN jobs.asked_by IS 'In whose name and with whose rights it works; NULL: the system''s.';
COMMENT ON COLUMN jobs.api_key_id IS 'The key through which it was asked for; it bounds the rights.';
COMMENT ON COLUMN jobs.steps IS 'Chunks committed: a chunk commits only onto the number that it began with.';
COMMENT ON COLUMN jobs.holder IS 'The server that works at it now, until due_at.';
COMMENT ON COLUMN jobs.attempts IS 'Claims since the last committed chunk; it counts before the attempt, so that one which brings a server down backs off too.';
COMMENT ON COLUMN jobs.due_at IS 'Real time before which nobody claims it: the end of its holder''s lease, or of the wait after a failure.';
CREATE TABLE job_errors (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    ordinal bigint NOT NULL,
    row_number bigint,
    subject_id uuid,
    pointer text NOT NULL,
    heading text,
    value text,
    code text NOT NULL,
    message_en text NOT NULL,
    message_zh text NOT NULL,
    original jsonb,
    CONSTRAINT job_errors_pkey PRIMARY KEY (tenant_id, job_id, ordinal),
    CONSTRAINT job_errors_job_fkey FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE
);
SELECT place('job_errors', 'tenant');
COMMENT ON TABLE job_errors IS 'What a job could not do, row by row, written in the chunk that met it.';
COMMENT ON COLUMN job_errors.row_number IS 'In the file, as a spreadsheet counts: the headings are row 1.';
