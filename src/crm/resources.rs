//! Accounts, contacts, leads, lead sources and custom fields as the API shows them.

use crate::crm::assignment::follow;
use crate::crm::campaigns::CAMPAIGN;
use crate::crm::intake::mapping::SCHEMA_OF_MAPPING;
use crate::crm::signals::members as signals;
use crate::crm::{field_index, hooks, verifications};
use crate::identity::resources::USER;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs, Within};

/// Lets a record in although the company's setting blocks it.
const OVERRIDE_DUPLICATES: Member = Member::json(
    "override_duplicates",
    "null",
    r#"{"type":"object","additionalProperties":false,"required":["reason"],"properties":{"reason":{"type":"string","minLength":1,"maxLength":500,"description":"Why it is entered all the same.","examples":["两人共用一部手机"]}}}"#,
    "Enters the record although another has the same phone, e-mail or tax number; needs `duplicate.override`. Kept with the event.",
    r#"{"reason":"两人共用一部手机"}"#,
)
.instruction()
.for_restore();

/// Lets a lead go to somebody who is full.
const OVERRIDE_CAPACITY: Member = Member::json(
    "override_capacity",
    "null",
    r#"{"type":"object","additionalProperties":false,"required":["reason"],"properties":{"reason":{"type":"string","minLength":1,"maxLength":500,"description":"Why they get it all the same.","examples":["老客户指定"]}}}"#,
    "Gives the lead to its new owner although they hold as many open leads as they may. Kept with the event.",
    r#"{"reason":"老客户指定"}"#,
)
.instruction();

pub static ACCOUNT: Resource = Resource {
    singular: "account",
    plural: "accounts",
    table: "accounts",
    tag: "accounts",
    about: "A company that we sell to.",
    permission: "account",
    access: Access::Owned {
        assign: "account.write",
        // It is in the pool: to take it from there is to claim it.
        unowned: "pool.assign",
        within: None,
    },
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 200, "Registered name.", "\"科技有限公司\"")
            .required()
            .search()
            .sort(),
        Member::text("industry", 100, "Industry.", "\"信息技术\"").filter(),
        Member::int("employees", 0, 10_000_000, "Number of employees.", "200").sort(),
        Member::money("annual_revenue", "Annual revenue.").sort(),
        Member::currency("Currency of the amounts; the company's when not given."),
        Member::text("size_note", 200, "Size as it was stated.", "\"200人/1亿\""),
        Member::text("region", 100, "Region.", "\"华东\"").filter(),
        Member::text("address", 500, "Address.", "\"上海市浦东新区\""),
        Member::text("billing_title", 200, "Title on invoices.", "null"),
        Member::text("tax_number", 50, "Tax number.", "null").filter(),
        Member::text("website", 300, "Web site.", "null"),
        Member::to("source_id", &LEAD_SOURCE, "Where it came from."),
        Member::to("owner_id", &USER, "Who tends it; you, when not given."),
        Member::to("parent_id", &ACCOUNT, "The company that it belongs to."),
        Member::text("segment", 60, "Segment.", "\"smb\"").filter(),
        Member::choice(
            "grade",
            &["a", "b", "c"],
            "By time to need: a within 30 days, b within 6 months, both inclusive (the company's limits), c later; computed from expected_need_on unless set by hand. `null` returns to the computed one.",
            "\"b\"",
        ),
        Member::choice(
            "level",
            &["a", "b", "c"],
            "Customer level after the first sale.",
            "null",
        ),
        Member::text("follow_up_status", 100, "State of the follow-up.", "\"B类\"").filter(),
        Member::day("next_follow_up_on", "Day of the next follow-up.").sort(),
        Member::day("expected_need_on", "Day by which the need is expected."),
        Member::text(
            "credit_terms",
            60,
            "Credit terms: `net N` (N days), `net N eom` (then the month's end), `eom N` (the month's end, then N days), or `instalments`.",
            "\"net 30\"",
        ),
        Member::text("description", 5000, "Notes.", "\"需要客户管理系统\"").search(),
        OVERRIDE_DUPLICATES,
        Member::tags(),
        Member::custom(),
        Member::flag("is_grade_by_hand", "false", "Whether the grade was set by hand.").read_only(),
        verifications::VERIFIED_ACCOUNT_MEMBERS,
    ],
    default_sort: "-created_at",
    hooks: Hooks {
        before: Some(hooks::account),
        after: Some(hooks::after_account),
        before_many: Some(hooks::new_accounts),
        after_many: Some(hooks::after_new_accounts),
        ..Hooks::NONE
    },
};

