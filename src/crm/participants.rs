//! Participants: people besides the owner who support a record. Added and removed by whoever may write the record by
//! ownership; participants do not invite others.

use super::attached;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::records::Resource;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most participants of one record.
const MOST: i64 = 100;

/// What a participant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ParticipantAccess {
    Read,
    Edit,
}

/// Somebody to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParticipantInput {
    /// The person.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub user_id: Uuid,
    /// `read`, or `edit` for the record and its parts.
    #[schema(example = "read")]
    pub access: ParticipantAccess,
}

/// Someone besides the owner who supports a record.
#[derive(Serialize, ToSchema, QueryableByName)]
pub struct Participant {
    /// Id of the participation.
    #[diesel(sql_type = SqlUuid)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    id: Uuid,
    /// The person.
    #[diesel(sql_type = SqlUuid)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    user_id: Uuid,
    /// Their name.
    #[diesel(sql_type = Text)]
    #[schema(example = "李雷")]
    user_name: String,
    /// `read` or `edit`.
    #[diesel(sql_type = Text)]
    #[schema(example = "read")]
    access: String,
    /// Since when.
    #[diesel(sql_type = Timestamptz)]
    #[schema(example = "2024-03-05T08:30:00Z")]
    created_at: DateTime<Utc>,
}

/// All participants of a record.
#[derive(Serialize, ToSchema)]
pub struct ParticipantList {
    /// The participants, in the order in which they came; at most a hundred.
    data: Vec<Participant>,
    /// Always null: the list has one page.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
}

/// # Errors
/// `not_found` when the caller does not see the record.
pub async fn list(db: &Db, ctx: &Ctx, resource: &'static Resource, id: Uuid) -> AppResult<Reply> {
    let sql = "SELECT p.id, p.user_id, u.name AS user_name, p.access, p.created_at FROM participants p \
               JOIN users u ON u.tenant_id = $1 AND u.id = p.user_id \
               WHERE p.tenant_id = $1 AND p.record_kind = $2 AND p.record_id = $3 ORDER BY p.id";
    let data = attached::all(db, ctx, resource, id, sql).await?;
    Ok(Reply::ok(&ParticipantList {
        data,
        next_cursor: None,
    })?
    .with_weak_tag())
}

/// Invites somebody, or changes what they may do: 201 or 200.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`; `invalid` when there is no such active person, or the record has a hundred.
pub async fn add(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    input: ParticipantInput,
) -> AppResult<Reply> {
    let write = resource.write_permission();
    db.write(ctx, async |tx| {
        store::lock(tx, ctx, resource, id, For::Action(&write)).await?;
        require_room(tx, ctx, resource, id, input.user_id).await?;
        let access: &'static str = input.access.into();
        let query = sql_query(
            "INSERT INTO participants AS p (tenant_id, id, record_kind, record_id, user_id, access, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (tenant_id, record_kind, record_id, user_id) \
             DO UPDATE SET access = EXCLUDED.access, version = p.version + 1, updated_at = EXCLUDED.updated_at \
             RETURNING id, user_id, (SELECT u.name FROM users u WHERE u.tenant_id = $1 AND u.id = p.user_id) AS user_name, access, \
             created_at, p.version = 1 AS is_new",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(Uuid::now_v7())
        .bind::<Text, _>(resource.singular)
        .bind::<SqlUuid, _>(id)
        .bind::<SqlUuid, _>(input.user_id)
        .bind::<Text, _>(access)
        .bind::<Timestamptz, _>(ctx.now);
        let added: Added = Cached(query).get_result(&mut **tx).await?;
        let about = json!({ "user_id": input.user_id, "access": access });
        tx.record(Event::new(
            format!("{}.participant_added", resource.singular),
            resource.singular,
            id,
            about,
        ));
        Reply::json(if added.is_new { 201 } else { 200 }, &added.participant)
    })
    .await
}

#[derive(QueryableByName)]
struct Added {
    #[diesel(embed)]
    participant: Participant,
    #[diesel(sql_type = Bool)]
    is_new: bool,
}

#[derive(QueryableByName)]
struct Room {
    #[diesel(sql_type = Bool)]
    is_user: bool,
    #[diesel(sql_type = BigInt)]
    others: i64,
}

async fn require_room(tx: &mut Tx, ctx: &Ctx, resource: &Resource, id: Uuid, user: Uuid) -> AppResult<()> {
    let query = sql_query(
        "SELECT EXISTS (SELECT 1 FROM users WHERE tenant_id = $1 AND id = $4 AND is_active AND archived_at IS NULL) AS is_user, \
         (SELECT count(*) FROM participants WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND user_id <> $4) AS others",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(resource.singular)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(user);
    let room: Room = Cached(query).get_result(&mut **tx).await?;
    if !room.is_user {
        return Err(AppError::invalid(vec![Fault::not_found("/user_id")]));
    }
    if room.others >= MOST {
        let message = say(
            "a record has at most 100 participants",
            "每条记录最多 100 名参与人",
        );
        return Err(AppError::invalid(vec![Fault::new(
            "/user_id", "too_many", message,
        )]));
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Removed {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
}

/// Ends a participation; felt at once.
///
/// # Errors
/// `not_found`, `forbidden`, `archived`.
pub async fn remove(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    participation: Uuid,
) -> AppResult<Reply> {
    let write = resource.write_permission();
    db.write(ctx, async |tx| {
        store::lock(tx, ctx, resource, id, For::Action(&write)).await?;
        let sql = "DELETE FROM participants WHERE tenant_id = $1 AND record_kind = $2 AND record_id = $3 AND id = $4 RETURNING user_id";
        let removed: Removed = attached::take(tx, ctx, resource, id, participation, sql).await?;
        tx.record(Event::new(
            format!("{}.participant_removed", resource.singular),
            resource.singular,
            id,
            json!({ "user_id": removed.user_id }),
        ));
        Ok(Reply::no_content())
    })
    .await
}
