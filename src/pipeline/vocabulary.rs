//! What expressions of a gate may read, in the wire form of the records. Sensitive members (our floor, the limits of a
//! negotiation plan) are left out: a gate is shown to everyone who sees the deal.

use super::records::RECORD_KINDS;
use crate::kernel::expression::{Kind, Vocabulary};
use std::collections::{BTreeMap, BTreeSet};

/// What the company has that a pipeline document may name.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The members that `field` criteria read.
    pub opportunity: Vocabulary,
    /// The kinds of `record` criteria, each with the members that its conditions read.
    pub records: BTreeMap<String, Vocabulary>,
    /// The keys of the published approval processes.
    pub processes: BTreeSet<String>,
}

impl Known {
    /// Everything shipped, with a company's custom fields and approval processes.
    pub fn new(
        opportunity_custom: Vocabulary,
        account_custom: Vocabulary,
        processes: impl IntoIterator<Item = String>,
    ) -> Known {
        Known {
            opportunity: opportunity(opportunity_custom, account_custom),
            records: records(),
            processes: processes.into_iter().collect(),
        }
    }
}

fn with(members: &[(&str, Kind)]) -> Vocabulary {
    members
        .iter()
        .fold(Vocabulary::new(), |vocabulary, (name, kind)| {
            vocabulary.with(*name, kind.clone())
        })
}

/// The members of an opportunity, with its account and the custom fields of both.
pub fn opportunity(custom: Vocabulary, account_custom: Vocabulary) -> Vocabulary {
    with(&[
        ("name", Kind::Text),
        ("account_id", Kind::Text),
        ("owner_id", Kind::Text),
        ("source_id", Kind::Text),
        ("status", Kind::Text),
        ("cycle", Kind::Int),
        ("stage_entered_at", Kind::Instant),
        ("amount", Kind::Decimal),
        ("currency", Kind::Text),
        ("expected_close_on", Kind::Day),
        ("probability", Kind::Decimal),
        ("forecast_category", Kind::Text),
        ("next_step", Kind::Text),
        ("next_step_on", Kind::Day),
        ("is_as_is_purchase", Kind::Bool),
        ("description", Kind::Text),
        ("tags", Kind::Texts),
        ("created_at", Kind::Instant),
        ("updated_at", Kind::Instant),
    ])
    .with_record("account", account(account_custom))
    .with_record("custom", custom)
}

fn account(custom: Vocabulary) -> Vocabulary {
    with(&[
        ("name", Kind::Text),
        ("industry", Kind::Text),
        ("employees", Kind::Int),
        ("annual_revenue", Kind::Decimal),
        ("currency", Kind::Text),
        ("size_note", Kind::Text),
        ("region", Kind::Text),
        ("address", Kind::Text),
        ("billing_title", Kind::Text),
        ("tax_number", Kind::Text),
        ("website", Kind::Text),
        ("source_id", Kind::Text),
        ("owner_id", Kind::Text),
        ("parent_id", Kind::Text),
        ("segment", Kind::Text),
        ("grade", Kind::Text),
        ("level", Kind::Text),
        ("follow_up_status", Kind::Text),
        ("next_follow_up_on", Kind::Day),
        ("expected_need_on", Kind::Day),
        ("credit_terms", Kind::Text),
        ("description", Kind::Text),
        ("tags", Kind::Texts),
        ("created_at", Kind::Instant),
        ("updated_at", Kind::Instant),
    ])
    .with_record("custom", custom)
}

/// The members of each kind of record.
pub fn records() -> BTreeMap<String, Vocabulary> {
    RECORD_KINDS
        .iter()
        .map(|known| {
            let vocabulary = with(members(known.kind))
                .with("created_at", Kind::Instant)
                .with("updated_at", Kind::Instant);
            (known.kind.to_owned(), vocabulary)
        })
        .collect()
}

fn members(kind: &str) -> &'static [(&'static str, Kind)] {
    use Kind::{Bool, Day, Decimal, Instant, Int, Text};
    match kind {
        "line" => &[
            ("product_id", Text),
            ("name", Text),
            ("quantity", Decimal),
            ("unit", Text),
            ("unit_price", Decimal),
            ("discount", Decimal),
            ("note", Text),
        ],
        "decision_chain_member" => &[
            ("contact_id", Text),
            ("title", Text),
            ("role", Text),
            ("influence", Decimal),
            ("stance", Text),
            ("note", Text),
        ],
        "need_analysis" => &[
            ("held_at", Instant),
            ("participants", Text),
            ("situation", Text),
            ("problem", Text),
            ("implication", Text),
            ("payoff", Text),
            ("explicit_needs", Text),
            ("hidden_needs", Text),
            ("budget_amount", Decimal),
            ("currency", Text),
            ("decision_process", Text),
            ("confirmation_sent_at", Instant),
            ("confirmed_at", Instant),
        ],
        "solution_checklist_item" => &[
            ("position", Int),
            ("module", Text),
            ("required_content", Text),
            ("is_done", Bool),
            ("responsible", Text),
            ("responsible_id", Text),
            ("done_on", Day),
        ],
        "objection" => &[
            ("raised_on", Day),
            ("category", Text),
            ("content", Text),
            ("demand", Text),
            ("answer", Text),
            ("responsible", Text),
            ("responsible_id", Text),
            ("resolve_by", Day),
            ("resolved_on", Day),
            ("reaction", Text),
        ],
        "negotiation_record" => &[
            ("held_at", Instant),
            ("way", Text),
            ("their_people", Text),
            ("our_people", Text),
        ],
        "competitor_met" => &[
            ("competitor_id", Text),
            ("strengths", Text),
            ("weaknesses", Text),
            ("price", Decimal),
            ("currency", Text),
            ("outcome", Text),
        ],
        "value_line" => &[
            ("metric", Text),
            ("before_value", Text),
            ("after_value", Text),
            ("amount", Decimal),
            ("currency", Text),
        ],
        "risk_line" => &[
            ("risk", Text),
            ("measure", Text),
            ("responsible_id", Text),
            ("is_settled", Bool),
        ],
        "change_request" => &[
            ("requested_on", Day),
            ("content", Text),
            ("state", Text),
            ("explanation", Text),
            ("answered_on", Day),
        ],
        "negotiation_team_member" => &[("user_id", Text), ("role", Text)],
        "result_sheet" => &[
            ("agreed_on", Day),
            ("amount", Decimal),
            ("currency", Text),
            ("note", Text),
            ("frozen_at", Instant),
        ],
        // A negotiation plan is sensitive as a whole: that there is one may be asked, not what it says.
        _ => &[],
    }
}
