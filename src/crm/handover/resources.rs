//! Hand-overs as the API shows them.

use super::record::{End, Reason};
use crate::crm::assignment::resources::ASSIGNMENT_RULE;
use crate::crm::resources::LEAD;
use crate::identity::resources::USER;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};
use strum::VariantNames;

pub static LEAD_HANDOVER: Resource = Resource {
    singular: "lead_handover",
    plural: "handovers",
    table: "lead_handovers",
    tag: "assignment",
    about: "A sales-qualified lead in somebody's hands, and the clock until their first response.",
    permission: "lead",
    access: Access::Part {
        parent: &LEAD,
        key: "lead_id",
        closed_sql: None,
    },
    verbs: Verbs::READ,
    members: &[
        Member::choice(
            "status",
            STATUSES,
            "`missed`: the deadline passed and the lead went on. `superseded`: it went to somebody else before. `withdrawn`: the assignment was undone. `closed`: the lead ended otherwise.",
            "\"open\"",
        )
        .required(),
        Member::text("lead_name", 200, "Name of the lead.", "\"王芳\"")
            .computed("SELECT l.name FROM leads l WHERE l.tenant_id = t.tenant_id AND l.id = t.lead_id"),
        Member::text("lead_company", 200, "Company of the lead.", "\"制造有限公司\"")
            .computed("SELECT l.company FROM leads l WHERE l.tenant_id = t.tenant_id AND l.id = t.lead_id"),
        Member::to("to_user_id", &USER, "Whose turn it is to respond.").required(),
        Member::text("to_user_name", 200, "Their name.", "\"李雷\"")
            .computed("SELECT u.name FROM users u WHERE u.tenant_id = t.tenant_id AND u.id = t.to_user_id"),
        Member::to("from_user_id", &USER, "Who had it before, or handed it over."),
        Member::choice(
            "reason",
            Reason::VARIANTS,
            "Why they got it: it was `qualified` in their hands, given `by_hand` or by `rule`, by a `hand_over` whose deadline was missed, by a `claim`, by a `leaver`.",
            "\"rule\"",
        )
        .required(),
        Member::to("rule_id", &ASSIGNMENT_RULE, "The rule that gave it."),
        Member::text("goal", 500, "What they are to reach.", "\"约定首次会议\""),
        Member::id("chain_id", "The first hand-over of this way from hand to hand.").required(),
        Member {
            is_range: false,
            ..Member::int("attempt", 1, 1_000_000, "Which of the chain it is.", "1")
        }
        .required(),
        Member {
            is_range: false,
            ..Member::instant("accepted_at", "When the lead became sales-qualified, if that is known.")
        },
        Member::instant("started_at", "When it began.").required().sort(),
        Member {
            is_range: false,
            ..Member::instant("chain_started_at", "When the chain began.")
        }
        .required(),
        Member {
            is_range: false,
            ..Member::int(
                "response_minutes",
                1,
                1_000_000,
                "Working minutes that they had; null: no deadline.",
                "480",
            )
        },
        Member {
            is_range: false,
            ..Member::instant("warn_at", "When they are warned.")
        },
        Member::instant("due_at", "The deadline of the first response."),
        Member {
            is_range: false,
            ..Member::instant("warned_at", "When they were warned.")
        },
        Member::flag(
            "is_overdue",
            "false",
            "Whether the deadline passed without a response.",
        ),
        Member {
            is_range: false,
            ..Member::instant("first_response_at", "When they responded.")
        },
        Member {
            is_filter: false,
            ..Member::choice(
                "first_response_kind",
                &["call", "email", "message", "meeting", "other", "moved_on"],
                "How; `moved_on`: they took the lead a step further.",
                "\"call\"",
            )
        },
        Member::text("first_response_note", 1000, "What came of it.", "null"),
        Member {
            is_range: false,
            ..Member::int(
                "responded_after_minutes",
                0,
                1_000_000_000,
                "Working minutes from the start of this hand-over to the response.",
                "35",
            )
        },
        Member {
            is_range: false,
            ..Member::int(
                "waited_minutes",
                0,
                1_000_000_000,
                "Working minutes from the start of the chain to the response: speed to lead.",
                "515",
            )
        },
        Member {
            is_range: false,
            ..Member::instant("ended_at", "When it ended.")
        },
    ],
    default_sort: "-started_at",
    hooks: Hooks::NONE,
};

/// `open`, and how it ends.
const STATUSES: &[&str] = {
    let ends = End::VARIANTS;
    &["open", ends[0], ends[1], ends[2], ends[3], ends[4]]
};
