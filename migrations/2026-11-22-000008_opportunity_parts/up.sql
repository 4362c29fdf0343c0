CREATE TABLE opportunity_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    product_id uuid,
    name text NOT NULL,
    quantity numeric(20,4) NOT NULL,
    unit text,
    unit_price numeric(20,4) NOT NULL,
    discount numeric(5,4) NOT NULL DEFAULT 0,
    note text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT opportunity_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT opportunity_lines_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT opportunity_lines_product_fkey FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
    CONSTRAINT opportunity_lines_quantity_check CHECK (quantity > 0),
    CONSTRAINT opportunity_lines_unit_price_check CHECK (unit_price >= 0),
    CONSTRAINT opportunity_lines_discount_check CHECK (discount BETWEEN 0 AND 1)
);
SELECT place('opportunity_lines', 'tenant');
CREATE INDEX opportunity_lines_opportunity_idx ON opportunity_lines (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX opportunity_lines_product_idx ON opportunity_lines (tenant_id, product_id) WHERE product_id IS NOT NULL;
COMMENT ON TABLE opportunity_lines IS 'Products wanted; amounts in the opportunity''s currency.';
CREATE TABLE decision_chain_members (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    contact_id uuid,
    title text,
    role text NOT NULL,
    influence numeric(5,4) NOT NULL,
    stance text NOT NULL DEFAULT 'unknown',
    note text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT decision_chain_members_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT decision_chain_members_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT decision_chain_members_contact_fkey FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts (tenant_id, id),
    CONSTRAINT decision_chain_members_contact_check CHECK (contact_id IS NOT NULL OR title IS NOT NULL),
    CONSTRAINT decision_chain_members_role_check CHECK (role IN ('user', 'technical', 'procurement', 'decision_maker')),
    CONSTRAINT decision_chain_members_influence_check CHECK (influence BETWEEN 0 AND 1),
    CONSTRAINT decision_chain_members_stance_check CHECK (stance IN ('unknown', 'supporter', 'neutral', 'opponent'))
);
SELECT place('decision_chain_members', 'tenant');
CREATE INDEX decision_chain_members_opportunity_idx ON decision_chain_members (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX decision_chain_members_contact_idx ON decision_chain_members (tenant_id, contact_id) WHERE contact_id IS NOT NULL;
COMMENT ON TABLE decision_chain_members IS 'Who decides at the customer; the influences (shares 0–1) of an opportunity add to at most 1.';
CREATE TABLE need_analyses (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    held_at timestamptz NOT NULL,
    participants text,
    situation text,
    problem text,
    implication text,
    payoff text,
    explicit_needs text,
    hidden_needs text,
    budget_amount numeric(20,4),
    currency text,
    decision_process text,
    confirmation_sent_at timestamptz,
    confirmed_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT need_analyses_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT need_analyses_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT need_analyses_budget_amount_check CHECK (budget_amount IS NULL OR (budget_amount >= 0 AND currency IS NOT NULL)),
    CONSTRAINT need_analyses_confirmation_sent_at_check CHECK (confirmation_sent_at >= held_at),
    CONSTRAINT need_analyses_confirmed_at_check CHECK (confirmed_at >= held_at)
);
SELECT place('need_analyses', 'tenant');
CREATE INDEX need_analyses_opportunity_idx ON need_analyses (tenant_id, opportunity_id, created_at DESC, id DESC);
COMMENT ON TABLE need_analyses IS 'What was learned of the customer''s needs, one row an interview.';
CREATE TABLE solution_checklist_items (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    position integer NOT NULL DEFAULT 0,
    module text NOT NULL,
    required_content text,
    is_done boolean NOT NULL DEFAULT false,
    responsible text,
    responsible_id uuid,
    done_on date,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT solution_checklist_items_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT solution_checklist_items_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT solution_checklist_items_responsible_fkey FOREIGN KEY (tenant_id, responsible_id) REFERENCES users (tenant_id, id),
    CONSTRAINT solution_checklist_items_done_on_check CHECK (done_on IS NULL OR is_done)
);
SELECT place('solution_checklist_items', 'tenant');
CREATE INDEX solution_checklist_items_opportunity_idx ON solution_checklist_items (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX solution_checklist_items_responsible_idx ON solution_checklist_items (tenant_id, responsible_id) WHERE responsible_id IS NOT NULL;
COMMENT ON TABLE solution_checklist_items IS 'The modules a solution must contain.';
CREATE TABLE objections (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    raised_on date NOT NULL,
    category text,
    content text NOT NULL,
    demand text,
    answer text,
    responsible text,
    responsible_id uuid,
    resolve_by date,
    resolved_on date,
    reaction text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT objections_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT objections_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT objections_responsible_fkey FOREIGN KEY (tenant_id, responsible_id) REFERENCES users (tenant_id, id),
    CONSTRAINT objections_category_check CHECK (category IN ('price', 'function', 'delivery', 'fit', 'other')),
    CONSTRAINT objections_resolved_on_check CHECK (resolved_on >= raised_on)
);
SELECT place('objections', 'tenant');
CREATE INDEX objections_opportunity_idx ON objections (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX objections_responsible_idx ON objections (tenant_id, responsible_id) WHERE responsible_id IS NOT NULL;
COMMENT ON TABLE objections IS 'What the customer objected to, and how it was answered.';
CREATE TABLE negotiation_records (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    held_at timestamptz NOT NULL,
    way text,
    their_people text,
    our_people text,
    topics jsonb NOT NULL DEFAULT '[]',
    our_floor text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT negotiation_records_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT negotiation_records_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT negotiation_records_topics_check CHECK (jsonb_typeof(topics) = 'array')
);
SELECT place('negotiation_records', 'tenant');
CREATE INDEX negotiation_records_opportunity_idx ON negotiation_records (tenant_id, opportunity_id, created_at DESC, id DESC);
COMMENT ON TABLE negotiation_records IS 'One negotiation: each topic with their position, ours, the interim agreement and what is open. our_floor is sensitive.';
CREATE TABLE competitors_met (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    competitor_id uuid NOT NULL,
    strengths text,
    weaknesses text,
    price numeric(20,4),
    currency text,
    outcome text NOT NULL DEFAULT 'open',
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT competitors_met_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT competitors_met_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT competitors_met_competitor_fkey FOREIGN KEY (tenant_id, competitor_id) REFERENCES competitors (tenant_id, id),
    CONSTRAINT competitors_met_price_check CHECK (price IS NULL OR (price >= 0 AND currency IS NOT NULL)),
    CONSTRAINT competitors_met_outcome_check CHECK (outcome IN ('open', 'beaten', 'beat_us'))
);
SELECT place('competitors_met', 'tenant');
CREATE INDEX competitors_met_opportunity_idx ON competitors_met (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX competitors_met_competitor_idx ON competitors_met (tenant_id, competitor_id) WHERE competitor_id IS NOT NULL;
COMMENT ON TABLE competitors_met IS 'Competitors met on a deal.';
CREATE TABLE value_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    metric text NOT NULL,
    before_value text,
    after_value text,
    amount numeric(20,4),
    currency text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT value_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT value_lines_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT value_lines_amount_check CHECK (amount IS NULL OR currency IS NOT NULL)
);
SELECT place('value_lines', 'tenant');
CREATE INDEX value_lines_opportunity_idx ON value_lines (tenant_id, opportunity_id, created_at DESC, id DESC);
COMMENT ON TABLE value_lines IS 'What the solution is worth to the customer, metric by metric.';
CREATE TABLE risk_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    risk text NOT NULL,
    measure text,
    responsible_id uuid,
    is_settled boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT risk_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT risk_lines_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT risk_lines_responsible_fkey FOREIGN KEY (tenant_id, responsible_id) REFERENCES users (tenant_id, id)
);
SELECT place('risk_lines', 'tenant');
CREATE INDEX risk_lines_opportunity_idx ON risk_lines (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX risk_lines_responsible_idx ON risk_lines (tenant_id, responsible_id) WHERE responsible_id IS NOT NULL;
COMMENT ON TABLE risk_lines IS 'What could go wrong, and the measure against it.';
CREATE TABLE change_requests (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    requested_on date NOT NULL,
    content text NOT NULL,
    state text NOT NULL DEFAULT 'open',
    explanation text,
    answered_on date,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT change_requests_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT change_requests_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT change_requests_state_check CHECK (state IN ('open', 'accepted', 'refused', 'deferred')),
    CONSTRAINT change_requests_explanation_check CHECK (state <> 'refused' OR explanation IS NOT NULL),
    CONSTRAINT change_requests_answered_on_check CHECK (answered_on >= requested_on)
);
SELECT place('change_requests', 'tenant');
CREATE INDEX change_requests_opportunity_idx ON change_requests (tenant_id, opportunity_id, created_at DESC, id DESC);
COMMENT ON TABLE change_requests IS 'What the customer wants changed in evaluation.';
CREATE TABLE negotiation_plans (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    floor_discount numeric(5,4),
    longest_payment_days integer,
    non_negotiables text,
    concessions text,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT negotiation_plans_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT negotiation_plans_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT negotiation_plans_floor_discount_check CHECK (floor_discount BETWEEN 0 AND 1),
    CONSTRAINT negotiation_plans_longest_payment_days_check CHECK (longest_payment_days >= 0)
);
SELECT place('negotiation_plans', 'tenant');
CREATE INDEX negotiation_plans_opportunity_idx ON negotiation_plans (tenant_id, opportunity_id, created_at DESC, id DESC);
COMMENT ON TABLE negotiation_plans IS 'Our limits, made before talks; sensitive as a whole.';
CREATE TABLE negotiation_team_members (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT negotiation_team_members_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT negotiation_team_members_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT negotiation_team_members_user_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    CONSTRAINT negotiation_team_members_role_check CHECK (role IN ('signatory', 'finance', 'line_manager', 'legal', 'technical', 'sales'))
);
SELECT place('negotiation_team_members', 'tenant');
CREATE INDEX negotiation_team_members_opportunity_idx ON negotiation_team_members (tenant_id, opportunity_id, created_at DESC, id DESC);
CREATE INDEX negotiation_team_members_user_idx ON negotiation_team_members (tenant_id, user_id) WHERE user_id IS NOT NULL;
COMMENT ON TABLE negotiation_team_members IS 'Who sits at the table for us.';
CREATE TABLE result_sheets (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    opportunity_id uuid NOT NULL,
    agreed_on date NOT NULL,
    terms jsonb NOT NULL DEFAULT '[]',
    amount numeric(20,4),
    currency text,
    note text,
    frozen_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    archived_at timestamptz,
    CONSTRAINT result_sheets_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT result_sheets_opportunity_fkey FOREIGN KEY (tenant_id, opportunity_id) REFERENCES opportunities (tenant_id, id),
    CONSTRAINT result_sheets_amount_check CHECK (amount IS NULL OR (amount >= 0 AND currency IS NOT NULL)),
    CONSTRAINT result_sheets_terms_check CHECK (jsonb_typeof(terms) = 'array')
);
SELECT place('result_sheets', 'tenant');
CREATE INDEX result_sheets_opportunity_idx ON result_sheets (tenant_id, opportunity_id, created_at DESC, id DESC);
COMMENT ON TABLE result_sheets IS 'What the negotiation came to: the base of the contract draft; frozen once approved.';
