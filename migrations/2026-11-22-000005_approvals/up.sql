CREATE TABLE approval_processes (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    subject_kind text NOT NULL,
    published_number integer,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT approval_processes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT approval_processes_key_key UNIQUE (tenant_id, key),
    CONSTRAINT approval_processes_key_check CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT approval_processes_subject_kind_check CHECK (subject_kind IN ('opportunity', 'lead', 'result_sheet'))
);
SELECT place('approval_processes', 'tenant');
CREATE TABLE approval_process_versions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    process_id uuid NOT NULL,
    number integer NOT NULL,
    state text NOT NULL DEFAULT 'draft',
    document jsonb NOT NULL,
    published_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT approval_process_versions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT approval_process_versions_number_key UNIQUE (tenant_id, process_id, number),
    CONSTRAINT approval_process_versions_process_fkey FOREIGN KEY (tenant_id, process_id) REFERENCES approval_processes (tenant_id, id),
    CONSTRAINT approval_process_versions_state_check CHECK (state IN ('draft', 'published', 'retired'))
);
SELECT place('approval_process_versions', 'tenant');
CREATE UNIQUE INDEX approval_process_versions_published_key ON approval_process_versions (tenant_id, process_id) WHERE state = 'published';
COMMENT ON COLUMN approval_process_versions.document IS 'Ordered steps with approvers, mode, condition, deadline; the members whose change lapses a grant; separation of duties.';
CREATE TABLE approval_requests (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    process_id uuid NOT NULL,
    process_version_id uuid NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid NOT NULL,
    visit_id uuid,
    criterion_id uuid,
    previous_id uuid,
    requester_id uuid NOT NULL,
    subject_owner_id uuid,
    state text NOT NULL DEFAULT 'pending',
    current_position integer,
    snapshot jsonb NOT NULL,
    content_hash bytea NOT NULL,
    comment text,
    amount numeric(20,4),
    currency text,
    exchange_rate numeric(20,10),
    advances_when_granted boolean NOT NULL DEFAULT false,
    requested_at timestamptz NOT NULL,
    closed_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT approval_requests_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT approval_requests_process_fkey FOREIGN KEY (tenant_id, process_id) REFERENCES approval_processes (tenant_id, id),
    CONSTRAINT approval_requests_process_version_fkey FOREIGN KEY (tenant_id, process_version_id) REFERENCES approval_process_versions (tenant_id, id),
    CONSTRAINT approval_requests_previous_fkey FOREIGN KEY (tenant_id, previous_id) REFERENCES approval_requests (tenant_id, id),
    CONSTRAINT approval_requests_requester_fkey FOREIGN KEY (tenant_id, requester_id) REFERENCES users (tenant_id, id),
    CONSTRAINT approval_requests_state_check CHECK (state IN ('pending', 'approved', 'rejected', 'returned', 'withdrawn', 'lapsed')),
    CONSTRAINT approval_requests_closed_check CHECK ((state = 'pending') = (closed_at IS NULL))
);
SELECT place('approval_requests', 'tenant');
CREATE UNIQUE INDEX approval_requests_live_key ON approval_requests (tenant_id, subject_kind, subject_id, process_id, visit_id, criterion_id) NULLS NOT DISTINCT WHERE state IN ('pending', 'approved');
CREATE INDEX approval_requests_subject_idx ON approval_requests (tenant_id, subject_kind, subject_id, visit_id);
CREATE INDEX approval_requests_process_idx ON approval_requests (tenant_id, process_id);
CREATE INDEX approval_requests_process_version_idx ON approval_requests (tenant_id, process_version_id);
CREATE INDEX approval_requests_previous_idx ON approval_requests (tenant_id, previous_id) WHERE previous_id IS NOT NULL;
CREATE INDEX approval_requests_requester_idx ON approval_requests (tenant_id, requester_id, requested_at DESC);
CREATE INDEX approval_requests_requested_idx ON approval_requests (tenant_id, requested_at DESC, id DESC);
COMMENT ON COLUMN approval_requests.content_hash IS 'SHA-256 over the canonical form of the members that the process declares; a grant holds only while it is equal.';
CREATE TABLE approval_steps (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    request_id uuid NOT NULL,
    position integer NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    mode text NOT NULL,
    quorum integer,
    state text NOT NULL DEFAULT 'waiting',
    opened_at timestamptz,
    due_at timestamptz,
    closed_at timestamptz,
    CONSTRAINT approval_steps_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT approval_steps_key_key UNIQUE (tenant_id, request_id, key),
    CONSTRAINT approval_steps_request_fkey FOREIGN KEY (tenant_id, request_id) REFERENCES approval_requests (tenant_id, id),
    CONSTRAINT approval_steps_mode_check CHECK (mode IN ('any', 'all', 'quorum')),
    CONSTRAINT approval_steps_quorum_check CHECK ((mode = 'quorum') = (quorum IS NOT NULL) AND quorum > 0),
    CONSTRAINT approval_steps_state_check CHECK (state IN ('waiting', 'open', 'approved', 'rejected', 'skipped', 'closed'))
);
SELECT place('approval_steps', 'tenant');
COMMENT ON COLUMN approval_steps.state IS 'skipped: its condition does not hold; closed: the request ended before it did.';
CREATE TABLE approval_seats (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    request_id uuid NOT NULL,
    step_id uuid NOT NULL,
    user_id uuid NOT NULL,
    origin text NOT NULL,
    for_user_id uuid,
    replaced_by uuid,
    decision text,
    opinion text,
    decided_at timestamptz,
    decided_by uuid,
    CONSTRAINT approval_seats_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT approval_seats_request_fkey FOREIGN KEY (tenant_id, request_id) REFERENCES approval_requests (tenant_id, id),
    CONSTRAINT approval_seats_step_fkey FOREIGN KEY (tenant_id, step_id) REFERENCES approval_steps (tenant_id, id),
    CONSTRAINT approval_seats_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT approval_seats_origin_check CHECK (origin IN ('process', 'delegation', 'added', 'escalation', 'replacement', 'fallback')),
    CONSTRAINT approval_seats_decision_check CHECK (decision IN ('approve', 'reject')),
    CONSTRAINT approval_seats_decided_check CHECK ((decision IS NULL) = (decided_at IS NULL))
);
SELECT place('approval_seats', 'tenant');
CREATE UNIQUE INDEX approval_seats_person_key ON approval_seats (tenant_id, step_id, user_id) WHERE replaced_by IS NULL;
CREATE INDEX approval_seats_request_idx ON approval_seats (tenant_id, request_id);
CREATE INDEX approval_seats_step_idx ON approval_seats (tenant_id, step_id);
CREATE INDEX approval_seats_waiting_idx ON approval_seats (tenant_id, user_id, request_id) WHERE decision IS NULL AND replaced_by IS NULL;
COMMENT ON TABLE approval_seats IS 'Who decides in a step, frozen when the step opens. One person fills one seat.';
COMMENT ON COLUMN approval_seats.for_user_id IS 'The absent person for whom the holder stands in.';
COMMENT ON COLUMN approval_seats.replaced_by IS 'The seat that took the place of this one, which then counts no longer.';
CREATE TABLE approval_acts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    request_id uuid NOT NULL,
    step_id uuid,
    seat_id uuid,
    to_seat_id uuid,
    kind text NOT NULL,
    actor_id uuid,
    to_user_id uuid,
    origin text,
    for_user_id uuid,
    comment text,
    acted_at timestamptz NOT NULL,
    CONSTRAINT approval_acts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT approval_acts_request_fkey FOREIGN KEY (tenant_id, request_id) REFERENCES approval_requests (tenant_id, id),
    CONSTRAINT approval_acts_origin_check CHECK (origin IN ('process', 'delegation', 'added', 'escalation', 'replacement', 'fallback')),
    CONSTRAINT approval_acts_new_seat_check CHECK ((to_seat_id IS NULL) = (origin IS NULL)),
    CONSTRAINT approval_acts_kind_check CHECK (kind IN ('request', 'skip', 'open', 'seat', 'approve', 'reject', 'return', 'withdraw', 'delegate', 'add_approver', 'comment', 'remind', 'escalate', 'replace', 'lapse'))
);
SELECT place('approval_acts', 'tenant');
CREATE INDEX approval_acts_request_idx ON approval_acts (tenant_id, request_id, id);
COMMENT ON COLUMN approval_acts.seat_id IS 'The seat that was decided, reminded, or given up.';
COMMENT ON COLUMN approval_acts.to_seat_id IS 'The seat that came to be, held by to_user_id.';
COMMENT ON TABLE approval_acts IS 'Everything that was done in a request, in order; its outcome follows from these alone. Append-only.';