pub static CONTACT: Resource = Resource {
    singular: "contact",
    plural: "contacts",
    table: "contacts",
    tag: "accounts",
    about: "A person at an account; whoever owns the account or takes part in it sees them too.",
    permission: "contact",
    access: Access::Owned {
        assign: "contact.write",
        unowned: "contact.write",
        within: Some(Within {
            record: &ACCOUNT,
            key: "account_id",
        }),
    },
    verbs: Verbs::ALL,
    members: &[
        Member::to("account_id", &ACCOUNT, "The account they work for."),
        Member::text("name", 100, "Name.", "\"张总\"")
            .required()
            .search()
            .sort(),
        Member::text("job_title", 100, "Job title.", "\"总经理\""),
        Member::phone("phone", "Phone, as typed.").search(),
        Member::text(
            "phone_e164",
            20,
            "The phone in E.164, when it could be read.",
            "\"+8613800138000\"",
        )
        .read_only()
        .filter(),
        Member::phone("personal_phone", "Personal phone.")
            .sensitive("contact.read_personal")
            .search(),
        Member::email("email", "E-mail, lower-cased.").filter().search(),
        Member::choice(
            "buying_role",
            &["user", "technical", "procurement", "decision_maker"],
            "Role in buying.",
            "\"decision_maker\"",
        ),
        Member::to("owner_id", &USER, "Who tends them; you, when not given."),
        Member::text("description", 5000, "Notes.", "null").search(),
        OVERRIDE_DUPLICATES,
        Member::tags(),
        Member::custom(),
        verifications::VERIFIED_CONTACT_MEMBERS,
    ],
    default_sort: "-created_at",
    hooks: Hooks {
        before: Some(hooks::contact),
        before_many: Some(hooks::new_contacts),
        after_many: Some(hooks::after_new_contacts),
        ..Hooks::NONE
    },
};

