//! What the pool shows before a record is claimed, and the rules of recycling.

use super::rules;
use crate::crm::resources::LEAD_SOURCE;
use crate::identity::resources::USER;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

const SINCE: Member = Member::instant("since", "Since when it is in the pool.")
    .required()
    .sort();

const WHY: Member = Member::choice(
    "why",
    &["released", "recycled", "never_owned", "handed_over"],
    "Why it is in the pool: its owner gave it up, a rule took it because nobody tended it, it came without an owner, or nobody could take it over.",
    "\"released\"",
)
.required();

const LAST_OWNER: Member = Member::to("last_owner_id", &USER, "Who had it last.");

pub static POOL_LEAD: Resource = Resource {
    singular: "pool_lead",
    plural: "pool/leads",
    table: "pool_leads",
    tag: "pool",
    about: "A lead in the public pool, masked: its name is its first character, and neither phone nor e-mail is shown. Claiming it shows the whole.",
    permission: "pool",
    access: Access::Derived,
    verbs: Verbs::READ,
    members: &[
        Member::text("name", 10, "The person's name, masked.", "\"王***\"").required(),
        Member::text("company", 10, "Their company, masked.", "\"恒***\""),
        Member::text("industry", 100, "Industry.", "\"制造业\"").filter(),
        Member::text("region", 100, "Region.", "\"华东\"").filter(),
        Member::to("source_id", &LEAD_SOURCE, "Where it came from."),
        Member::choice(
            "status",
            &[
                "new",
                "working",
                "marketing_qualified",
                "sales_qualified",
                "nurturing",
                "disqualified",
            ],
            "State of the lead.",
            "\"new\"",
        )
        .required(),
        Member::decimal("score", 4, "Its score; null without one.", "\"72.5\"")
            .signed()
            .sort(),
        Member::flag("has_phone", "false", "Whether a phone is known."),
        Member::flag("has_email", "false", "Whether an e-mail is known."),
        SINCE,
        WHY,
        LAST_OWNER,
    ],
    default_sort: "-since",
    hooks: Hooks::NONE,
};

pub static POOL_ACCOUNT: Resource = Resource {
    singular: "pool_account",
    plural: "pool/accounts",
    table: "pool_accounts",
    tag: "pool",
    about: "An account in the public pool, masked: its name is its first character, and nobody who works there is shown. Claiming it shows the whole.",
    permission: "pool",
    access: Access::Derived,
    verbs: Verbs::READ,
    members: &[
        Member::text("name", 10, "Its name, masked.", "\"恒***\"").required(),
        Member::text("industry", 100, "Industry.", "\"制造业\"").filter(),
        Member::text("region", 100, "Region.", "\"华东\"").filter(),
        Member::int("employees", 0, 10_000_000, "Number of employees.", "200").sort(),
        Member::to("source_id", &LEAD_SOURCE, "Where it came from."),
        Member::text("segment", 60, "Segment.", "\"smb\"").filter(),
        Member::choice(
            "grade",
            &["a", "b", "c"],
            "By time to need, a the soonest.",
            "\"b\"",
        )
        .sort(),
        Member::choice(
            "level",
            &["a", "b", "c"],
            "Customer level after the first sale.",
            "null",
        ),
        Member::flag("has_contacts", "false", "Whether somebody there is known."),
        SINCE,
        WHY,
        LAST_OWNER,
    ],
    default_sort: "-since",
    hooks: Hooks::NONE,
};

pub static POOL_RULE: Resource = Resource {
    singular: "pool_rule",
    plural: "pool-rules",
    table: "pool_rules",
    tag: "pool",
    about: "When a record that nobody tends goes to the public pool. Of the active rules of its kind the first, by position, that applies decides. Days are whole days of the company's time zone; an open opportunity keeps an account out of the pool. A rule without days keeps what it applies to. What is overdue when a rule is made has its whole warning first.",
    permission: "pool_rule",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::choice(
            "record_kind",
            &["account", "lead"],
            "What it is about.",
            "\"account\"",
        )
        .required()
        .fixed(),
        Member::text("name", 100, "Name.", "\"B 类客户 30 天未跟进\"")
            .required()
            .search()
            .sort(),
        Member::int(
            "position",
            0,
            1_000_000,
            "Its place: the lowest that applies decides.",
            "10",
        )
        .required()
        .sort(),
        Member::choice(
            "grade",
            &["a", "b", "c"],
            "Only accounts of this grade; all when not given.",
            "\"b\"",
        ),
        Member::text(
            "segment",
            60,
            "Only accounts of this segment; all when not given.",
            "\"smb\"",
        )
        .filter(),
        Member::to(
            "source_id",
            &LEAD_SOURCE,
            "Only what came from this source; all when not given.",
        ),
        Member::int(
            "no_follow_up_days",
            1,
            3650,
            "It goes after so many whole days without a follow-up.",
            "30",
        ),
        Member::int(
            "no_opportunity_days",
            1,
            3650,
            "An account goes after so many whole days without an opportunity.",
            "null",
        ),
        Member::int(
            "warning_days",
            0,
            3649,
            "So many days before, its owner is warned; less than the days of the rule, 0 for no warning.",
            "7",
        )
        .or("0"),
        Member::flag("is_active", "true", "Whether it counts."),
    ],
    default_sort: "position",
    hooks: Hooks {
        before: Some(rules::before),
        after: Some(rules::after),
        ..Hooks::NONE
    },
};
