//! The members of a lead that stand beside its row.

use crate::platform::records::Member;

macro_rules! confirmed {
    ($signal:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM lead_confirmations c WHERE c.tenant_id = t.tenant_id AND c.lead_id = t.id AND c.signal = '",
            $signal,
            "')"
        )
    };
}

macro_rules! beside {
    ($column:literal) => {
        concat!(
            "SELECT s.",
            $column,
            " FROM lead_signals s WHERE s.tenant_id = t.tenant_id AND s.lead_id = t.id"
        )
    };
}

pub const DECISION_FROM: Member =
    Member::day("decision_from", "First day of the window in which they decide.")
        .beside(beside!("decision_from"));

pub const DECISION_UNTIL: Member = Member::day(
    "decision_until",
    "Last day of the window in which they decide; not before the first.",
)
.beside(beside!("decision_until"));

pub const NURTURE_REASON: Member = Member::text(
    "nurture_reason",
    500,
    "Why it rests, while it does.",
    "\"需求明确,今年没有预算\"",
)
.read_only()
.beside(beside!("nurture_reason"));

pub const IS_NEED_CONFIRMED: Member =
    Member::flag("is_need_confirmed", "false", "Whether the need is confirmed.")
        .computed(confirmed!("need"))
        .filter();

pub const IS_BUDGET_CONFIRMED: Member = Member::flag(
    "is_budget_confirmed",
    "false",
    "Whether it is confirmed what they can pay: also that they cannot, see `ability_to_pay`.",
)
.computed(confirmed!("budget"))
.filter();

pub const IS_DECISION_WINDOW_CONFIRMED: Member = Member::flag(
    "is_decision_window_confirmed",
    "false",
    "Whether the window in which they decide is confirmed.",
)
.computed(confirmed!("decision_window"))
.filter();

pub const ABILITY_TO_PAY: Member = Member::choice(
    "ability_to_pay",
    &["sufficient", "insufficient", "none"],
    "What confirming the budget found: money enough, too little, or none; null until it is confirmed.",
    "\"insufficient\"",
)
.computed(
    "SELECT c.ability_to_pay FROM lead_confirmations c WHERE c.tenant_id = t.tenant_id AND c.lead_id = t.id AND c.signal = 'budget'",
)
.filter();

pub const CONFIRMATIONS: Member = Member::json(
    "confirmations",
    "null",
    r#"{"type":["object","null"],"additionalProperties":false,"properties":{"need":{"type":"object","description":"Of the need.","additionalProperties":false,"required":["confirmed_by","confirmed_at","method","note"],"properties":{"confirmed_by":{"type":["string","null"],"format":"uuid","description":"Who; null when it was a program.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"confirmed_at":{"type":"string","format":"date-time","description":"When.","examples":["2024-03-15T08:30:00Z"]},"method":{"type":["string","null"],"description":"How.","examples":["phone_call"]},"note":{"type":["string","null"],"description":"What was said.","examples":["王总电话确认"]}}},"budget":{"type":"object","description":"Of the budget.","additionalProperties":false,"required":["confirmed_by","confirmed_at","method","note","ability_to_pay"],"properties":{"confirmed_by":{"type":["string","null"],"format":"uuid","description":"Who; null when it was a program.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"confirmed_at":{"type":"string","format":"date-time","description":"When.","examples":["2024-03-15T08:30:00Z"]},"method":{"type":["string","null"],"description":"How.","examples":["phone_call"]},"note":{"type":["string","null"],"description":"What was said.","examples":["王总电话确认"]},"ability_to_pay":{"type":"string","enum":["sufficient","insufficient","none"],"description":"What was found.","examples":["insufficient"]}}},"decision_window":{"type":"object","description":"Of the window in which they decide.","additionalProperties":false,"required":["confirmed_by","confirmed_at","method","note"],"properties":{"confirmed_by":{"type":["string","null"],"format":"uuid","description":"Who; null when it was a program.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"confirmed_at":{"type":"string","format":"date-time","description":"When.","examples":["2024-03-15T08:30:00Z"]},"method":{"type":["string","null"],"description":"How.","examples":["phone_call"]},"note":{"type":["string","null"],"description":"What was said.","examples":["王总电话确认"]}}}}}"#,
    "Who confirmed which buying signal, when and how; what is not confirmed is absent, null when nothing is. A confirmation is of a value: when the value changes it is taken back.",
    "null",
)
.read_only()
.beside(
    "SELECT json_object_agg(c.signal, CASE WHEN c.signal = 'budget' \
        THEN json_build_object('confirmed_by', c.confirmed_by, 'confirmed_at', instant_text(c.confirmed_at), 'method', c.method, 'note', c.note, 'ability_to_pay', c.ability_to_pay) \
        ELSE json_build_object('confirmed_by', c.confirmed_by, 'confirmed_at', instant_text(c.confirmed_at), 'method', c.method, 'note', c.note) END ORDER BY c.signal) \
     FROM lead_confirmations c WHERE c.tenant_id = t.tenant_id AND c.lead_id = t.id",
);
