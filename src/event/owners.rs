//! Whose a record was: read from its events, which know every change of owner.

use super::window::{Cursors, Window};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::gatekeeper::Shared;
use crate::platform::records::http::page_reply;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::{Resource, store};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A change of owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnerChange {
    /// The event that tells of it.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub event_id: Uuid,
    /// Whose it was; null: nobody's.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub from_user_id: Option<Uuid>,
    /// Whose it became; null: nobody's.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    pub to_user_id: Option<Uuid>,
    pub why: OwnerChangeReason,
    /// What whoever gave it said.
    #[schema(example = "熟悉该行业")]
    pub reason: Option<String>,
    /// The assignment rule that gave it.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2d")]
    pub rule_id: Option<Uuid>,
    /// `user`, `key`, `source`, `rule`, `timer`, `job` or `system`.
    #[schema(example = "user")]
    pub actor_kind: String,
    /// Who did it; null where the system did.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2e")]
    pub actor_id: Option<Uuid>,
    /// When, by the company's clock.
    #[schema(example = "2024-03-15T08:30:00Z")]
    pub at: DateTime<Utc>,
}

/// Why a record got another owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "by_hand")]
pub enum OwnerChangeReason {
    /// It was made, with this owner.
    Created,
    ByHand,
    Rule,
    /// Whoever had it missed the deadline of the first response.
    HandOver,
    Claim,
    /// Its owner gave it up.
    Release,
    /// A rule took it, or nobody could take it over.
    Recycle,
    /// Its owner left, or handed everything over.
    Leaver,
    /// An assignment or another command was undone.
    Undo,
    Merge,
}

/// A page of changes of owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnerChangePage {
    pub data: Vec<OwnerChange>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    actor_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    actor_id: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: DateTime<Utc>,
    #[diesel(sql_type = Jsonb)]
    change: Value,
    #[diesel(sql_type = Nullable<Jsonb>)]
    assignment: Option<Value>,
}

/// Why, as far as the event says: what was assigned says so itself, else the name of the event does.
fn why(kind: &str, how: Option<&str>) -> OwnerChangeReason {
    let verb = kind.rsplit_once('.').map_or(kind, |(_, verb)| verb);
    match (how, verb) {
        (_, "recycled" | "pooled") => OwnerChangeReason::Recycle,
        (Some("rule"), _) => OwnerChangeReason::Rule,
        (Some("hand_over"), _) => OwnerChangeReason::HandOver,
        (Some("undo"), _) => OwnerChangeReason::Undo,
        (_, "created" | "imported") => OwnerChangeReason::Created,
        (_, "claimed") => OwnerChangeReason::Claim,
        (_, "returned") => OwnerChangeReason::Undo,
        (_, "released") => OwnerChangeReason::Release,
        (_, "handed_over") => OwnerChangeReason::Leaver,
        (_, "merged" | "absorbed") => OwnerChangeReason::Merge,
        (_, verb) if verb.starts_with("un") && verb.ends_with("ed") && verb != "updated" => {
            OwnerChangeReason::Undo
        }
        _ => OwnerChangeReason::ByHand,
    }
}

impl Row {
    fn view(self) -> OwnerChange {
        let told = |member: &str| self.assignment.as_ref()?.get(member)?.as_str();
        let id = |value: &Value| value.as_str().and_then(|id| Uuid::parse_str(id).ok());
        OwnerChange {
            event_id: self.id,
            from_user_id: id(&self.change["before"]),
            to_user_id: id(&self.change["after"]),
            why: why(&self.kind, told("how")),
            reason: told("reason").map(str::to_owned),
            rule_id: told("rule_id").and_then(|id| Uuid::parse_str(id).ok()),
            actor_kind: self.actor_kind,
            actor_id: self.actor_id,
            at: self.occurred_at,
        }
    }
}

fn statement(ctx: &Ctx, resource: &Resource, id: Uuid, window: &Window<Uuid>) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let id = sql.place(Bind::Id(id));
    sql.push(&format!(
        "SELECT e.id, e.kind, e.actor_kind, e.actor_id, e.occurred_at, d.data #> '{{changes,owner_id}}' AS change, \
            d.data -> 'assignment' AS assignment \
         FROM events e JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
         WHERE e.tenant_id = $1 AND e.subject_kind = '{}' AND e.subject_id = {id} AND d.data #> '{{changes,owner_id}}' IS NOT NULL",
        resource.singular
    ));
    if let Some(before) = window.after {
        sql.push(" AND e.id < ").bind(Bind::Id(before));
    }
    sql.push(" ORDER BY e.id DESC LIMIT ")
        .bind(Bind::Long(window.limit + 1));
    sql
}

/// Answers a page of a record's changes of owner, the latest first.
///
/// # Errors
/// `not_found` unless the caller sees the record, `bad_parameter`.
pub async fn answer(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Uuid,
) -> AppResult<Reply> {
    let cursors = Cursors::of(&request, &shared.auth.secrets, &ctx);
    let window = Window::<Uuid>::read(&request, &cursors)?;
    db.read(async |conn| store::require_visible(conn, &ctx, resource, id).await)
        .await?;
    let sql = statement(&ctx, resource, id, &window);
    let mut rows: Vec<Row> = db
        .read_at_length(async |conn| Ok(sql.clone().query().load(conn).await?))
        .await?;
    let next = window.cut(&mut rows, &cursors, |row| row.id.to_string());
    let data = rows.into_iter().map(Row::view).collect::<Vec<_>>();
    Ok(page_reply(&request, data, next, None)?.with_weak_tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_assigned_says_why_itself_and_else_the_event_does() {
        use OwnerChangeReason as Why;
        for (kind, how, expected) in [
            ("lead.created", None, Why::Created),
            ("lead.created", Some("rule"), Why::Rule),
            ("lead.assigned", Some("by_hand"), Why::ByHand),
            ("account.updated", None, Why::ByHand),
            ("lead.assigned", Some("hand_over"), Why::HandOver),
            ("lead.recycled", Some("hand_over"), Why::Recycle),
            ("lead.handed_over", None, Why::Leaver),
            ("account.claimed", None, Why::Claim),
            ("lead.unassigned", Some("undo"), Why::Undo),
            ("lead.unmerged", None, Why::Undo),
        ] {
            assert_eq!(why(kind, how), expected, "{kind}");
        }
    }
}
