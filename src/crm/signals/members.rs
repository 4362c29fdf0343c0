//! The members of a lead that stand beside its row.

use crate::platform::records::{Beside, Member};

static SIGNALS: Beside = Beside {
    table: "lead_signals",
    key: "lead_id",
};

pub const DECISION_FROM: Member =
    Member::day("decision_from", "First day of the window in which they decide.")
        .kept_beside(&SIGNALS, "b.decision_from");

pub const DECISION_UNTIL: Member = Member::day(
    "decision_until",
    "Last day of the window in which they decide; not before the first.",
)
.kept_beside(&SIGNALS, "b.decision_until");

pub const NURTURE_REASON: Member = Member::text(
    "nurture_reason",
    500,
    "Why it rests, while it does.",
    "\"需求明确,今年没有预算\"",
)
.read_only()
.kept_beside(&SIGNALS, "b.nurture_reason");

pub const IS_NEED_CONFIRMED: Member =
    Member::flag("is_need_confirmed", "false", "Whether the need is confirmed.")
        .computed_beside(&SIGNALS, "coalesce(b.is_need_confirmed, FALSE)")
        .filter();

pub const IS_BUDGET_CONFIRMED: Member = Member::flag(
    "is_budget_confirmed",
    "false",
    "Whether it is confirmed what they can pay: also that they cannot, see `ability_to_pay`.",
)
.computed_beside(&SIGNALS, "coalesce(b.is_budget_confirmed, FALSE)")
.filter();

pub const IS_DECISION_WINDOW_CONFIRMED: Member = Member::flag(
    "is_decision_window_confirmed",
    "false",
    "Whether the window in which they decide is confirmed.",
)
.computed_beside(&SIGNALS, "coalesce(b.is_decision_window_confirmed, FALSE)")
.filter();

pub const ABILITY_TO_PAY: Member = Member::choice(
    "ability_to_pay",
    &["sufficient", "insufficient", "none"],
    "What confirming the budget found: money enough, too little, or none; null until it is confirmed.",
    "\"insufficient\"",
)
.computed_beside(&SIGNALS, "b.ability_to_pay")
.filter();

pub const CONFIRMATIONS: Member = Member::json(
    "confirmations",
    "null",
    r#"{"type":["object","null"],"additionalProperties":false,"properties":{"need":{"type":"object","description":"Of the need.","additionalProperties":false,"required":["confirmed_by","confirmed_at","method","note"],"properties":{"confirmed_by":{"type":["string","null"],"format":"uuid","description":"Who; null when it was a program.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"confirmed_at":{"type":"string","format":"date-time","description":"When.","examples":["2024-03-15T08:30:00Z"]},"method":{"type":["string","null"],"description":"How.","examples":["phone_call"]},"note":{"type":["string","null"],"description":"What was said.","examples":["王总电话确认"]}}},"budget":{"type":"object","description":"Of the budget.","additionalProperties":false,"required":["confirmed_by","confirmed_at","method","note","ability_to_pay"],"properties":{"confirmed_by":{"type":["string","null"],"format":"uuid","description":"Who; null when it was a program.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"confirmed_at":{"type":"string","format":"date-time","description":"When.","examples":["2024-03-15T08:30:00Z"]},"method":{"type":["string","null"],"description":"How.","examples":["phone_call"]},"note":{"type":["string","null"],"description":"What was said.","examples":["王总电话确认"]},"ability_to_pay":{"type":"string","enum":["sufficient","insufficient","none"],"description":"What was found.","examples":["insufficient"]}}},"decision_window":{"type":"object","description":"Of the window in which they decide.","additionalProperties":false,"required":["confirmed_by","confirmed_at","method","note"],"properties":{"confirmed_by":{"type":["string","null"],"format":"uuid","description":"Who; null when it was a program.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"confirmed_at":{"type":"string","format":"date-time","description":"When.","examples":["2024-03-15T08:30:00Z"]},"method":{"type":["string","null"],"description":"How.","examples":["phone_call"]},"note":{"type":["string","null"],"description":"What was said.","examples":["王总电话确认"]}}}}}"#,
    "Who confirmed which buying signal, when and how; what is not confirmed is absent, null when nothing is. A confirmation is of a value: when the value changes it is taken back.",
    "null",
)
.read_only()
.kept_beside(&SIGNALS, "b.confirmations");

pub const LAST_INQUIRED_AT: Member = Member {
    is_range: true,
    ..Member::instant(
        "last_inquired_at",
        "When a source last delivered the same person again; null when none did.",
    )
    .computed_beside(&SIGNALS, "b.last_inquired_at")
};

pub const LAST_INQUIRY: Member = Member::json(
    "last_inquiry",
    "null",
    r#"{"type":["object","null"],"additionalProperties":false,"required":["intake_id","source_id","said"],"properties":{"intake_id":{"type":"string","format":"uuid","description":"The intake that keeps it.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"source_id":{"type":"string","format":"uuid","description":"Where it came from.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"]},"said":{"type":"object","description":"What it gives otherwise than the lead did, by member.","additionalProperties":true,"examples":[{"need":"二百套"}]}}}"#,
    "What was said then; null when nothing was.",
    "null",
)
.computed_beside(&SIGNALS, "b.last_inquiry");
