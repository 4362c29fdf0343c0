//! Saved views and segments as the API shows them.

use super::hooks;
use crate::identity::resources::USER;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

const TREE: &str = r##"{"$ref":"#/components/schemas/FilterTree"}"##;
const FILTER: &str = r#"{"and":[{"member":"created_at","last_days":30},{"member":"owner_id","eq":"me"}]}"#;

/// The fields of its own that the company archived since, and that the tree still names.
const ARCHIVED_FIELDS: &str = "SELECT coalesce(json_agg(f.resource || '.' || f.key ORDER BY f.resource, f.key), '[]'::json) \
    FROM field_definitions f WHERE f.tenant_id = t.tenant_id AND f.archived_at IS NOT NULL \
    AND f.resource || '.' || f.key = ANY(t.custom_fields)";

const fn resource_member() -> Member {
    Member::choice(
        "resource",
        &["account", "contact", "lead", "opportunity"],
        "What it is about.",
        "\"account\"",
    )
    .required()
    .fixed()
}

const fn owner() -> Member {
    Member::to("owner_id", &USER, "Who made it.")
        .required()
        .read_only()
}

const fn sharing() -> Member {
    Member::choice(
        "sharing",
        &["nobody", "team", "all"],
        "Who else sees it: nobody, the owner's team, or everybody in the company.",
        "\"team\"",
    )
    .or("\"nobody\"")
}

const fn filter() -> Member {
    Member::json(
        "filter",
        "{}",
        TREE,
        "The filter tree, as `search` takes it; `{}` lets everything through.",
        FILTER,
    )
}

const fn custom_fields() -> Member {
    Member::json(
        "custom_fields",
        "[]",
        r#"{"type":"array","items":{"type":"string"}}"#,
        "The company's own fields that it names, each as resource.key.",
        r#"["account.tier"]"#,
    )
    .read_only()
}

const fn archived_fields() -> Member {
    Member::json(
        "archived_fields",
        "[]",
        r#"{"type":"array","items":{"type":"string"}}"#,
        "Those of them that were archived since. It still runs, over the values that were kept.",
        "[]",
    )
    .computed(ARCHIVED_FIELDS)
}

pub static SAVED_VIEW: Resource = Resource {
    singular: "view",
    plural: "views",
    table: "saved_views",
    tag: "views",
    about: "How somebody likes to look at a collection: filter, order and columns.",
    permission: "view",
    access: Access::Personal,
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 100, "Name.", "\"我的重点客户\"")
            .required()
            .search()
            .sort(),
        resource_member(),
        owner(),
        sharing(),
        filter(),
        Member::json(
            "sort",
            "[]",
            r#"{"type":"array","maxItems":3,"items":{"type":"string","minLength":1,"maxLength":100}}"#,
            "Up to three keys, as `search` takes them.",
            r#"["-created_at"]"#,
        ),
        Member::json(
            "columns",
            "[]",
            r#"{"type":"array","maxItems":50,"uniqueItems":true,"items":{"type":"string","minLength":1,"maxLength":100}}"#,
            "Members to show, in this order; the company's own as custom.KEY, those of a relation behind its name (owner.name): these are embedded when the view is shown.",
            r#"["name","owner_id"]"#,
        ),
        custom_fields(),
        archived_fields(),
    ],
    default_sort: "name",
    hooks: Hooks {
        before: Some(hooks::view),
        ..Hooks::NONE
    },
};

pub static SEGMENT: Resource = Resource {
    singular: "segment",
    plural: "segments",
    table: "segments",
    tag: "views",
    about: "Records that a filter describes; who belongs is found out when it is asked.",
    permission: "view",
    access: Access::Personal,
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 100, "Name.", "\"华东大客户\"")
            .required()
            .search()
            .sort(),
        Member::text("description", 500, "What it is for.", "\"年营收一亿以上\""),
        resource_member(),
        owner(),
        sharing(),
        filter(),
        custom_fields(),
        archived_fields(),
    ],
    default_sort: "name",
    hooks: Hooks {
        before: Some(hooks::segment),
        ..Hooks::NONE
    },
};
