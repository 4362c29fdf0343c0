-- An open deal is overdue in its stage after this instant. Every move writes it; that of deals which are here already is
-- entered by a duty, in batches, and `fills` says when it is through.
ALTER TABLE opportunities ADD COLUMN stage_due_at timestamptz;
COMMENT ON COLUMN opportunities.stage_due_at IS 'Until when it is expected to stay in its stage, time closed left out; NULL when it is closed, or the stage expects nothing.';
CREATE TABLE fills (
    name text NOT NULL,
    completed_at timestamptz NOT NULL,
    CONSTRAINT fills_pkey PRIMARY KEY (name)
);
SELECT place('fills', 'local');
COMMENT ON TABLE fills IS 'Which columns that came later are complete, those of older rows too; by real time.';
INSERT INTO fills (name, completed_at) SELECT 'stage_due_at', now() WHERE NOT EXISTS (SELECT 1 FROM opportunities);
