//! Who is asking, of which company, when, and on what terms.

use super::error::{AppError, AppResult};
use super::permission::{Grants, PERMISSIONS, Scope};
use super::text::Lang;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use std::sync::Arc;
use uuid::Uuid;

/// What kind of actor an event names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ActorKind {
    User,
    Key,
    Source,
    Timer,
    Job,
    System,
}

/// The company's settings that rules need.
#[derive(Debug, Clone)]
pub struct Company {
    pub name: String,
    pub currency: String,
    pub time_zone: chrono_tz::Tz,
    pub is_phone_strict: bool,
    pub grade_a_days: i32,
    pub grade_b_months: i32,
    pub is_sandbox: bool,
    pub duplicates: Duplicates,
}

/// What happens when a record is entered that seems to be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// An exact one is refused, a near one warned of.
    Block,
    #[default]
    Warn,
    /// It is entered, and the pair waits for review.
    Queue,
    Allow,
}

/// What happens when a delivery is about a lead that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnArrival {
    #[default]
    Attach,
    Queue,
}

/// A company's settings about duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Duplicates {
    pub accounts: OnDuplicate,
    pub contacts: OnDuplicate,
    pub leads: OnDuplicate,
    pub intake: OnArrival,
}

/// A signed-in person (or key acting for one) with everything that permissions need.
#[derive(Debug, Clone)]
pub struct Principal {
    pub tenant: Uuid,
    pub user: Uuid,
    pub name: String,
    pub email: String,
    pub team: Option<Uuid>,
    pub grants: Grants,
    /// Users of the person's team, the person included.
    pub team_users: Vec<Uuid>,
    /// Users of the team and of all teams below it, the person included.
    pub team_tree_users: Vec<Uuid>,
    pub company: Arc<Company>,
    /// Tokens issued before this real instant are void.
    pub sessions_valid_from: DateTime<Utc>,
}

/// Over which owners' records a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'a> {
    All,
    Owners(&'a [Uuid]),
    Nobody,
}

impl Principal {
    pub fn reach(&self, permission: &str) -> Reach<'_> {
        match self.grants.get(permission) {
            Some(Scope::All) => Reach::All,
            Some(Scope::TeamTree) => Reach::Owners(&self.team_tree_users),
            Some(Scope::Team) => Reach::Owners(&self.team_users),
            Some(Scope::Own) => Reach::Owners(std::slice::from_ref(&self.user)),
            None => Reach::Nobody,
        }
    }
}

/// An `Idempotency-Key` with the operation that it belongs to.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    pub key: String,
    pub operation: String,
    pub request_hash: Vec<u8>,
}

/// What `If-Match` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    /// The versions named.
    Versions(Vec<i32>),
    /// The strong tags named, as they stand between their quotes: versions, or digests of what has no version.
    Tags(Vec<String>),
}

/// The terms of one request; services take it instead of reaching for a clock or a global.
#[derive(Debug, Clone)]
pub struct Ctx {
    pub principal: Arc<Principal>,
    pub tenant: Uuid,
    pub user: Uuid,
    pub actor_kind: ActorKind,
    pub actor_id: Option<Uuid>,
    /// Business time: the company's clock.
    pub now: DateTime<Utc>,
    /// Real time.
    pub recorded_at: DateTime<Utc>,
    pub lang: Lang,
    pub request_id: Arc<str>,
    /// Shared by all events of one command.
    pub command_id: Uuid,
    pub cause: Option<String>,
    pub if_match: Option<IfMatch>,
    pub idempotency: Option<IdempotencyKey>,
    pub is_dry_run: bool,
}

impl Ctx {
    pub fn reach(&self, permission: &str) -> Reach<'_> {
        self.principal.reach(permission)
    }

    pub fn holds(&self, permission: &str) -> bool {
        self.principal.grants.contains_key(permission)
    }

    /// # Errors
    /// `forbidden` when no role grants the permission.
    pub fn require(&self, permission: &str) -> AppResult<()> {
        if self.holds(permission) {
            Ok(())
        } else {
            Err(AppError::forbidden(permission))
        }
    }

    /// # Errors
    /// `stale` when the caller sent If-Match and it does not name this version.
    pub fn if_match(&self, version: i32) -> AppResult<()> {
        match &self.if_match {
            None | Some(IfMatch::Any) => Ok(()),
            Some(IfMatch::Versions(versions)) if versions.contains(&version) => Ok(()),
            Some(IfMatch::Tags(tags)) if tags.iter().any(|tag| tag.parse() == Ok(version)) => Ok(()),
            Some(IfMatch::Versions(_) | IfMatch::Tags(_)) => Err(AppError::stale()),
        }
    }

    /// For what has no version: its answer's strong tag instead, without the quotes.
    ///
    /// # Errors
    /// `stale` when the caller sent If-Match and it does not name this tag.
    pub fn if_match_tag(&self, own: &str) -> AppResult<()> {
        match &self.if_match {
            None | Some(IfMatch::Any) => Ok(()),
            Some(IfMatch::Tags(tags)) if tags.iter().any(|tag| tag == own) => Ok(()),
            Some(IfMatch::Versions(_) | IfMatch::Tags(_)) => Err(AppError::stale()),
        }
    }

    /// Today in the company's time zone.
    pub fn today(&self) -> NaiveDate {
        self.now
            .with_timezone(&self.principal.company.time_zone)
            .date_naive()
    }

    pub fn currency(&self) -> &str {
        &self.principal.company.currency
    }

    /// The terms under which the system itself acts in a company: every permission, no preconditions.
    pub fn system(
        company: Arc<Company>,
        tenant: Uuid,
        actor_kind: ActorKind,
        now: DateTime<Utc>,
        recorded_at: DateTime<Utc>,
    ) -> Ctx {
        let grants = PERMISSIONS
            .iter()
            .map(|permission| (permission.name.to_owned(), Scope::All))
            .collect();
        let principal = Principal {
            tenant,
            user: Uuid::nil(),
            name: "Penstock".to_owned(),
            email: String::new(),
            team: None,
            grants,
            team_users: Vec::new(),
            team_tree_users: Vec::new(),
            company,
            sessions_valid_from: DateTime::<Utc>::MIN_UTC,
        };
        Ctx {
            principal: Arc::new(principal),
            tenant,
            user: Uuid::nil(),
            actor_kind,
            actor_id: None,
            now,
            recorded_at,
            lang: Lang::En,
            request_id: Arc::from(""),
            command_id: Uuid::now_v7(),
            cause: None,
            if_match: None,
            idempotency: None,
            is_dry_run: false,
        }
    }
}
