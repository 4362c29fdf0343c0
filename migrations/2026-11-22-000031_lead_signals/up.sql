CREATE TABLE lead_signals (
    tenant_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    decision_from date,
    decision_until date,
    nurture_reason text,
    CONSTRAINT lead_signals_pkey PRIMARY KEY (tenant_id, lead_id),
    -- Looked at when the transaction ends: it is noted in the same one, before the lead's row is written.
    CONSTRAINT lead_signals_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT lead_signals_decision_until_check CHECK (decision_from IS NULL OR decision_until IS NULL OR decision_until >= decision_from)
);
SELECT place('lead_signals', 'tenant');
COMMENT ON TABLE lead_signals IS 'Members of a lead that stand beside its row: the window in which they decide, and why it rests.';
CREATE TABLE lead_confirmations (
    tenant_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    signal text NOT NULL,
    ability_to_pay text,
    method text,
    note text,
    confirmed_by uuid,
    confirmed_at timestamptz NOT NULL,
    CONSTRAINT lead_confirmations_pkey PRIMARY KEY (tenant_id, lead_id, signal),
    CONSTRAINT lead_confirmations_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT lead_confirmations_confirmed_by_fkey FOREIGN KEY (tenant_id, confirmed_by) REFERENCES users (tenant_id, id),
    CONSTRAINT lead_confirmations_signal_check CHECK (signal IN ('need', 'budget', 'decision_window')),
    CONSTRAINT lead_confirmations_ability_to_pay_check CHECK ((signal = 'budget') = (ability_to_pay IS NOT NULL) AND (ability_to_pay IS NULL OR ability_to_pay IN ('sufficient', 'insufficient', 'none'))),
    CONSTRAINT lead_confirmations_method_check CHECK (method IS NULL OR method IN ('phone_call', 'visit', 'meeting', 'message', 'document', 'other'))
);
SELECT place('lead_confirmations', 'tenant');
CREATE INDEX lead_confirmations_confirmed_by_idx ON lead_confirmations (tenant_id, confirmed_by) WHERE confirmed_by IS NOT NULL;
COMMENT ON TABLE lead_confirmations IS 'Buying signals of a lead that somebody confirmed; a row goes when the value that it is of changes.';
COMMENT ON COLUMN lead_confirmations.confirmed_by IS 'Who; NULL when a program did.';
