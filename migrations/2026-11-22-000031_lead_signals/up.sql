CREATE TABLE lead_signals (
    tenant_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    decision_from date,
    decision_until date,
    nurture_reason text,
    confirmations jsonb,
    is_need_confirmed boolean GENERATED ALWAYS AS (coalesce(confirmations ? 'need', false)) STORED,
    is_budget_confirmed boolean GENERATED ALWAYS AS (coalesce(confirmations ? 'budget', false)) STORED,
    is_decision_window_confirmed boolean GENERATED ALWAYS AS (coalesce(confirmations ? 'decision_window', false)) STORED,
    ability_to_pay text GENERATED ALWAYS AS (confirmations #>> '{budget,ability_to_pay}') STORED,
    CONSTRAINT lead_signals_pkey PRIMARY KEY (tenant_id, lead_id),
    -- Looked at when the transaction ends: it is noted in the same one, before the lead's row is written.
    CONSTRAINT lead_signals_lead_fkey FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT lead_signals_decision_until_check CHECK (decision_from IS NULL OR decision_until IS NULL OR decision_until >= decision_from),
    CONSTRAINT lead_signals_confirmations_check CHECK (confirmations IS NULL OR (jsonb_typeof(confirmations) = 'object' AND confirmations - ARRAY['need', 'budget', 'decision_window'] = '{}')),
    CONSTRAINT lead_signals_ability_to_pay_check CHECK (coalesce(confirmations ? 'budget', false) = (ability_to_pay IS NOT NULL) AND (ability_to_pay IS NULL OR ability_to_pay IN ('sufficient', 'insufficient', 'none')))
);
SELECT place('lead_signals', 'tenant');
COMMENT ON TABLE lead_signals IS 'Members of a lead that stand beside its row: the window in which they decide, why it rests, and which of its buying signals somebody confirmed.';
COMMENT ON COLUMN lead_signals.confirmations IS 'By signal: who confirmed it, when and how; what is not confirmed is absent. An entry goes when the value that it is of changes.';
