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

/// A permission, with what it allows.
pub struct Permission {
    pub name: &'static str,
    pub meaning: &'static str,
    /// Whether it reaches over somebody's records, so that a role can give it over fewer than all.
    is_scoped: bool,
}

/// Of records that somebody owns: every scope narrows it.
const fn scoped(name: &'static str, meaning: &'static str) -> Permission {
    Permission {
        name,
        meaning,
        is_scoped: true,
    }
}

/// Of what nobody owns, such as settings, people and processes. It is held over everything or not at all.
const fn whole(name: &'static str, meaning: &'static str) -> Permission {
    Permission {
        name,
        meaning,
        is_scoped: false,
    }
}

/// Every permission there is.
pub const PERMISSIONS: &[Permission] = &[
    scoped("account.read", "Read accounts"),
    scoped("account.write", "Create, change and archive accounts"),
    scoped("contact.read", "Read contacts"),
    scoped("contact.write", "Create, change and archive contacts"),
    scoped("contact.read_personal", "Read personal phone numbers"),
    scoped("lead.read", "Read leads"),
    scoped("lead.write", "Create, change and archive leads"),
    scoped("lead.convert", "Convert leads"),
    scoped("lead.assign", "Give leads to somebody else"),
    scoped(
        "lead.review",
        "Accept or reject candidates for sales qualification",
    ),
    scoped("lead.override_score", "Set a lead's score by hand"),
    whole("assignment.read", "Read assignment rules and settings"),
    whole("assignment.write", "Maintain assignment rules and settings"),
    scoped("absence.read", "See when people are away"),
    scoped("absence.write", "Enter and change absences"),
    whole("scoring.read", "Read scoring models and ideal customer profiles"),
    whole(
        "scoring.write",
        "Draft scoring models, maintain ideal customer profiles",
    ),
    whole("scoring.publish", "Publish scoring models and score leads anew"),
    whole("source.read", "Read lead sources"),
    whole("source.write", "Set up lead sources, their mapping and secrets"),
    whole("intake.read", "Read raw intakes"),
    whole("intake.replay", "Correct and replay rejected intakes"),
    whole("pool.read", "See what is in the public pool, masked"),
    whole("pool.claim", "Claim records from the public pool"),
    scoped("pool.assign", "Give records of the public pool to somebody"),
    whole("pool_rule.read", "Read the rules and quotas of the public pool"),
    whole("pool_rule.write", "Set the rules and quotas of the public pool"),
    scoped("account.merge", "Merge accounts and undo it"),
    scoped("contact.merge", "Merge contacts and undo it"),
    scoped("lead.merge", "Merge leads and undo it"),
    whole("duplicate.read", "Read the queue of possible duplicates"),
    whole("duplicate.decide", "Decide about possible duplicates"),
    whole(
        "duplicate.override",
        "Enter a record although its exact key is taken, with a reason",
    ),
    scoped("opportunity.read", "Read opportunities and their parts"),
    scoped(
        "opportunity.write",
        "Create, change and archive opportunities and their parts",
    ),
    scoped("opportunity.advance", "Advance opportunities and take them back"),
    scoped("opportunity.close", "Lose, restart and reopen opportunities"),
    scoped("opportunity.assign", "Give opportunities to somebody else"),
    scoped("opportunity.set_probability", "Set a probability by hand"),
    scoped(
        "opportunity.override",
        "Skip stages and override gates, for ever marked",
    ),
    scoped("opportunity.import", "Import back-dated history"),
    scoped(
        "opportunity.read_floor",
        "Read our floor in negotiations, and negotiation plans",
    ),
    whole(
        "catalog.read",
        "Read products, competitors, loss reasons, exchange rates",
    ),
    whole(
        "catalog.write",
        "Maintain products, competitors, loss reasons, exchange rates",
    ),
    whole("catalog.read_cost", "Read product costs"),
    whole(
        "view.read",
        "See saved views and segments that are shared with one",
    ),
    scoped("view.write", "Keep saved views and segments"),
    whole("field.read", "Read custom field definitions"),
    whole("field.write", "Define custom fields"),
    whole("pipeline.read", "Read pipelines and their versions"),
    whole("pipeline.write", "Edit pipeline drafts"),
    whole("pipeline.publish", "Publish pipeline versions"),
    whole("pipeline.migrate", "Move deals in flight to another version"),
    whole("process.read", "Read approval processes"),
    whole("process.write", "Edit and publish approval processes"),
    scoped("approval.read", "Read approval requests"),
    scoped("approval.request", "Ask for approvals, withdraw one's own"),
    scoped(
        "approval.decide",
        "Decide by an API key where its user has a seat (the seat itself is the right to decide), comment on what one sees",
    ),
    scoped("report.read", "Read funnel figures"),
    scoped("job.read", "See long work that others asked for"),
    scoped("job.write", "Cancel long work that others asked for"),
    whole("event.read", "Read the event feed and the audit"),
    whole("user.read", "Read users"),
    whole("user.write", "Create, change, deactivate and hand over users"),
    whole("team.read", "Read teams"),
    whole("team.write", "Maintain teams"),
    whole("role.read", "Read roles"),
    whole("role.write", "Maintain roles"),
    whole("key.read", "Read API keys"),
    whole("key.write", "Make and revoke API keys"),
    whole("company.read", "Read the company's settings"),
    whole("company.write", "Change the company's settings"),
    whole("sandbox.write", "Make a sandbox company and move its clock"),
];

