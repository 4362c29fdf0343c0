// @generated automatically by Diesel CLI.

pub mod sql_types {
    #[derive(diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "tsvector", schema = "pg_catalog"))]
    pub struct Tsvector;
}

diesel::table! {
    /// How a member of an account was verified, by whom, when.
    account_verifications (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        account_id -> Uuid,
        member -> Text,
        status -> Text,
        method -> Text,
        source -> Nullable<Text>,
        note -> Nullable<Text>,
        /// What the member said then, as text; the verification is outdated when it says something else.
        value -> Text,
        /// Who; NULL when a program did.
        verified_by -> Nullable<Uuid>,
        verified_at -> Timestamptz,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    accounts (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        industry -> Nullable<Text>,
        employees -> Nullable<Int4>,
        annual_revenue -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        /// The size as it was stated, e.g. 200人/1亿.
        size_note -> Nullable<Text>,
        region -> Nullable<Text>,
        address -> Nullable<Text>,
        billing_title -> Nullable<Text>,
        tax_number -> Nullable<Text>,
        website -> Nullable<Text>,
        source_id -> Nullable<Uuid>,
        owner_id -> Nullable<Uuid>,
        parent_id -> Nullable<Uuid>,
        segment -> Nullable<Text>,
        grade -> Nullable<Text>,
        level -> Nullable<Text>,
        follow_up_status -> Nullable<Text>,
        next_follow_up_on -> Nullable<Date>,
        expected_need_on -> Nullable<Date>,
        /// net N, net N eom, eom N, or instalments.
        credit_terms -> Nullable<Text>,
        description -> Nullable<Text>,
        tags -> Array<Nullable<Text>>,
        custom -> Jsonb,
        is_grade_by_hand -> Bool,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Keys act as their user, limited to the role when one is named. Archived means revoked. Times are real.
    api_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        user_id -> Uuid,
        role_id -> Nullable<Uuid>,
        prefix -> Text,
        secret_hash -> Bytea,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Everything that was done in a request, in order; its outcome follows from these alone. Append-only.
    approval_acts (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        request_id -> Uuid,
        step_id -> Nullable<Uuid>,
        /// The seat that was decided, reminded, or given up.
        seat_id -> Nullable<Uuid>,
        /// The seat that came to be, held by to_user_id.
        to_seat_id -> Nullable<Uuid>,
        kind -> Text,
        actor_id -> Nullable<Uuid>,
        to_user_id -> Nullable<Uuid>,
        origin -> Nullable<Text>,
        for_user_id -> Nullable<Uuid>,
        comment -> Nullable<Text>,
        acted_at -> Timestamptz,
    }
}

diesel::table! {
    approval_process_versions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        process_id -> Uuid,
        number -> Int4,
        state -> Text,
        /// Ordered steps with approvers, mode, condition, deadline; the members whose change lapses a grant; separation of duties.
        document -> Jsonb,
        published_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    approval_processes (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        subject_kind -> Text,
        published_number -> Nullable<Int4>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    approval_requests (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        process_id -> Uuid,
        process_version_id -> Uuid,
        subject_kind -> Text,
        subject_id -> Uuid,
        visit_id -> Nullable<Uuid>,
        criterion_id -> Nullable<Uuid>,
        previous_id -> Nullable<Uuid>,
        requester_id -> Uuid,
        subject_owner_id -> Nullable<Uuid>,
        state -> Text,
        current_position -> Nullable<Int4>,
        snapshot -> Jsonb,
        /// SHA-256 over the canonical form of the members that the process declares; a grant holds only while it is equal.
        content_hash -> Bytea,
        comment -> Nullable<Text>,
        amount -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        exchange_rate -> Nullable<Numeric>,
        advances_when_granted -> Bool,
        requested_at -> Timestamptz,
        closed_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        /// The stage that the advance which asked was to lead to; NULL where it named none.
        advances_to_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    /// Who decides in a step, frozen when the step opens. One person fills one seat.
    approval_seats (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        request_id -> Uuid,
        step_id -> Uuid,
        user_id -> Uuid,
        origin -> Text,
        /// The absent person for whom the holder stands in.
        for_user_id -> Nullable<Uuid>,
        /// The seat that took the place of this one, which then counts no longer.
        replaced_by -> Nullable<Uuid>,
        decision -> Nullable<Text>,
        opinion -> Nullable<Text>,
        decided_at -> Nullable<Timestamptz>,
        decided_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    approval_steps (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        request_id -> Uuid,
        position -> Int4,
        key -> Text,
        name -> Text,
        mode -> Text,
        quorum -> Nullable<Int4>,
        /// skipped: its condition does not hold; closed: the request ended before it did.
        state -> Text,
        opened_at -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        closed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Who gets which leads: of the rules of a moment the first that is met decides.
    assignment_rules (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        position -> Int4,
        trigger -> Text,
        /// CEL; NULL: every lead.
        condition -> Nullable<Text>,
        candidates -> Jsonb,
        strategy -> Text,
        when_nobody -> Text,
        is_enabled -> Bool,
        takes_owned -> Bool,
        response_minutes -> Nullable<Int4>,
        warning_minutes -> Nullable<Int4>,
        goal -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// How a company gives leads to people; no row: the defaults. Its row is the lock under which loads are counted and turns are taken.
    assignment_settings (tenant_id) {
        tenant_id -> Uuid,
        /// Most open leads that one person holds who has no capacity of their own; NULL: any number.
        lead_capacity -> Nullable<Int4>,
        assigns_entered_leads -> Bool,
        assigns_imported_leads -> Bool,
        /// Working minutes until the first response to a sales-qualified lead; NULL: no deadline.
        response_minutes -> Nullable<Int4>,
        /// Working minutes before the deadline.
        warning_minutes -> Nullable<Int4>,
        when_missed -> Text,
        when_nobody_left -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Whose turn it is at a rule; written under the lock of assignment_settings.
    assignment_turns (tenant_id, rule_id, user_id) {
        tenant_id -> Uuid,
        rule_id -> Uuid,
        user_id -> Uuid,
        /// Number of the rule's turn at which they last got a lead, counted from 1.
        last_turn -> Int8,
        /// What they have to their credit where leads go by weight: the sum over a rule's candidates is 0.
        credit -> Int8,
    }
}

diesel::table! {
    /// Days that are not as the week says: holidays, make-up days, days with other hours.
    calendar_days (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        day -> Date,
        kind -> Text,
        name -> Nullable<Text>,
        /// Its own hours, [{begins, ends}]; NULL: those of its weekday, or the standard ones where that is not worked.
        hours -> Nullable<Jsonb>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What a campaign cost, day by day, in the currency in which it was paid.
    campaign_costs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        campaign_id -> Uuid,
        cost_on -> Date,
        amount -> Numeric,
        currency -> Text,
        note -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Something that a channel does to win leads, for a time and a budget.
    campaigns (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        source_id -> Uuid,
        key -> Text,
        name -> Text,
        starts_on -> Nullable<Date>,
        ends_on -> Nullable<Date>,
        budget -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        description -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What the customer wants changed in evaluation.
    change_requests (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        requested_on -> Date,
        content -> Text,
        state -> Text,
        explanation -> Nullable<Text>,
        answered_on -> Nullable<Date>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Which company has which short name: one name, one company. A table of its own, since no key of a tenant's table reaches over all tenants.
    company_slugs (slug) {
        slug -> Text,
        tenant_id -> Uuid,
    }
}

diesel::table! {
    competitors (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        website -> Nullable<Text>,
        strengths -> Nullable<Text>,
        weaknesses -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Competitors met on a deal.
    competitors_met (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        competitor_id -> Uuid,
        strengths -> Nullable<Text>,
        weaknesses -> Nullable<Text>,
        price -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        outcome -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// How a member of a contact was verified, by whom, when.
    contact_verifications (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        contact_id -> Uuid,
        member -> Text,
        status -> Text,
        method -> Text,
        source -> Nullable<Text>,
        note -> Nullable<Text>,
        /// What the member said then, as text; the verification is outdated when it says something else.
        value -> Text,
        /// Who; NULL when a program did.
        verified_by -> Nullable<Uuid>,
        verified_at -> Timestamptz,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    contacts (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        account_id -> Nullable<Uuid>,
        name -> Text,
        job_title -> Nullable<Text>,
        /// As it was typed.
        phone -> Nullable<Text>,
        /// Normalised, when it parses.
        phone_e164 -> Nullable<Text>,
        personal_phone -> Nullable<Text>,
        email -> Nullable<Text>,
        buying_role -> Nullable<Text>,
        owner_id -> Nullable<Uuid>,
        description -> Nullable<Text>,
        tags -> Array<Nullable<Text>>,
        custom -> Jsonb,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The identity of an exit criterion through all versions of its pipeline.
    criteria (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        stage_id -> Uuid,
        key -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Ticks and answers, bound to the visit in which they were given.
    criterion_answers (tenant_id, visit_id, criterion_id) {
        tenant_id -> Uuid,
        visit_id -> Uuid,
        criterion_id -> Uuid,
        opportunity_id -> Uuid,
        answer -> Jsonb,
        note -> Nullable<Text>,
        answered_by -> Nullable<Uuid>,
        answered_at -> Timestamptz,
    }
}

diesel::table! {
    /// A second copy of the filterable custom values, in typed columns with B-trees; written with the record.
    custom_values (tenant_id, record_kind, record_id, field_key) {
        tenant_id -> Uuid,
        record_kind -> Text,
        field_key -> Text,
        record_id -> Uuid,
        text_value -> Nullable<Text>,
        number_value -> Nullable<Numeric>,
        day_value -> Nullable<Date>,
    }
}

diesel::table! {
    /// Ideal customers: weighted conditions over leads and accounts.
    customer_profiles (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        name_zh -> Nullable<Text>,
        description -> Nullable<Text>,
        criteria -> Jsonb,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// One run of an opportunity through its pipeline; what it came to is frozen at its end.
    cycles (tenant_id, opportunity_id, number) {
        tenant_id -> Uuid,
        opportunity_id -> Uuid,
        number -> Int4,
        started_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        outcome -> Nullable<Text>,
        stage_id -> Nullable<Uuid>,
        owner_id -> Nullable<Uuid>,
        amount -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        exchange_rate -> Nullable<Numeric>,
        probability -> Nullable<Numeric>,
        lines -> Nullable<Jsonb>,
        loss_reason_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        competitor_id -> Nullable<Uuid>,
        debrief_on -> Nullable<Date>,
    }
}

diesel::table! {
    /// Who decides at the customer; the influences (shares 0–1) of an opportunity add to at most 1.
    decision_chain_members (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        contact_id -> Nullable<Uuid>,
        title -> Nullable<Text>,
        role -> Text,
        influence -> Numeric,
        stance -> Text,
        note -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Pairs of records that may be one, each pair once, and what people decided.
    duplicate_reviews (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        other_kind -> Text,
        other_id -> Uuid,
        score -> Numeric,
        reasons -> Jsonb,
        status -> Text,
        later_until -> Nullable<Date>,
        decided_by -> Nullable<Uuid>,
        decided_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What an event says, in a row of its own so that personal data in it can be emptied while the chain, which hashes digests, still holds.
    event_payloads (tenant_id, event_id) {
        tenant_id -> Uuid,
        event_id -> Uuid,
        data -> Nullable<Jsonb>,
        /// Members that need a permission of their own, keyed by that permission.
        sensitive -> Nullable<Jsonb>,
    }
}

diesel::table! {
    /// The order of a company's events, appended after commit by the one leased sequencer: gap-free, and a hash chain.
    event_positions (tenant_id, seq) {
        tenant_id -> Uuid,
        seq -> Int8,
        event_id -> Uuid,
        hash -> Bytea,
    }
}

diesel::table! {
    /// Events that have no position yet: written with the event, deleted in the transaction that gives it its position.
    event_queue (tenant_id, event_id) {
        tenant_id -> Uuid,
        event_id -> Uuid,
    }
}

diesel::table! {
    /// Which records' timelines an event belongs to besides its own subject's, e.g. the account of a deal.
    event_subjects (tenant_id, subject_kind, subject_id, event_id) {
        tenant_id -> Uuid,
        subject_kind -> Text,
        subject_id -> Uuid,
        event_id -> Uuid,
    }
}

diesel::table! {
    /// One row for every changed record of a committed command; append-only. Audit, timelines and the feed read it.
    events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        command_id -> Uuid,
        kind -> Text,
        subject_kind -> Text,
        subject_id -> Uuid,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
        cause -> Nullable<Text>,
        /// Business time (the company's clock).
        occurred_at -> Timestamptz,
        /// Real time.
        recorded_at -> Timestamptz,
        payload_digest -> Bytea,
    }
}

diesel::table! {
    exchange_rates (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        currency -> Text,
        rate_on -> Date,
        /// Units of the company's currency for one unit of this one, on that day and until the next entry.
        rate -> Numeric,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    external_ids (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        system -> Text,
        external_id -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// The fields that a company adds to a resource; their values stand in that resource's custom member.
    field_definitions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        resource -> Text,
        key -> Text,
        label -> Text,
        kind -> Text,
        choices -> Nullable<Array<Nullable<Text>>>,
        is_required -> Bool,
        is_filterable -> Bool,
        help -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
        /// Since when every record's value stands in custom_values; NULL while it does not.
        indexed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Which columns that came later are complete, those of older rows too; by real time.
    fills (name) {
        name -> Text,
        completed_at -> Timestamptz,
    }
}

diesel::table! {
    handovers (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        from_user_id -> Uuid,
        to_user_id -> Uuid,
        counts -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// The first 2xx answer of a POST, for its repetitions; commits with the work, expires after 24 h of real time.
    idempotency_keys (tenant_id, caller_id, operation, key) {
        tenant_id -> Uuid,
        caller_id -> Uuid,
        operation -> Text,
        key -> Text,
        request_hash -> Bytea,
        status -> Nullable<Int2>,
        headers -> Nullable<Jsonb>,
        body -> Nullable<Bytea>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// By what a record can be known exactly: its phones, e-mail and tax number in normal form, and its whole folded name.
    identity_keys (tenant_id, key_kind, key, record_kind, record_id) {
        tenant_id -> Uuid,
        record_kind -> Text,
        key_kind -> Text,
        key -> Text,
        record_id -> Uuid,
        /// exclusive: of its kind one live record has it; shared: many may (switchboards, info@, names); admitted: a second record has it all the same; retired: its record is archived, converted or merged.
        standing -> Text,
        /// Why it was admitted: the reason of an override, or the setting.
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    /// The company names of accounts and leads, folded for likeness; a record without a row has not been entered here yet.
    identity_names (tenant_id, record_kind, record_id) {
        tenant_id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        /// What is left of the name without legal form and place; NULL when that is under three characters.
        core -> Nullable<Text>,
        /// What is left of the core without the words that many names have: by it the like ones are found, by the core they are judged.
        distinctive -> Nullable<Text>,
    }
}

diesel::table! {
    /// Everything that arrived at a source, raw, with what became of it.
    intakes (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        source_id -> Uuid,
        delivery_id -> Text,
        body -> Text,
        status -> Text,
        faults -> Jsonb,
        lead_id -> Nullable<Uuid>,
        /// What was replayed in place of the raw body.
        corrected_body -> Nullable<Text>,
        /// Real time.
        received_at -> Timestamptz,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        /// Whether its delivery id alone tells a repetition: for seven days, and while it waits; by real time.
        is_remembered -> Bool,
        /// SHA-256 of the bytes as they came: later the id tells a repetition together with it.
        body_hash -> Nullable<Bytea>,
        /// When the raw delivery was emptied, by real time.
        raw_expired_at -> Nullable<Timestamptz>,
        /// The bytes as they came, where the text is not just that; NULL where it is, and once they expired.
        raw -> Nullable<Bytea>,
    }
}

diesel::table! {
    /// What a job could not do, row by row, written in the chunk that met it.
    job_errors (tenant_id, job_id, ordinal) {
        tenant_id -> Uuid,
        job_id -> Uuid,
        ordinal -> Int8,
        /// In the file, as a spreadsheet counts: the headings are row 1.
        row_number -> Nullable<Int8>,
        subject_id -> Nullable<Uuid>,
        pointer -> Text,
        heading -> Nullable<Text>,
        value -> Nullable<Text>,
        code -> Text,
        message_en -> Text,
        message_zh -> Text,
        original -> Nullable<Jsonb>,
        /// The row was taken all the same.
        is_warning -> Bool,
    }
}

diesel::table! {
    /// Long work: done in chunks, each of which commits with the checkpoint from which the next goes on.
    jobs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        state -> Text,
        /// In whose name and with whose rights it works; NULL: the system's.
        asked_by -> Nullable<Uuid>,
        /// The key through which it was asked for; it bounds the rights.
        api_key_id -> Nullable<Uuid>,
        lang -> Text,
        params -> Jsonb,
        checkpoint -> Nullable<Jsonb>,
        result -> Nullable<Jsonb>,
        failure -> Nullable<Jsonb>,
        done_count -> Int8,
        total_count -> Nullable<Int8>,
        error_count -> Int8,
        is_cancel_asked -> Bool,
        /// Chunks committed: a chunk commits only onto the number that it began with.
        steps -> Int8,
        /// The server that works at it now, until due_at.
        holder -> Nullable<Uuid>,
        /// Claims since the last committed chunk; it counts before the attempt, so that one which brings a server down backs off too.
        attempts -> Int4,
        /// Real time before which nobody claims it: the end of its holder's lease, or of the wait after a failure.
        due_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What somebody did that tells of interest: visits, downloads, a demo asked for.
    lead_behaviours (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        lead_id -> Uuid,
        kind -> Text,
        occurred_at -> Timestamptz,
        external_id -> Nullable<Text>,
        note -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The campaign that won a lead.
    lead_campaigns (tenant_id, lead_id) {
        tenant_id -> Uuid,
        lead_id -> Uuid,
        campaign_id -> Uuid,
    }
}

diesel::table! {
    /// A sales-qualified lead in somebody's hands, and the clock until their first response.
    lead_handovers (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        lead_id -> Uuid,
        /// The first hand-over of the lead's way from hand to hand; nobody in it gets the lead again by rule.
        chain_id -> Uuid,
        attempt -> Int4,
        from_user_id -> Nullable<Uuid>,
        to_user_id -> Uuid,
        rule_id -> Nullable<Uuid>,
        reason -> Text,
        goal -> Nullable<Text>,
        status -> Text,
        /// The deadline passed without a first response.
        is_overdue -> Bool,
        accepted_at -> Nullable<Timestamptz>,
        started_at -> Timestamptz,
        chain_started_at -> Timestamptz,
        response_minutes -> Nullable<Int4>,
        warn_at -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        warned_at -> Nullable<Timestamptz>,
        first_response_at -> Nullable<Timestamptz>,
        first_response_kind -> Nullable<Text>,
        first_response_note -> Nullable<Text>,
        /// Working minutes from the start of this hand-over to the first response.
        responded_after_minutes -> Nullable<Int8>,
        /// Working minutes from the start of the chain to the first response.
        waited_minutes -> Nullable<Int8>,
        ended_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Candidates for sales qualification: who reached the second limit waits here for a person's word.
    lead_reviews (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        lead_id -> Uuid,
        status -> Text,
        /// The score at the instant the review was opened.
        score -> Numeric,
        model_version_id -> Uuid,
        /// What made the score up then, rule by rule.
        evidence -> Jsonb,
        reason -> Nullable<Text>,
        decided_by -> Nullable<Uuid>,
        decided_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The score of a lead as it was last computed, and the one set by hand beside it.
    lead_scores (tenant_id, lead_id) {
        tenant_id -> Uuid,
        lead_id -> Uuid,
        model_version_id -> Nullable<Uuid>,
        /// Points: the sum of the four dimensions.
        total -> Nullable<Numeric>,
        demographic -> Nullable<Numeric>,
        behavioural -> Nullable<Numeric>,
        fit -> Nullable<Numeric>,
        intent -> Nullable<Numeric>,
        /// Whether time alone changes it: behaviour with a half-life is part of it.
        is_decaying -> Bool,
        profile_id -> Nullable<Uuid>,
        /// Match with the ideal customer that it fits best, a share 0–1.
        profile_match -> Nullable<Numeric>,
        /// As of when, by the company's clock.
        computed_at -> Nullable<Timestamptz>,
        by_hand -> Nullable<Numeric>,
        by_hand_reason -> Nullable<Text>,
        by_hand_by -> Nullable<Uuid>,
        by_hand_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Members of a lead that stand beside its row: the window in which they decide, why it rests, and which of its buying signals somebody confirmed.
    lead_signals (tenant_id, lead_id) {
        tenant_id -> Uuid,
        lead_id -> Uuid,
        decision_from -> Nullable<Date>,
        decision_until -> Nullable<Date>,
        nurture_reason -> Nullable<Text>,
        /// By signal: who confirmed it, when and how; what is not confirmed is absent. An entry goes when the value that it is of changes.
        confirmations -> Nullable<Jsonb>,
        is_need_confirmed -> Nullable<Bool>,
        is_budget_confirmed -> Nullable<Bool>,
        is_decision_window_confirmed -> Nullable<Bool>,
        ability_to_pay -> Nullable<Text>,
        /// When a source last delivered the same person again.
        last_inquired_at -> Nullable<Timestamptz>,
        /// What that delivery said otherwise than the lead did, with its intake and source.
        last_inquiry -> Nullable<Jsonb>,
    }
}

diesel::table! {
    lead_sources (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        channel -> Text,
        parent_id -> Nullable<Uuid>,
        is_intake_open -> Bool,
        /// Lead member to {pointer | constant, default}.
        mapping -> Jsonb,
        required_members -> Array<Nullable<Text>>,
        default_owner_id -> Nullable<Uuid>,
        /// The signing secret, encrypted under the server's secret.
        sealed_secret -> Nullable<Bytea>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
        /// online, offline or internal; by the channel unless it was set.
        kind -> Text,
        /// The secret before a rotation, good until previous_secret_until by real time.
        sealed_previous_secret -> Nullable<Bytea>,
        previous_secret_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    leads (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        company -> Nullable<Text>,
        job_title -> Nullable<Text>,
        phone -> Nullable<Text>,
        phone_e164 -> Nullable<Text>,
        email -> Nullable<Text>,
        industry -> Nullable<Text>,
        region -> Nullable<Text>,
        need -> Nullable<Text>,
        budget_amount -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        expected_need_on -> Nullable<Date>,
        source_id -> Nullable<Uuid>,
        owner_id -> Nullable<Uuid>,
        status -> Text,
        /// The status left for nurturing or disqualification, to which reopening returns.
        reopen_status -> Nullable<Text>,
        disqualified_reason -> Nullable<Text>,
        nurture_until -> Nullable<Date>,
        converted_account_id -> Nullable<Uuid>,
        converted_contact_id -> Nullable<Uuid>,
        converted_opportunity_id -> Nullable<Uuid>,
        converted_at -> Nullable<Timestamptz>,
        tags -> Array<Nullable<Text>>,
        custom -> Jsonb,
        description -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
        /// The score that counts: the one set by hand, else the computed one; NULL without either.
        score -> Nullable<Numeric>,
    }
}

diesel::table! {
    /// Which server runs a background duty now (sequencer, timers); by real time.
    leases (name) {
        name -> Text,
        holder -> Uuid,
        until -> Timestamptz,
    }
}

diesel::table! {
    loss_reasons (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Which rows a merge took from which of the records that it ended, so that they can go back.
    merge_moves (tenant_id, merge_id, link, row_id) {
        tenant_id -> Uuid,
        merge_id -> Uuid,
        /// table.column that named the record.
        link -> Text,
        row_id -> Uuid,
        from_id -> Uuid,
        /// What the row said before, where the merge changed more than the record that it names.
        was -> Nullable<Jsonb>,
    }
}

diesel::table! {
    /// Where a merged record went: its redirect. Gone when the merge is undone.
    merged_records (tenant_id, record_kind, record_id) {
        tenant_id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        survivor_id -> Uuid,
        merge_id -> Uuid,
    }
}

diesel::table! {
    merges (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        record_kind -> Text,
        survivor_id -> Uuid,
        /// The members of the survivor that the merge changed, as they were.
        before -> Jsonb,
        /// The same members as the merge left them.
        after -> Jsonb,
        merged_by -> Nullable<Uuid>,
        undone_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        /// Keys that several of the records had before, by kind; NULL where the merge did not note them.
        shared_keys -> Nullable<Jsonb>,
    }
}

diesel::table! {
    /// What was learned of the customer's needs, one row an interview.
    need_analyses (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        held_at -> Timestamptz,
        participants -> Nullable<Text>,
        situation -> Nullable<Text>,
        problem -> Nullable<Text>,
        implication -> Nullable<Text>,
        payoff -> Nullable<Text>,
        explicit_needs -> Nullable<Text>,
        hidden_needs -> Nullable<Text>,
        budget_amount -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        decision_process -> Nullable<Text>,
        confirmation_sent_at -> Nullable<Timestamptz>,
        confirmed_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Our limits, made before talks; sensitive as a whole.
    negotiation_plans (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        floor_discount -> Nullable<Numeric>,
        longest_payment_days -> Nullable<Int4>,
        non_negotiables -> Nullable<Text>,
        concessions -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// One negotiation: each topic with their position, ours, the interim agreement and what is open. our_floor is sensitive.
    negotiation_records (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        held_at -> Timestamptz,
        way -> Nullable<Text>,
        their_people -> Nullable<Text>,
        our_people -> Nullable<Text>,
        topics -> Jsonb,
        our_floor -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Who sits at the table for us.
    negotiation_team_members (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What the customer objected to, and how it was answered.
    objections (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        raised_on -> Date,
        category -> Nullable<Text>,
        content -> Text,
        demand -> Nullable<Text>,
        answer -> Nullable<Text>,
        responsible -> Nullable<Text>,
        responsible_id -> Nullable<Uuid>,
        resolve_by -> Nullable<Date>,
        resolved_on -> Nullable<Date>,
        reaction -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    opportunities (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        account_id -> Uuid,
        owner_id -> Nullable<Uuid>,
        pipeline_id -> Uuid,
        pipeline_version_id -> Uuid,
        stage_id -> Uuid,
        status -> Text,
        cycle -> Int4,
        /// The id of the transition that began the present stay in the stage.
        visit_id -> Uuid,
        stage_entered_at -> Timestamptz,
        amount -> Nullable<Numeric>,
        currency -> Text,
        expected_close_on -> Nullable<Date>,
        /// The stage's, as a share 0–1; kept apart from the calibrated and the hand-set one.
        probability_default -> Numeric,
        probability_calibrated -> Nullable<Numeric>,
        probability_by_hand -> Nullable<Numeric>,
        probability_reason -> Nullable<Text>,
        forecast_category -> Nullable<Text>,
        source_id -> Nullable<Uuid>,
        next_step -> Nullable<Text>,
        next_step_on -> Nullable<Date>,
        is_as_is_purchase -> Bool,
        description -> Nullable<Text>,
        tags -> Array<Nullable<Text>>,
        custom -> Jsonb,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
        /// Until when it is expected to stay in its stage, time closed left out; NULL when it is closed, or the stage expects nothing.
        stage_due_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Products wanted; amounts in the opportunity's currency.
    opportunity_lines (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        product_id -> Nullable<Uuid>,
        name -> Text,
        quantity -> Numeric,
        unit -> Nullable<Text>,
        unit_price -> Numeric,
        discount -> Numeric,
        note -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Someone besides the owner who supports a record.
    participants (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        user_id -> Uuid,
        access -> Text,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What a migration means to do, did, or took back, deal by deal. No foreign key to the deals: writing thousands of rows would hold each of them up; `check` looks instead.
    pipeline_migration_deals (tenant_id, migration_id, opportunity_id) {
        tenant_id -> Uuid,
        migration_id -> Uuid,
        opportunity_id -> Uuid,
        outcome -> Text,
        why -> Nullable<Text>,
        plan -> Nullable<Jsonb>,
        transition_id -> Nullable<Uuid>,
        back_transition_id -> Nullable<Uuid>,
        from_version_id -> Nullable<Uuid>,
        from_stage_id -> Nullable<Uuid>,
        from_visit_id -> Nullable<Uuid>,
        from_entered_at -> Nullable<Timestamptz>,
        /// The ticks and answers taken out of a visit that goes on, as rows to be put back.
        dropped -> Jsonb,
        /// Digest of the ticks and answers of the visit right after the move; another one since forbids taking it back.
        answers_hash -> Nullable<Text>,
        /// Digest of the approval requests of the deal right after the move; another one since forbids taking it back.
        approvals_hash -> Nullable<Text>,
    }
}

diesel::table! {
    pipeline_migrations (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        pipeline_id -> Uuid,
        from_version_ids -> Array<Nullable<Uuid>>,
        to_version_id -> Uuid,
        /// Stage key left to stage key entered, of every stage that a deal may be in.
        stage_map -> Jsonb,
        answers -> Text,
        reason -> Nullable<Text>,
        state -> Text,
        /// How many deals it set out with; moved + skipped once it is done.
        planned -> Int4,
        moved -> Int4,
        skipped -> Int4,
        returned -> Int4,
        /// Moved deals that a roll-back left where they were, since something later rests on them.
        stayed -> Int4,
        requested_by -> Nullable<Uuid>,
        job_id -> Nullable<Uuid>,
        roll_back_job_id -> Nullable<Uuid>,
        finished_at -> Nullable<Timestamptz>,
        rolled_back_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    pipeline_versions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        pipeline_id -> Uuid,
        number -> Int4,
        state -> Text,
        /// The canonical definition, as exported; a published one never changes.
        document -> Jsonb,
        document_hash -> Bytea,
        published_at -> Nullable<Timestamptz>,
        published_by -> Nullable<Uuid>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    pipelines (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        description -> Nullable<Text>,
        published_version_id -> Nullable<Uuid>,
        is_default -> Bool,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// How many a person claimed on the last local day on which they claimed any; its row is what two claims of one person wait for.
    pool_claimants (tenant_id, user_id, record_kind) {
        tenant_id -> Uuid,
        user_id -> Uuid,
        record_kind -> Text,
        claimed_on -> Date,
        claimed_count -> Int4,
    }
}

diesel::table! {
    /// How long an owned record has been left alone, and when it would be taken for it. A record without a row has none of it yet.
    pool_clocks (tenant_id, record_kind, record_id) {
        tenant_id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        owner_id -> Nullable<Uuid>,
        owned_since -> Nullable<Timestamptz>,
        followed_up_at -> Nullable<Timestamptz>,
        rule_id -> Nullable<Uuid>,
        /// The local day at whose beginning it goes to the pool at the earliest: deals may still hold it.
        due_on -> Nullable<Date>,
        warned_on -> Nullable<Date>,
        /// The local day at whose beginning it is looked at next: to warn, or to take it.
        look_on -> Nullable<Date>,
    }
}

diesel::table! {
    /// Who last lost a record to the pool when: for a while they cannot claim it, whoever else had it meanwhile.
    pool_cool_downs (tenant_id, record_kind, record_id, user_id) {
        tenant_id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        user_id -> Uuid,
        lost_at -> Timestamptz,
    }
}

diesel::table! {
    /// When a record that nobody tends goes to the pool: of the active rules of a kind, the first by position that applies decides.
    pool_rules (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        record_kind -> Text,
        name -> Text,
        position -> Int4,
        grade -> Nullable<Text>,
        segment -> Nullable<Text>,
        source_id -> Nullable<Uuid>,
        /// Whole local days without a follow-up; with neither number the rule keeps what it applies to.
        no_follow_up_days -> Nullable<Int4>,
        no_opportunity_days -> Nullable<Int4>,
        warning_days -> Int4,
        is_active -> Bool,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Quotas and cool-down of claiming; a company without a row has the defaults of the code.
    pool_settings (tenant_id, record_kind) {
        tenant_id -> Uuid,
        record_kind -> Text,
        /// NULL: no limit.
        most_held -> Nullable<Int4>,
        most_claimed_daily -> Nullable<Int4>,
        cool_down_days -> Int4,
        /// Whether a lead that comes without an owner is in the pool at once.
        takes_unassigned -> Bool,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The stays of records in the public pool; one without an end is the present one.
    pool_stays (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        why -> Text,
        reason -> Nullable<Text>,
        last_owner_id -> Nullable<Uuid>,
        /// Since when the last owner had it, where that is known: taking a release back does not begin it anew.
        held_since -> Nullable<Timestamptz>,
        rule_id -> Nullable<Uuid>,
        since -> Timestamptz,
        put_by -> Nullable<Uuid>,
        ended_at -> Nullable<Timestamptz>,
        ended_how -> Nullable<Text>,
        taken_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    products (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        code -> Text,
        name -> Text,
        unit -> Nullable<Text>,
        category -> Nullable<Text>,
        price -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        cost -> Nullable<Numeric>,
        is_active -> Bool,
        description -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Refresh tokens by id; the token itself is id + HMAC, so nothing here can be used to sign in. Real time.
    refresh_tokens (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        family_id -> Uuid,
        user_id -> Uuid,
        successor_id -> Nullable<Uuid>,
        issued_at -> Timestamptz,
        expires_at -> Timestamptz,
        spent_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What the negotiation came to: the base of the contract draft; frozen once approved.
    result_sheets (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        agreed_on -> Date,
        terms -> Jsonb,
        amount -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        note -> Nullable<Text>,
        frozen_at -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What could go wrong, and the measure against it.
    risk_lines (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        risk -> Text,
        measure -> Nullable<Text>,
        responsible_id -> Nullable<Uuid>,
        is_settled -> Bool,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    roles (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        description -> Nullable<Text>,
        is_shipped -> Bool,
        /// Permission (resource.action) to data scope (own, team, team_tree, all).
        grants -> Jsonb,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// How somebody likes to look at a collection: filter, order and columns.
    saved_views (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        resource -> Text,
        owner_id -> Uuid,
        sharing -> Text,
        filter -> Jsonb,
        sort -> Array<Nullable<Text>>,
        #[sql_name = "columns"]
        columns_ -> Array<Nullable<Text>>,
        /// The company's own fields that it names, each as resource.key.
        custom_fields -> Array<Nullable<Text>>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// How leads are scored: rules and limits. A published version never changes.
    scoring_model_versions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        model_id -> Uuid,
        number -> Int4,
        state -> Text,
        document -> Jsonb,
        document_hash -> Bytea,
        published_at -> Nullable<Timestamptz>,
        published_by -> Nullable<Uuid>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    scoring_models (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        key -> Text,
        name -> Text,
        name_zh -> Nullable<Text>,
        description -> Nullable<Text>,
        published_version_id -> Nullable<Uuid>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Tsvector;

    /// By what each account, contact, lead and opportunity is found; written with the record. A record without a row has not been entered here yet, or was merged.
    search_entries (tenant_id, record_kind, record_id) {
        tenant_id -> Uuid,
        record_kind -> Text,
        record_id -> Uuid,
        /// Who owns the record; the nil id for nobody, since a GIN index does not look for NULL.
        owner_id -> Uuid,
        is_live -> Bool,
        /// The form in which its terms were made; those of an older form are made anew by and by.
        form -> Int4,
        /// Its folded names: the ones by which it is known at a glance.
        names -> Text,
        /// Pairs of characters, words, and endings of phones, each with the mark of its kind; in upper case what only some may read.
        terms -> Tsvector,
        /// SHA-256 over the texts that it was made from, by which one sees that it is up to date.
        digest -> Bytea,
    }
}

diesel::table! {
    /// Records that a filter describes; who belongs is found out when it is asked.
    segments (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        description -> Nullable<Text>,
        resource -> Text,
        owner_id -> Uuid,
        sharing -> Text,
        filter -> Jsonb,
        /// The company's own fields that it names, each as resource.key.
        custom_fields -> Array<Nullable<Text>>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The modules a solution must contain.
    solution_checklist_items (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        position -> Int4,
        module -> Text,
        required_content -> Nullable<Text>,
        is_done -> Bool,
        responsible -> Nullable<Text>,
        responsible_id -> Nullable<Uuid>,
        done_on -> Nullable<Date>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The identity of a stage through all versions of its pipeline.
    stages (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        pipeline_id -> Uuid,
        key -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A node in the company's tree, with its leader.
    teams (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        parent_id -> Nullable<Uuid>,
        leader_id -> Nullable<Uuid>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// One company; nothing is ever visible across two of them.
    tenants (tenant_id) {
        tenant_id -> Uuid,
        name -> Text,
        slug -> Text,
        time_zone -> Text,
        currency -> Text,
        locale -> Text,
        /// ISO day of the week, 1 = Monday.
        week_start -> Int2,
        fiscal_year_start_month -> Int2,
        working_days -> Array<Nullable<Int2>>,
        grade_a_days -> Int4,
        grade_b_months -> Int4,
        is_phone_strict -> Bool,
        /// The clock of a sandbox company, standing still until it is moved; NULL means real time.
        sandbox_now -> Nullable<Timestamptz>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        /// What happens when an account is entered that seems to be there.
        account_duplicates -> Text,
        contact_duplicates -> Text,
        lead_duplicates -> Text,
        /// A delivery about a lead that is there is attached to it, or makes a lead that waits for review.
        intake_duplicates -> Text,
        /// Working hours of a day that has none of its own, in local time: [{begins, ends}], in order.
        standard_hours -> Jsonb,
        /// Hours of weekdays that have their own, by ISO day of the week. Which days are worked is in working_days.
        working_hours -> Jsonb,
        /// For how many days what arrived is kept raw once it is accepted; what waits is kept.
        raw_intake_days -> Int4,
    }
}

diesel::table! {
    /// What is to happen later. A fired timer is deleted in the transaction of what it did, so it fires exactly once.
    timers (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        subject_kind -> Text,
        subject_id -> Uuid,
        /// By the company's clock, or by real time where is_real_time.
        due_at -> Timestamptz,
        is_real_time -> Bool,
        details -> Jsonb,
        /// How often it was claimed; it counts before the attempt, so that one which brings a server down backs off too.
        attempts -> Int4,
        /// Real time before which nobody claims it (again).
        retry_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The bytes of a file, in pieces, each from its place in the whole.
    transfer_chunks (tenant_id, file_id, start_at) {
        tenant_id -> Uuid,
        file_id -> Uuid,
        start_at -> Int8,
        content -> Bytea,
    }
}

diesel::table! {
    /// A file that was sent in to be imported, or that an export made; in the database, so that any server can go on with it. Removed after seven days of real time.
    transfer_files (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        user_id -> Uuid,
        purpose -> Text,
        name -> Text,
        /// As it is stored: a workbook that was sent in stands here as csv.
        format -> Text,
        /// How its text is written, e.g. UTF-8 or GBK.
        encoding -> Nullable<Text>,
        delimiter -> Nullable<Text>,
        size_bytes -> Int8,
        digest -> Nullable<Bytea>,
        is_complete -> Bool,
        created_at -> Timestamptz,
        /// Of a file of lines that was sent in: the members of all of them, as they first occur.
        headings -> Nullable<Jsonb>,
        /// Of an export: the permissions and teams that it was made with; who fetches it must have no less.
        rights -> Nullable<Jsonb>,
    }
}

diesel::table! {
    /// Every move of an opportunity, append-only. Its present stage, status and visit are those its last transition names.
    transitions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        cycle -> Int4,
        /// Counts the moves of one opportunity from 1.
        ordinal -> Int4,
        kind -> Text,
        pipeline_version_id -> Uuid,
        from_stage_id -> Nullable<Uuid>,
        to_stage_id -> Uuid,
        from_status -> Nullable<Text>,
        to_status -> Text,
        /// The visit the opportunity is in after this move; equals id where the move began one.
        visit_id -> Uuid,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
        at -> Timestamptz,
        recorded_at -> Timestamptz,
        /// Seconds spent in the visit that this move left.
        dwell_seconds -> Nullable<Int8>,
        reason -> Nullable<Text>,
        /// The gate as it stood: the state of every criterion.
        evidence -> Nullable<Jsonb>,
    }
}

diesel::table! {
    /// When somebody is away and gets no leads; of one person no two overlap.
    user_absences (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        owner_id -> Uuid,
        starts_at -> Timestamptz,
        ends_at -> Timestamptz,
        note -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    user_roles (tenant_id, user_id, role_id) {
        tenant_id -> Uuid,
        user_id -> Uuid,
        role_id -> Uuid,
    }
}

diesel::table! {
    users (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        /// Lower-cased.
        email -> Text,
        name -> Text,
        job_title -> Nullable<Text>,
        phone -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        team_id -> Nullable<Uuid>,
        locale -> Nullable<Text>,
        is_active -> Bool,
        away_from -> Nullable<Timestamptz>,
        away_until -> Nullable<Timestamptz>,
        delegate_id -> Nullable<Uuid>,
        /// Tokens issued before this real instant are void: set on a password change, a sign-out everywhere, a deactivation.
        sessions_valid_from -> Timestamptz,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
        /// Most open leads that they hold; NULL: the company's number.
        lead_capacity -> Nullable<Int4>,
    }
}

diesel::table! {
    /// What the solution is worth to the customer, metric by metric.
    value_lines (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        opportunity_id -> Uuid,
        metric -> Text,
        before_value -> Nullable<Text>,
        after_value -> Nullable<Text>,
        amount -> Nullable<Numeric>,
        currency -> Nullable<Text>,
        version -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    version_stages (tenant_id, version_id, stage_id) {
        tenant_id -> Uuid,
        version_id -> Uuid,
        stage_id -> Uuid,
        position -> Int4,
        name -> Text,
        /// Chance of finally winning from this stage, a share 0–1; never multiplied along the way.
        probability -> Numeric,
        probability_calibrated -> Nullable<Numeric>,
        expected_dwell_seconds -> Nullable<Int8>,
    }
}
