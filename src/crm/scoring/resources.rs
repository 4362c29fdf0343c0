//! Scoring as the API shows it: models and their versions, ideal customers, recorded behaviour, reviews.

use super::{profiles, versions};
use crate::crm::resources::LEAD;
use crate::platform::records::versions::MEMBERS as VERSION_MEMBERS;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

const PART_OF_LEAD: Access = Access::Part {
    parent: &LEAD,
    key: "lead_id",
    closed_sql: None,
};

pub static SCORING_MODEL: Resource = Resource {
    singular: "scoring_model",
    plural: "scoring-models",
    table: "scoring_models",
    tag: "scoring",
    about: "A way of scoring leads. What it is stands in its versions; leads are scored by the one version of all models that is published.",
    permission: "scoring",
    access: Access::Shared,
    verbs: Verbs {
        create: false,
        update: false,
        archive: true,
    },
    members: &[
        Member {
            most: 63,
            ..Member::key("key", "Stable key, as in its document.", "\"b2b\"")
        }
        .required()
        .read_only()
        .filter()
        .sort(),
        Member::text("name", 200, "Name, as in its newest document.", "\"B2B lead scoring\"")
            .required()
            .read_only()
            .search()
            .sort(),
        Member::text("name_zh", 200, "Name in Chinese.", "\"B2B 线索评分\"").read_only(),
        Member::text("description", 5000, "What it is for.", "null").read_only(),
        Member::id(
            "published_version_id",
            "The version by which leads are scored; null unless it is of this model.",
        )
        .read_only(),
        Member::int(
            "published_number",
            1,
            1_000_000,
            "Number of the published version; null when there is none.",
            "1",
        )
        .computed("SELECT v.number FROM scoring_model_versions v WHERE v.tenant_id = t.tenant_id AND v.id = t.published_version_id"),
        Member::int(
            "draft_number",
            1,
            1_000_000,
            "Number of the draft; null when there is none.",
            "2",
        )
        .computed("SELECT v.number FROM scoring_model_versions v WHERE v.tenant_id = t.tenant_id AND v.model_id = t.id AND v.state = 'draft'"),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(versions::keep_the_published_one),
        ..Hooks::NONE
    },
};

/// A version in lists; its document is read by number. Not among the declared resources, since it is found by number.
pub static SCORING_VERSION: Resource = Resource {
    singular: "scoring_model_version",
    plural: "versions",
    table: "scoring_model_versions",
    tag: "scoring",
    about: "A version of a scoring model.",
    permission: "scoring",
    access: Access::Part {
        parent: &SCORING_MODEL,
        key: "model_id",
        closed_sql: None,
    },
    verbs: Verbs::READ,
    members: VERSION_MEMBERS,
    default_sort: "-number",
    hooks: Hooks::NONE,
};

pub static CUSTOMER_PROFILE: Resource = Resource {
    singular: "customer_profile",
    plural: "customer-profiles",
    table: "customer_profiles",
    tag: "scoring",
    about: "An ideal customer: weighted criteria over industry, size, region and pain, which leads and accounts match more or less.",
    permission: "scoring",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::key("key", "Stable key.", "\"manufacturer\"")
            .required()
            .fixed()
            .filter()
            .sort(),
        Member::text("name", 200, "Name.", "\"Larger manufacturers\"")
            .required()
            .search()
            .sort(),
        Member::text("name_zh", 200, "Name in Chinese.", "\"中大型制造企业\""),
        Member::text(
            "description",
            5000,
            "Who they are and what troubles them.",
            "null",
        ),
        Member::json(
            "criteria",
            "[]",
            profiles::CRITERIA,
            "What makes them ideal; the match is the weight of what is met, divided by all weights.",
            r#"[{"key":"industry","name":"Manufacturing","name_zh":"制造业","weight":"3","condition":"industry == \"制造业\""}]"#,
        ),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(profiles::before),
        ..Hooks::NONE
    },
};

pub static LEAD_BEHAVIOUR: Resource = Resource {
    singular: "lead_behaviour",
    plural: "behaviours",
    table: "lead_behaviours",
    tag: "scoring",
    about: "Something a lead did that tells of interest.",
    permission: "lead",
    access: PART_OF_LEAD,
    verbs: Verbs::READ,
    members: &[
        Member::choice("kind", BEHAVIOURS, "What they did.", "\"demo_requested\"").required(),
        Member::instant("occurred_at", "When they did it.")
            .required()
            .sort(),
        Member::text(
            "external_id",
            200,
            "The sender's id of it; the same one is recorded once.",
            "\"evt-1\"",
        )
        .filter(),
        Member::text("note", 1000, "Note.", "null"),
    ],
    default_sort: "-occurred_at",
    hooks: Hooks::NONE,
};

const BEHAVIOURS: &[&str] = <super::rules::BehaviourKind as strum::VariantNames>::VARIANTS;

pub static LEAD_REVIEW: Resource = Resource {
    singular: "lead_review",
    plural: "reviews",
    table: "lead_reviews",
    tag: "scoring",
    about: "The review of a candidate for sales qualification.",
    permission: "lead",
    access: PART_OF_LEAD,
    verbs: Verbs::READ,
    members: &[
        Member::choice(
            "status",
            &["open", "accepted", "rejected", "withdrawn"],
            "`withdrawn`: the lead was qualified by hand, set aside or converted before anybody decided.",
            "\"open\"",
        )
        .required(),
        Member::text("lead_name", 200, "Name of the lead.", "\"王芳\"")
            .computed("SELECT l.name FROM leads l WHERE l.tenant_id = t.tenant_id AND l.id = t.lead_id"),
        Member::text("lead_company", 200, "Company of the lead.", "\"制造有限公司\"")
            .computed("SELECT l.company FROM leads l WHERE l.tenant_id = t.tenant_id AND l.id = t.lead_id"),
        Member::text("owner_name", 200, "Name of the lead's owner.", "\"李雷\"").computed(
            "SELECT u.name FROM leads l JOIN users u ON u.tenant_id = l.tenant_id AND u.id = l.owner_id \
             WHERE l.tenant_id = t.tenant_id AND l.id = t.lead_id",
        ),
        Member {
            is_range: false,
            ..Member::decimal("score", 4, "The score when the review was opened.", "\"72.5\"")
        }
        .signed()
        .required()
        .sort(),
        Member::json(
            "evidence",
            "{}",
            r#"{"type":"object","additionalProperties":true}"#,
            "What made the score up then: the computed one, the one set by hand, the dimensions, the rules that gave points.",
            r#"{"computed":"72.5","by_hand":null,"dimensions":{"demographic":"25","behavioural":"7.5","fit":"10","intent":"30"},"rules":[{"key":"price_asked","points":"20"}]}"#,
        ),
        Member::text("reason", 500, "Why it was decided so.", "null"),
        Member {
            is_filter: false,
            ..Member::id("decided_by", "Who decided.")
        },
        Member {
            is_range: false,
            ..Member::instant("decided_at", "When it was decided.")
        },
    ],
    default_sort: "created_at",
    hooks: Hooks::NONE,
};
