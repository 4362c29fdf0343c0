//! Users, teams, roles and API keys as the API shows them.

use super::{hooks, staffing};
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

pub(super) const LOCALES: &[&str] = &["en", "zh-CN", "ru"];

pub static USER: Resource = Resource {
    singular: "user",
    plural: "users",
    table: "users",
    tag: "identity",
    about: "A person of the company.",
    permission: "user",
    access: Access::Shared,
    verbs: Verbs {
        create: false,
        update: true,
        archive: false,
    },
    members: &[
        Member::text("name", 100, "Name.", "\"李伟\"")
            .required()
            .search()
            .sort(),
        Member::email("email", "Sign-in name, lower-cased; unique in the company.")
            .required()
            .filter()
            .search(),
        Member::text("job_title", 100, "Job title.", "\"销售代表\""),
        Member::phone("phone", "Office phone."),
        Member::to("team_id", &TEAM, "The team they belong to."),
        Member::choice(
            "locale",
            LOCALES,
            "Language of what is sent to them.",
            "\"zh-CN\"",
        ),
        Member::flag("is_active", "true", "Whether they can sign in.").read_only(),
        Member::instant("away_from", "Start of an absence."),
        Member::instant("away_until", "End of an absence."),
        Member::to(
            "delegate_id",
            &USER,
            "Who decides approvals for them while they are away.",
        ),
        Member {
            is_range: false,
            ..Member::int(
                "lead_capacity",
                0,
                100_000,
                "Most open leads that they hold; the company's number when not given.",
                "50",
            )
        },
        Member::json(
            "role_ids",
            "[]",
            r#"{"type":"array","items":{"type":"string","format":"uuid"},"maxItems":50}"#,
            "Their roles; set by `PUT /v1/users/{id}/roles`.",
            r#"["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]"#,
        )
        .computed(
            "SELECT coalesce(json_agg(ur.role_id ORDER BY ur.role_id), '[]'::json) FROM user_roles ur \
             WHERE ur.tenant_id = t.tenant_id AND ur.user_id = t.id",
        ),
    ],
    default_sort: "name",
    hooks: Hooks {
        before: Some(hooks::before_user),
        after: Some(staffing::after_user),
        ..Hooks::NONE
    },
};

pub static TEAM: Resource = Resource {
    singular: "team",
    plural: "teams",
    table: "teams",
    tag: "identity",
    about: "A node in the company's tree of teams.",
    permission: "team",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 100, "Name.", "\"华东销售一组\"")
            .required()
            .search()
            .sort(),
        Member::to(
            "parent_id",
            &TEAM,
            "The team above. Nobody whose rights stop short of everything puts a team below those that they reach: somebody else does.",
        ),
        Member::to(
            "leader_id",
            &USER,
            "The team's leader; made so by somebody else, unless whoever does it holds all rights over everything.",
        ),
    ],
    default_sort: "name",
    hooks: Hooks {
        before: Some(hooks::before_team),
        after: Some(staffing::after_team),
        ..Hooks::NONE
    },
};

pub static ROLE: Resource = Resource {
    singular: "role",
    plural: "roles",
    table: "roles",
    tag: "identity",
    about: "A named set of permissions, each with its data scope.",
    permission: "role",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::key("key", "Stable key.", "\"regional_director\"")
            .required()
            .fixed()
            .filter()
            .sort(),
        Member::text("name", 100, "Name.", "\"大区总监\"")
            .required()
            .search()
            .sort(),
        Member::text(
            "description",
            500,
            "What the role is for.",
            "\"All deals of a region\"",
        ),
        Member::flag(
            "is_shipped",
            "false",
            "Whether every company has it; shipped roles do not change.",
        )
        .read_only(),
        Member::json(
            "grants",
            "{}",
            r#"{"type":"object","additionalProperties":{"type":"string","enum":["own","team","team_tree","all"]},"propertyNames":{"pattern":"^[a-z_]+\\.[a-z_]+$"},"maxProperties":200}"#,
            "Permission to data scope; `GET /v1/permissions` says which scopes each takes.",
            r#"{"opportunity.read":"team_tree"}"#,
        ),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(hooks::before_role),
        ..Hooks::NONE
    },
};

pub static API_KEY: Resource = Resource {
    singular: "api_key",
    plural: "api-keys",
    table: "api_keys",
    tag: "sign-in",
    about: "A key for programs; it acts as its user, limited to its role. Its times are real.",
    permission: "key",
    access: Access::Shared,
    verbs: Verbs::READ,
    members: &[
        Member::text("name", 100, "What it is for.", "\"官网表单\"")
            .required()
            .search()
            .sort(),
        Member::to("user_id", &USER, "As whom it acts.").required(),
        Member::to("role_id", &ROLE, "The role beyond which it does not reach."),
        Member::text("prefix", 12, "Its visible beginning.", "\"psk_AZfJoF0-\"").required(),
        Member::instant("expires_at", "When it ends."),
        Member::instant("last_used_at", "When it was last used, to a few seconds."),
        Member::instant("revoked_at", "When it was revoked; null while it is good.")
            .computed("t.archived_at"),
    ],
    default_sort: "name",
    hooks: Hooks::NONE,
};
