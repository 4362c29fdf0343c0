CREATE TABLE transfer_files (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    purpose text NOT NULL,
    name text NOT NULL,
    format text NOT NULL,
    encoding text,
    delimiter text,
    size_bytes bigint NOT NULL DEFAULT 0,
    digest bytea,
    is_complete boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    CONSTRAINT transfer_files_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT transfer_files_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT transfer_files_purpose_check CHECK (purpose IN ('import', 'export')),
    CONSTRAINT transfer_files_format_check CHECK (format IN ('csv', 'ndjson', 'xlsx'))
);
SELECT place('transfer_files', 'tenant');
CREATE INDEX transfer_files_user_idx ON transfer_files (tenant_id, user_id);
CREATE INDEX transfer_files_created_idx ON transfer_files (created_at);
COMMENT ON TABLE transfer_files IS 'A file that was sent in to be imported, or that an export made; in the database, so that any server can go on with it. Removed after seven days of real time.';
COMMENT ON COLUMN transfer_files.format IS 'As it is stored: a workbook that was sent in stands here as csv.';
COMMENT ON COLUMN transfer_files.encoding IS 'How its text is written, e.g. UTF-8 or GBK.';
CREATE TABLE transfer_chunks (
    tenant_id uuid NOT NULL,
    file_id uuid NOT NULL,
    start_at bigint NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT transfer_chunks_pkey PRIMARY KEY (tenant_id, file_id, start_at),
    CONSTRAINT transfer_chunks_file_fkey FOREIGN KEY (tenant_id, file_id) REFERENCES transfer_files (tenant_id, id) ON DELETE CASCADE
);
SELECT place('transfer_chunks', 'tenant');
COMMENT ON TABLE transfer_chunks IS 'The bytes of a file, in pieces, each from its place in the whole.';