pub static LEAD: Resource = Resource {
    singular: "lead",
    plural: "leads",
    table: "leads",
    tag: "leads",
    about: "An unqualified expression of interest.",
    permission: "lead",
    access: Access::Owned {
        assign: "lead.assign",
        unowned: "lead.assign",
        within: None,
    },
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 100, "The person's name.", "\"王芳\"")
            .required()
            .search()
            .sort(),
        Member::text("company", 200, "Their company.", "\"制造有限公司\"")
            .search()
            .sort(),
        Member::text("job_title", 100, "Job title.", "\"采购总监\""),
        Member::phone("phone", "Phone, as typed.").search(),
        Member::text(
            "phone_e164",
            20,
            "The phone in E.164, when it could be read.",
            "\"+8613900139000\"",
        )
        .read_only()
        .filter(),
        Member::email("email", "E-mail, lower-cased.").filter().search(),
        Member::text("industry", 100, "Industry.", "\"制造业\"").filter(),
        Member::text("region", 100, "Region.", "\"华南\"").filter(),
        Member::text(
            "need",
            5000,
            "What they need, in words.",
            "\"生产线设备数据监控\"",
        )
        .search(),
        Member::money("budget_amount", "Budget.").sort(),
        Member::currency("Currency of the budget; the company's when not given."),
        Member::day("expected_need_on", "Day by which they need it."),
        signals::DECISION_FROM,
        signals::DECISION_UNTIL,
        signals::IS_NEED_CONFIRMED,
        signals::IS_BUDGET_CONFIRMED,
        signals::ABILITY_TO_PAY,
        signals::IS_DECISION_WINDOW_CONFIRMED,
        signals::CONFIRMATIONS,
        signals::LAST_INQUIRED_AT,
        signals::LAST_INQUIRY,
        Member::to("source_id", &LEAD_SOURCE, "Where it came from."),
        Member::to(
            "owner_id",
            &USER,
            "Who works it. When not given: whom the assignment rules say; else you, and nobody for what a source delivered.",
        ),
        Member::choice(
            "status",
            &[
                "new",
                "working",
                "marketing_qualified",
                "sales_qualified",
                "nurturing",
                "disqualified",
                "converted",
            ],
            "State of the lead.",
            "\"new\"",
        )
        .or("\"new\"")
        .read_only(),
        Member::choice(
            "reopen_status",
            &["new", "working", "marketing_qualified", "sales_qualified"],
            "The state to which reopening returns.",
            "null",
        )
        .read_only(),
        Member::text("disqualified_reason", 500, "Why it was disqualified.", "null").read_only(),
        Member::day("nurture_until", "Day on which nurturing ends.").read_only(),
        signals::NURTURE_REASON,
        Member::id("converted_account_id", "The account it became.").read_only(),
        Member::id("converted_contact_id", "The contact it became.").read_only(),
        Member::id("converted_opportunity_id", "The opportunity it became.").read_only(),
        Member::instant("converted_at", "When it was converted.").read_only(),
        OVERRIDE_DUPLICATES,
        OVERRIDE_CAPACITY,
        Member::tags(),
        Member::custom(),
        Member::text("description", 5000, "Notes.", "null").search(),
        Member::decimal(
            "score",
            4,
            "The score that counts: the one set by hand, else the computed one; null without either. Time moves it without a change of the lead.",
            "\"72.5\"",
        )
        .signed()
        .read_only()
        .sort(),
        Member::text(
            "campaign_key",
            60,
            "Key of the campaign that won it; `null` takes it away. Senders may map it.",
            "\"spring_2024\"",
        )
        .instruction(),
        Member::to("campaign_id", &CAMPAIGN, "The campaign that won it.")
            .computed("SELECT c.campaign_id FROM lead_campaigns c WHERE c.tenant_id = t.tenant_id AND c.lead_id = t.id")
            .found_in("SELECT c.lead_id FROM lead_campaigns c WHERE c.tenant_id = $1 AND c.campaign_id"),
    ],
    default_sort: "-created_at",
    hooks: Hooks {
        before: Some(hooks::lead),
        after: Some(hooks::after_lead),
        before_many: Some(hooks::new_leads),
        after_many: Some(hooks::after_new_leads),
        together: Some(follow::gathered),
        ..Hooks::NONE
    },
};

