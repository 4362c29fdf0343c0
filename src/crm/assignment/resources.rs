//! Assignment as the API shows it: rules, absences.

use super::{absences, rules};
use crate::identity::resources::USER;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};
use strum::VariantNames;

pub static ASSIGNMENT_RULE: Resource = Resource {
    singular: "assignment_rule",
    plural: "assignment-rules",
    table: "assignment_rules",
    tag: "assignment",
    about: "Who gets which leads. Of the enabled rules of a moment, in order of `position`, the first whose condition is met decides; what depends on something unknown is not met.",
    permission: "assignment",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 200, "Name.", "\"华东制造业\"")
            .required()
            .search()
            .sort(),
        Member {
            is_range: false,
            ..Member::int(
                "position",
                1,
                1_000_000,
                "Its place in the order; of equal ones the older rule goes first.",
                "10",
            )
        }
        .required()
        .sort(),
        Member::choice(
            "trigger",
            rules::Trigger::VARIANTS,
            "When it is asked: a lead was `created` without an owner, or became `marketing_qualified` or `sales_qualified`. By command, and when a first response was missed, the rules of all moments that the lead has reached are asked, the latest moment first.",
            "\"created\"",
        )
        .required(),
        Member::text(
            "condition",
            4000,
            "CEL condition over the lead's members (`score` and `status` too), `custom`, `source` (`key`, `channel`), `profile` (`key`, `match`: the ideal customer that fits best), `today` and `now`. Every lead when not given.",
            "\"region == \\\"华东\\\" && score >= 40\"",
        ),
        Member::json("candidates", "[]", CANDIDATES, "Who can get its leads; somebody named twice counts where they stand first.", r#"[{"user_id":"0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a","weight":2},{"team_id":"0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"}]"#),
        Member::choice(
            "strategy",
            super::choose::Strategy::VARIANTS,
            "Among those who can take it: `round_robin` whoever has waited longest, `least_loaded` whoever has the fewest open leads, `weighted` in proportion to the weights. The absent and the full are passed over.",
            "\"round_robin\"",
        )
        .required(),
        Member::choice(
            "when_nobody",
            rules::WhenNobody::VARIANTS,
            "When it is met and nobody can take the lead: to the `pool`, or on to the `next_rule`.",
            "\"pool\"",
        )
        .or("\"pool\""),
        Member::flag("is_enabled", "true", "Whether it is asked."),
        Member::flag(
            "takes_owned",
            "false",
            "Whether it also gives away leads that have an owner by then, unless that is one of its candidates.",
        ),
        Member {
            is_range: false,
            ..Member::int(
                "response_minutes",
                1,
                1_000_000,
                "Working minutes until the first response, in place of the company's.",
                "120",
            )
        },
        Member {
            is_range: false,
            ..Member::int(
                "warning_minutes",
                1,
                1_000_000,
                "Working minutes of warning before that deadline, in place of the company's.",
                "30",
            )
        },
        Member::text(
            "goal",
            500,
            "What whoever gets a sales-qualified lead is to reach.",
            "\"确认预算与决策人,约定首次会议\"",
        ),
    ],
    default_sort: "position",
    hooks: Hooks {
        before: Some(rules::before),
        ..Hooks::NONE
    },
};

/// The JSON Schema of `candidates`.
const CANDIDATES: &str = r#"{"type":"array","minItems":1,"maxItems":200,"items":{"type":"object","additionalProperties":false,"minProperties":1,"properties":{"user_id":{"type":"string","format":"uuid","description":"One person.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]},"team_id":{"type":"string","format":"uuid","description":"The people of a team.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"]},"role_id":{"type":"string","format":"uuid","description":"The people with a role.","examples":["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c"]},"weight":{"type":"integer","minimum":1,"maximum":1000,"default":1,"description":"Share of the leads where they go by weight.","examples":[2]}}}}"#;

pub static USER_ABSENCE: Resource = Resource {
    singular: "user_absence",
    plural: "user-absences",
    table: "user_absences",
    tag: "assignment",
    about: "A time in which somebody is away and gets no leads by rule. Everybody enters their own, a leader those of their people. Of one person no two overlap.",
    permission: "absence",
    access: Access::Owned {
        assign: "absence.write",
        unowned: "absence.write",
        within: None,
    },
    verbs: Verbs::ALL,
    members: &[
        Member::to("owner_id", &USER, "Who is away; you, when not given.").fixed(),
        Member::instant("starts_at", "From then on.").required().sort(),
        Member::instant("ends_at", "Until then; back at that instant.").required(),
        Member::text("note", 500, "Note.", "\"年假\""),
    ],
    default_sort: "-starts_at",
    hooks: Hooks {
        before: Some(absences::before),
        ..Hooks::NONE
    },
};
