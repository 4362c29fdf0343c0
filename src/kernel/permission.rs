//! Permissions, data scopes, and the roles that every company starts with.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Over whose records a permission reaches. Ordered: a later one contains the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Own,
    Team,
    TeamTree,
    All,
}

/// What a role grants: permission to scope.
pub type Grants = BTreeMap<String, Scope>;

/// Every permission there is, with what it allows.
pub const PERMISSIONS: &[(&str, &str)] = &[
    ("account.read", "Read accounts"),
    ("account.write", "Create, change and archive accounts"),
    ("contact.read", "Read contacts"),
    ("contact.write", "Create, change and archive contacts"),
    ("contact.read_personal", "Read personal phone numbers"),
    ("lead.read", "Read leads"),
    ("lead.write", "Create, change and archive leads"),
    ("lead.convert", "Convert leads"),
    ("lead.assign", "Give leads to somebody else"),
    (
        "lead.review",
        "Accept or reject candidates for sales qualification",
    ),
    ("lead.override_score", "Set a lead's score by hand"),
    ("assignment.read", "Read assignment rules and settings"),
    ("assignment.write", "Maintain assignment rules and settings"),
    ("absence.read", "See when people are away"),
    ("absence.write", "Enter and change absences"),
    ("scoring.read", "Read scoring models and ideal customer profiles"),
    (
        "scoring.write",
        "Draft scoring models, maintain ideal customer profiles",
    ),
    ("scoring.publish", "Publish scoring models and score leads anew"),
    ("source.read", "Read lead sources"),
    ("source.write", "Set up lead sources, their mapping and secrets"),
    ("intake.read", "Read raw intakes"),
    ("intake.replay", "Correct and replay rejected intakes"),
    ("pool.read", "See what is in the public pool, masked"),
    ("pool.claim", "Claim records from the public pool"),
    ("pool.assign", "Give records of the public pool to somebody"),
    ("pool_rule.read", "Read the rules and quotas of the public pool"),
    ("pool_rule.write", "Set the rules and quotas of the public pool"),
    ("account.merge", "Merge accounts and undo it"),
    ("contact.merge", "Merge contacts and undo it"),
    ("lead.merge", "Merge leads and undo it"),
    ("duplicate.read", "Read the queue of possible duplicates"),
    ("duplicate.decide", "Decide about possible duplicates"),
    (
        "duplicate.override",
        "Enter a record although its exact key is taken, with a reason",
    ),
    ("opportunity.read", "Read opportunities and their parts"),
    (
        "opportunity.write",
        "Create, change and archive opportunities and their parts",
    ),
    ("opportunity.advance", "Advance opportunities and take them back"),
    ("opportunity.close", "Lose, restart and reopen opportunities"),
    ("opportunity.assign", "Give opportunities to somebody else"),
    ("opportunity.set_probability", "Set a probability by hand"),
    (
        "opportunity.override",
        "Skip stages and override gates, for ever marked",
    ),
    ("opportunity.import", "Import back-dated history"),
    (
        "opportunity.read_floor",
        "Read our floor in negotiations, and negotiation plans",
    ),
    (
        "catalog.read",
        "Read products, competitors, loss reasons, exchange rates",
    ),
    (
        "catalog.write",
        "Maintain products, competitors, loss reasons, exchange rates",
    ),
    ("catalog.read_cost", "Read product costs"),
    (
        "view.read",
        "See saved views and segments that are shared with one",
    ),
    ("view.write", "Keep saved views and segments"),
    ("field.read", "Read custom field definitions"),
    ("field.write", "Define custom fields"),
    ("pipeline.read", "Read pipelines and their versions"),
    ("pipeline.write", "Edit pipeline drafts"),
    ("pipeline.publish", "Publish pipeline versions"),
    ("pipeline.migrate", "Move deals in flight to another version"),
    ("process.read", "Read approval processes"),
    ("process.write", "Edit and publish approval processes"),
    ("approval.read", "Read approval requests"),
    ("approval.request", "Ask for approvals, withdraw one's own"),
    (
        "approval.decide",
        "Decide by an API key where its user has a seat (the seat itself is the right to decide), comment on what one sees",
    ),
    ("report.read", "Read funnel figures"),
    ("job.read", "See long work that others asked for"),
    ("job.write", "Cancel long work that others asked for"),
    ("event.read", "Read the event feed and the audit"),
    ("user.read", "Read users"),
    ("user.write", "Create, change, deactivate and hand over users"),
    ("team.read", "Read teams"),
    ("team.write", "Maintain teams"),
    ("role.read", "Read roles"),
    ("role.write", "Maintain roles"),
    ("key.read", "Read API keys"),
    ("key.write", "Make and revoke API keys"),
    ("company.read", "Read the company's settings"),
    ("company.write", "Change the company's settings"),
    ("sandbox.write", "Make a sandbox company and move its clock"),
];