impl Permission {
    /// The scopes in which a role can give it.
    pub fn scopes(&self) -> &'static [Scope] {
        if self.is_scoped {
            &[Scope::Own, Scope::Team, Scope::TeamTree, Scope::All]
        } else {
            &[Scope::All]
        }
    }
}

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
            .filter_map(|permission| {
                (self.grants)(permission.name).map(|scope| (permission.name.to_owned(), scope))
            })
            .collect()
    }
}

pub fn find(name: &str) -> Option<&'static Permission> {
    PERMISSIONS.iter().find(|permission| permission.name == name)
}

/// Whether a grant gives anything. One over fewer than all of what nobody owns gives nothing: there is no telling what it
/// would reach, and a role of before this was refused may still hold one.
fn gives(permission: &str, scope: Scope) -> bool {
    find(permission).is_some_and(|known| known.scopes().contains(&scope))
}

/// The union of several grants: for each permission the widest scope. What gives nothing is left out.
pub fn union<'a>(all: impl IntoIterator<Item = &'a Grants>) -> Grants {
    let mut union = Grants::new();
    for (permission, scope) in all.into_iter().flatten() {
        if gives(permission, *scope) {
            let held = union.entry(permission.clone()).or_insert(*scope);
            *held = (*held).max(*scope);
        }
    }
    union
}

/// What is left of grants within others: for each permission the narrower scope.
pub fn within(grants: Grants, limit: &Grants) -> Grants {
    let narrowed = grants.into_iter().filter_map(|(permission, scope)| {
        let scope = scope.min(*limit.get(&permission)?);
        gives(&permission, scope).then_some((permission, scope))
    });
    narrowed.collect()
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
    fn what_nobody_owns_is_held_over_everything_or_not_at_all() {
        let grants = |scope| {
            Grants::from(
                [("team.write", scope), ("lead.read", scope)].map(|(name, scope)| (name.to_owned(), scope)),
            )
        };
        let (narrow, wide) = (grants(Scope::TeamTree), grants(Scope::All));
        let reads = Grants::from([("lead.read".to_owned(), Scope::TeamTree)]);
        assert_eq!(union([&narrow]), reads);
        assert_eq!(union([&narrow, &wide]), wide);
        assert_eq!(within(wide.clone(), &narrow), reads);
        assert_eq!(within(wide.clone(), &wide), wide);
        assert_eq!(
            union([&Grants::from([("lead.fly".to_owned(), Scope::All)])]),
            Grants::new()
        );
    }

    #[test]
    fn every_grant_of_a_shipped_role_gives_something() {
        for role in SHIPPED_ROLES {
            let grants = role.grants();
            assert_eq!(union([&grants]), grants, "{}", role.key);
        }
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
