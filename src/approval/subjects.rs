//! What approvals know of the records that are approved: what each kind is made of, and whom to tell when a request ends.
//! The list is given by `app.rs`, so that this room depends on none of the later ones.

use super::definition::SubjectKind;
use super::publishing::Within;
use super::state::RequestState;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::expression::{Kind as FactKind, Vocabulary};
use crate::platform::db::Tx;
use crate::platform::records::{Access, Kind, Resource, custom, vocabulary};
use diesel::sql_query;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A request that has just ended by what somebody did in it.
#[derive(Debug, Clone)]
pub struct Ended {
    pub request_id: Uuid,
    pub process_id: Uuid,
    pub subject_kind: SubjectKind,
    pub subject_id: Uuid,
    pub visit_id: Option<Uuid>,
    pub criterion_id: Option<Uuid>,
    pub requester_id: Uuid,
    /// `approved`, `rejected`, `returned` or `withdrawn`.
    pub state: RequestState,
    /// The subject is to move on by itself when this is granted and everything else holds.
    pub advances_when_granted: bool,
    /// Where to, when the requester named a stage.
    pub advances_to_id: Option<Uuid>,
}

/// Runs in the transaction of the act that ended a request, the subject and the request locked. The context is that of
/// whoever acted: an approver, who may have no right over the subject.
pub type Decided = for<'a> fn(&'a mut Tx, &'a Ctx, &'a Ended) -> LocalBoxFuture<'a, AppResult<()>>;

/// One kind of subject.
pub struct Subject {
    pub kind: SubjectKind,
    pub resource: &'static Resource,
    /// Lists of records within its JSON, by member name: `("lines", &LINE)`.
    pub parts: &'static [(&'static str, &'static Resource)],
    /// What follows when a request ends; nothing, when absent.
    pub decided: Option<Decided>,
}

/// Every kind of subject.
#[derive(Clone, Copy)]
pub struct Subjects(pub &'static [Subject]);

impl Subjects {
    /// # Errors
    /// When `app.rs` forgot a kind: a bug.
    pub fn get(self, kind: SubjectKind) -> AppResult<&'static Subject> {
        let found = self.0.iter().find(|subject| subject.kind == kind);
        found.ok_or_else(|| AppError::internal("a kind of subject is not registered"))
    }
}

impl Subject {
    /// Locks a subject, or the record that it is a part of: the first lock of every command in a request.
    ///
    /// # Errors
    /// Database errors.
    pub async fn lock(&self, tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<()> {
        let table = self.resource.table;
        let statement = match self.resource.access {
            Access::Part { parent, key, .. } => format!(
                "SELECT 1 FROM {parent} p WHERE p.tenant_id = $1 \
                 AND p.id = (SELECT t.{key} FROM {table} t WHERE t.tenant_id = $1 AND t.id = $2) FOR UPDATE",
                parent = parent.table
            ),
            Access::Owned { .. } | Access::Personal | Access::Shared | Access::Derived => {
                format!("SELECT 1 FROM {table} WHERE tenant_id = $1 AND id = $2 FOR UPDATE")
            }
        };
        sql_query(statement)
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(id)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// The members that a process may name as its content, the company's own fields among them.
    ///
    /// # Errors
    /// Database errors.
    pub async fn members(&self, tx: &mut Tx, ctx: &Ctx) -> AppResult<BTreeMap<String, Within>> {
        let fields = match self.resource.member("custom") {
            Some(_) => custom::definitions(&mut &**tx, ctx.tenant, self.resource.singular).await?,
            None => Vec::new(),
        };
        let own = self.resource.members.iter().map(|member| {
            let within = match member.kind {
                Kind::Custom => Within::Members(fields.iter().map(|field| field.key.clone()).collect()),
                Kind::Json => Within::Anything,
                _ => Within::Nothing,
            };
            (member.name, within)
        });
        let parts = self.parts.iter().map(|(name, part)| {
            let members = part.members.iter().map(|member| member.name.to_owned());
            (*name, Within::Members(members.chain(["id".to_owned()]).collect()))
        });
        let sums = ["amount", "currency"].map(|name| (name, Within::Nothing));
        let members = sums.into_iter().chain(own).chain(parts);
        Ok(members.map(|(name, within)| (name.to_owned(), within)).collect())
    }

    /// What conditions may read, with the company's own fields.
    ///
    /// # Errors
    /// Database errors.
    pub async fn vocabulary(&self, tx: &mut Tx, ctx: &Ctx) -> AppResult<Vocabulary> {
        let mut own = members_of(self.resource);
        if self.resource.member("custom").is_some() {
            let fields = custom::definitions(&mut &**tx, ctx.tenant, self.resource.singular).await?;
            own = own.with_record("custom", vocabulary::custom(&fields));
        }
        let whole = self.parts.iter().fold(own, |known, (name, part)| {
            known.with_records(*name, members_of(part))
        });
        Ok(whole
            .with("amount", FactKind::Decimal)
            .with("currency", FactKind::Text))
    }

    /// The snapshot of a subject without what the caller may not read.
    #[must_use]
    pub fn masked(&self, ctx: &Ctx, mut snapshot: Value) -> Value {
        mask(self.resource, ctx, &mut snapshot);
        for (name, part) in self.parts {
            let records = snapshot.get_mut(*name).and_then(Value::as_array_mut);
            for record in records.into_iter().flatten() {
                mask(part, ctx, record);
            }
        }
        snapshot
    }

    /// Whether anything of a snapshot is kept from the caller.
    #[must_use]
    pub fn is_masked(&self, ctx: &Ctx) -> bool {
        let parts = self.parts.iter().map(|(_, part)| *part);
        std::iter::once(self.resource)
            .chain(parts)
            .any(|resource| crate::platform::records::sql::is_masked(resource, ctx))
    }
}

fn mask(resource: &Resource, ctx: &Ctx, record: &mut Value) {
    let Some(record) = record.as_object_mut() else {
        return;
    };
    let hidden = |name: &str| {
        let member = resource.member(name);
        member
            .and_then(|member| member.sensitive)
            .is_some_and(|permission| !ctx.holds(permission))
    };
    record.retain(|name, _| !hidden(name));
}

/// Sensitive members are left out: whoever reads a process would learn of them.
fn members_of(resource: &Resource) -> Vocabulary {
    let open = resource
        .members
        .iter()
        .filter(|member| member.sensitive.is_none());
    open.fold(Vocabulary::new(), |known, member| {
        match vocabulary::kind(member) {
            Some(kind) => known.with(member.name, kind),
            None => known,
        }
    })
}
