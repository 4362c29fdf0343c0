CREATE TABLE events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    command_id uuid NOT NULL,
    kind text NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    cause text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    payload_digest bytea NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT events_actor_kind_check CHECK (actor_kind IN ('user', 'key', 'source', 'rule', 'timer', 'job', 'system'))
);
SELECT place('events', 'tenant');
CREATE INDEX events_subject_idx ON events (tenant_id, subject_kind, subject_id, id DESC);
CREATE INDEX events_command_idx ON events (tenant_id, command_id);
COMMENT ON TABLE events IS 'One row for every changed record of a committed command; append-only. Audit, timelines and the feed read it.';
COMMENT ON COLUMN events.occurred_at IS 'Business time (the company''s clock).';
COMMENT ON COLUMN events.recorded_at IS 'Real time.';
CREATE TABLE event_payloads (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    data jsonb,
    sensitive jsonb,
    CONSTRAINT event_payloads_pkey PRIMARY KEY (tenant_id, event_id),
    CONSTRAINT event_payloads_event_fkey FOREIGN KEY (tenant_id, event_id) REFERENCES events (tenant_id, id)
);
SELECT place('event_payloads', 'tenant');
COMMENT ON TABLE event_payloads IS 'What an event says, in a row of its own so that personal data in it can be emptied while the chain, which hashes digests, still holds.';
COMMENT ON COLUMN event_payloads.sensitive IS 'Members that need a permission of their own, keyed by that permission.';
CREATE TABLE event_subjects (
    tenant_id uuid NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    event_id uuid NOT NULL,
    CONSTRAINT event_subjects_pkey PRIMARY KEY (tenant_id, subject_kind, subject_id, event_id),
    CONSTRAINT event_subjects_event_fkey FOREIGN KEY (tenant_id, event_id) REFERENCES events (tenant_id, id)
);
SELECT place('event_subjects', 'tenant');
CREATE INDEX event_subjects_event_idx ON event_subjects (tenant_id, event_id);
COMMENT ON TABLE event_subjects IS 'Which records'' timelines an event belongs to besides its own subject''s, e.g. the account of a deal.';
CREATE TABLE event_positions (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT event_positions_pkey PRIMARY KEY (tenant_id, seq),
    CONSTRAINT event_positions_event_key UNIQUE (tenant_id, event_id),
    CONSTRAINT event_positions_event_fkey FOREIGN KEY (tenant_id, event_id) REFERENCES events (tenant_id, id),
    CONSTRAINT event_positions_seq_check CHECK (seq > 0)
);
SELECT place('event_positions', 'tenant');
COMMENT ON TABLE event_positions IS 'The order of a company''s events, appended after commit by the one leased sequencer: gap-free, and a hash chain.';
CREATE TABLE event_queue (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    CONSTRAINT event_queue_pkey PRIMARY KEY (tenant_id, event_id)
);
ALTER TABLE event_queue SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
SELECT place('event_queue', 'tenant');
COMMENT ON TABLE event_queue IS 'Events that have no position yet: written with the event, deleted in the transaction that gives it its position.';
CREATE TABLE timers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    is_real_time boolean NOT NULL DEFAULT false,
    details jsonb NOT NULL DEFAULT '{}',
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    CONSTRAINT timers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT timers_subject_key UNIQUE (tenant_id, kind, subject_kind, subject_id)
);
ALTER TABLE timers SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
SELECT place('timers', 'tenant');
CREATE INDEX timers_due_idx ON timers (due_at);
CREATE INDEX timers_tenant_due_idx ON timers (tenant_id, due_at);
COMMENT ON TABLE timers IS 'What is to happen later. A fired timer is deleted in the transaction of what it did, so it fires exactly once.';
COMMENT ON COLUMN timers.due_at IS 'By the company''s clock, or by real time where is_real_time.';
COMMENT ON COLUMN timers.attempts IS 'How often it was claimed; it counts before the attempt, so that one which brings a server down backs off too.';
COMMENT ON COLUMN timers.retry_at IS 'Real time before which nobody claims it (again).';