/// A role that every company starts with.
pub struct ShippedRole {
    pub key: &'static str,
    pub name: &'static str,
    pub name_zh: &'static str,
    pub description: &'static str,
    pub grants: fn(&str) -> Option<Scope>,
}

pub const ADMINISTRATOR: &str = "administrator";
/// Of API keys only: no person has it.
pub const INTEGRATOR: &str = "integrator";

const CONFIGURATION: &[&str] = &[
    "source.read",
    "catalog.read",
    "field.read",
    "pipeline.read",
    "process.read",
    "scoring.read",
    "pool_rule.read",
    "assignment.read",
    "user.read",
    "team.read",
    "role.read",
    "company.read",
];

fn reads_configuration(permission: &str) -> bool {
    CONFIGURATION.contains(&permission)
}

fn sells(permission: &str, scope: Scope) -> Option<Scope> {
    let sales = [
        "account.read",
        "account.write",
        "contact.read",
        "contact.write",
        "contact.read_personal",
        "lead.read",
        "lead.write",
        "lead.convert",
        "absence.read",
        "absence.write",
        "opportunity.read",
        "opportunity.write",
        "opportunity.advance",
        "opportunity.close",
        "opportunity.read_floor",
        "approval.read",
        "approval.request",
        "approval.decide",
        "report.read",
    ];
    if sales.contains(&permission) || permission == "view.write" {
        Some(scope)
    } else if reads_configuration(permission)
        || ["pool.read", "pool.claim", "view.read"].contains(&permission)
    {
        Some(Scope::All)
    } else {
        None
    }
}

fn leads(permission: &str, scope: Scope) -> Option<Scope> {
    let lead_only = [
        "lead.assign",
        "lead.review",
        "lead.override_score",
        "opportunity.assign",
        "opportunity.set_probability",
        "pool.assign",
    ];
    if lead_only.contains(&permission) {
        Some(scope)
    } else {
        sells(permission, scope)
    }
}

fn reads_everything(permission: &str) -> Option<Scope> {
    if permission == "view.write" {
        return Some(Scope::Own);
    }
    let apart = [
        "event.read",
        "intake.read",
        "key.read",
        "duplicate.read",
        "job.read",
    ];
    let reading = permission.ends_with(".read") && !apart.contains(&permission);
    reading.then_some(Scope::All)
}

fn reviews(permission: &str) -> Option<Scope> {
    if permission == "approval.decide" {
        Some(Scope::All)
    } else {
        reads_everything(permission)
    }
}