pub static LEAD_SOURCE: Resource = Resource {
    singular: "lead_source",
    plural: "lead-sources",
    table: "lead_sources",
    tag: "leads",
    about: "Where leads come from. Its signed intake is at `/v1/intake/{source}`.",
    permission: "source",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::key("key", "Stable key.", "\"website\"")
            .required()
            .fixed()
            .filter()
            .sort(),
        Member::text("name", 100, "Name.", "\"官网表单\"")
            .required()
            .search()
            .sort(),
        Member::choice(
            "channel",
            &[
                "web",
                "seo",
                "ads",
                "social",
                "mail",
                "webinar",
                "exhibition",
                "partner",
                "referral",
                "hotline",
                "existing_customer",
                "cross_sell",
                "service_desk",
                "other",
            ],
            "The channel. It need not have an intake.",
            "\"web\"",
        )
        .or("\"other\""),
        Member::choice(
            "kind",
            &["online", "offline", "internal"],
            "Kind of channel: online (`web`, `seo`, `ads`, `social`, `mail`, `webinar`), offline (`exhibition`, `partner`, `referral`, `hotline`, `other`) or internal (`existing_customer`, `cross_sell`, `service_desk`), unless it is set; `null` returns to that.",
            "\"online\"",
        ),
        Member::to("parent_id", &LEAD_SOURCE, "The source above it in the tree."),
        Member::flag(
            "is_intake_open",
            "false",
            "Whether its intake accepts deliveries.",
        ),
        Member::json(
            "mapping",
            "{}",
            SCHEMA_OF_MAPPING,
            "Lead member (`custom.KEY` for the company's own fields) to where its value stands in the sender's JSON: `pointer` (JSON Pointer) with an optional `default`, or a `constant`. Empty: the sender uses our member names.",
            r#"{"name":{"pointer":"/person/name"},"need":{"pointer":"/message","default":"-"}}"#,
        ),
        Member::json(
            "required_members",
            "[]",
            r#"{"type":"array","maxItems":30,"uniqueItems":true,"items":{"type":"string","maxLength":60}}"#,
            "Lead members that a delivery must have besides the name.",
            r#"["phone"]"#,
        ),
        Member::to(
            "default_owner_id",
            &USER,
            "Who gets its leads; nobody when not given.",
        ),
        Member::text(
            "intake_path",
            120,
            "Where signed deliveries go: the company and the source, in hexadecimal digits.",
            "\"/v1/intake/0197c9a05d3e7c119e610c6a1c8e4b2a.0197c9a05d3e7c119e610c6a1c8e4b2b\"",
        )
        .required()
        .computed(
            "'/v1/intake/' || replace(t.tenant_id::text, '-', '') || '.' || replace(t.id::text, '-', '')",
        ),
        Member::flag("has_secret", "false", "Whether it has a signing secret.")
            .computed("t.sealed_secret IS NOT NULL"),
        Member::instant(
            "previous_secret_until",
            "Until when the secret before the last rotation is good, by real time; null when there is none.",
        )
        .read_only(),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(hooks::lead_source),
        ..Hooks::NONE
    },
};

pub static FIELD_DEFINITION: Resource = Resource {
    singular: "field_definition",
    plural: "field-definitions",
    table: "field_definitions",
    tag: "fields",
    about: "A field that the company adds to a resource; its values stand in that resource's `custom`.",
    permission: "field",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::choice(
            "resource",
            &["account", "contact", "lead", "opportunity"],
            "The resource that gets it.",
            "\"opportunity\"",
        )
        .required()
        .fixed(),
        Member::key("key", "Its key in `custom`.", "\"delivery_city\"")
            .required()
            .fixed()
            .filter()
            .sort(),
        Member::text("label", 100, "What people see.", "\"交付城市\"")
            .required()
            .search(),
        Member::choice(
            "kind",
            &["text", "number", "money", "date", "choice", "user"],
            "Kind of value.",
            "\"text\"",
        )
        .required()
        .fixed(),
        Member::json(
            "choices",
            "null",
            r#"{"type":["array","null"],"minItems":1,"maxItems":200,"uniqueItems":true,"items":{"type":"string","minLength":1,"maxLength":100,"pattern":"^[^\\u0000-\\u001f]+$"}}"#,
            "The allowed values, for `choice`.",
            r#"["上海","北京"]"#,
        ),
        Member::flag("is_required", "false", "Whether records must have it."),
        Member::flag("is_filterable", "false", "Whether lists can be filtered by it."),
        Member::flag(
            "is_indexed",
            "false",
            "Whether all its values stand in an index. Until then filters read the records themselves: as right, but slower.",
        )
        .computed("t.indexed_at IS NOT NULL"),
        Member::text("help", 500, "Help for whoever fills it in.", "null"),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(hooks::field_definition),
        after: Some(field_index::after),
        ..Hooks::NONE
    },
};