/// The shipped roles. Source: DOMAIN.md, room 1.
pub const SHIPPED_ROLES: &[ShippedRole] = &[
    ShippedRole {
        key: ADMINISTRATOR,
        name: "Administrator",
        name_zh: "管理员",
        description: "Everything, everywhere in the company",
        grants: |_| Some(Scope::All),
    },
    ShippedRole {
        key: "sales_director",
        name: "Sales director",
        name_zh: "销售总监",
        description: "All sales records, assignment, processes and figures",
        grants: |permission| match permission {
            "opportunity.override"
            | "opportunity.import"
            | "pipeline.write"
            | "pipeline.publish"
            | "pipeline.migrate"
            | "process.write"
            | "scoring.write"
            | "scoring.publish"
            | "pool_rule.write"
            | "assignment.write"
            | "catalog.write"
            | "catalog.read_cost"
            | "source.write"
            | "intake.read"
            | "intake.replay"
            | "account.merge"
            | "contact.merge"
            | "lead.merge"
            | "duplicate.read"
            | "duplicate.decide"
            | "duplicate.override" => Some(Scope::All),
            other => leads(other, Scope::All),
        },
    },
    ShippedRole {
        key: "general_manager",
        name: "General manager",
        name_zh: "总经理",
        description: "Reads everything in sales, decides the largest approvals",
        grants: reviews,
    },
    ShippedRole {
        key: "sales_lead",
        name: "Sales lead",
        name_zh: "销售组长",
        description: "The records of the team and the teams below",
        grants: |permission| leads(permission, Scope::TeamTree),
    },
    ShippedRole {
        key: "sales_representative",
        name: "Sales representative",
        name_zh: "销售代表",
        description: "One's own records and the public pool",
        grants: |permission| sells(permission, Scope::Own),
    },
    ShippedRole {
        key: "finance",
        name: "Finance",
        name_zh: "财务",
        description: "Reads sales, keeps exchange rates, decides approvals",
        grants: |permission| match permission {
            "catalog.write" | "catalog.read_cost" => Some(Scope::All),
            other => reviews(other),
        },
    },
    ShippedRole {
        key: "legal",
        name: "Legal",
        name_zh: "法务",
        description: "Reads sales, decides approvals",
        grants: reviews,
    },
    ShippedRole {
        key: "customer_success",
        name: "Customer success",
        name_zh: "客户成功",
        description: "Accounts and contacts of the whole company, reads deals",
        grants: |permission| match permission {
            "account.write" | "contact.write" => Some(Scope::All),
            other => reads_everything(other),
        },
    },
    ShippedRole {
        key: "read_only",
        name: "Read only",
        name_zh: "只读",
        description: "Reads sales and configuration",
        grants: reads_everything,
    },
    ShippedRole {
        key: INTEGRATOR,
        name: "Integrator",
        name_zh: "集成",
        description: "For API keys: pushes and reads records, follows the feed",
        grants: |permission| match permission {
            "account.write" | "contact.write" | "lead.write" | "opportunity.write" | "event.read"
            | "opportunity.import" => Some(Scope::All),
            other => reads_everything(other),
        },
    },
];

impl ShippedRole {
    pub fn grants(&self) -> Grants {
        PERMISSIONS
            .iter()
            .filter_map(|(permission, _)| {
                (self.grants)(permission).map(|scope| ((*permission).to_owned(), scope))
            })
            .collect()
    }
}

pub fn is_known(permission: &str) -> bool {
    PERMISSIONS.iter().any(|(known, _)| *known == permission)
}

/// The union of several grants: for each permission the widest scope.
pub fn union<'a>(all: impl IntoIterator<Item = &'a Grants>) -> Grants {
    let mut union = Grants::new();
    for grants in all {
        for (permission, scope) in grants {
            let held = union.entry(permission.clone()).or_insert(*scope);
            *held = (*held).max(*scope);
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_scope_of_several_roles_counts() {
        let narrow = Grants::from([("lead.read".to_owned(), Scope::Own)]);
        let wide = Grants::from([("lead.read".to_owned(), Scope::TeamTree)]);
        assert_eq!(union([&narrow, &wide])["lead.read"], Scope::TeamTree);
        assert_eq!(union([&wide, &narrow])["lead.read"], Scope::TeamTree);
    }

    #[test]
    fn an_administrator_holds_every_permission_over_everything() {
        let grants = SHIPPED_ROLES[0].grants();
        assert_eq!(grants.len(), PERMISSIONS.len());
        assert!(grants.values().all(|scope| *scope == Scope::All));
    }

    #[test]
    fn a_representative_reaches_only_their_own_deals_and_cannot_override() {
        let role = SHIPPED_ROLES
            .iter()
            .find(|role| role.key == "sales_representative")
            .unwrap();
        let grants = role.grants();
        assert_eq!(grants["opportunity.advance"], Scope::Own);
        assert!(!grants.contains_key("opportunity.override"));
    }
}
