//! Recording what leads do.

use super::apply::{self, Occasion};
use super::resources::LEAD_BEHAVIOUR;
use super::rules::BehaviourKind;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// How far ahead of the company's clock a sender's may be.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What a lead did.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "demo_requested", "external_id": "evt-1" }))]
pub struct RecordBehaviour {
    pub kind: BehaviourKind,
    /// When; now, when not given, and never ahead.
    #[serde(default)]
    #[schema(example = "2024-03-15T08:30:00Z")]
    pub occurred_at: Option<DateTime<Utc>>,
    /// The sender's id of it: sent again for this lead, it is recorded once.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "evt-1")]
    pub external_id: Option<String>,
    /// Note.
    #[serde(default)]
    #[schema(max_length = 1000, example = "官网申请演示")]
    pub note: Option<String>,
}

/// Record behaviour of a lead
///
/// The lead is scored anew at once, and goes on where its score reaches a limit. What has the same `external_id` for the
/// same lead is recorded once: sent again, the first record is answered with 200.
#[utoipa::path(tag = "scoring", operation_id = "record_lead_behaviour", security(("bearer" = ["lead.write"])), request_body = RecordBehaviour,
    responses((status = 201, description = "Recorded", body = ref("#/components/schemas/LeadBehaviour")), (status = 200, description = "It was recorded before", body = ref("#/components/schemas/LeadBehaviour"))))]
#[post("/v1/leads/{id}/behaviours")]
pub async fn record_lead_behaviour(
    db: web::Data<Db>,
    id: Id,
    command: Command<RecordBehaviour>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| record(tx, &ctx, id.0, &input).await)
        .await
}

async fn record(tx: &mut Tx, ctx: &Ctx, lead_id: Uuid, input: &RecordBehaviour) -> AppResult<Reply> {
    let locked = store::lock(tx, ctx, &LEAD, lead_id, For::Write).await?;
    let lead = locked.record()?;
    if lead["status"] == "converted" {
        return Err(crate::crm::hooks::already_converted());
    }
    let occurred_at = input.occurred_at.unwrap_or(ctx.now);
    if occurred_at > ctx.now + SKEW {
        return Err(AppError::invalid(vec![Fault::out_of_range(
            "/occurred_at",
            "must not lie ahead",
            "不能晚于当前时间",
        )]));
    }
    let (id, is_new) = insert(tx, ctx, lead_id, input, occurred_at.min(ctx.now)).await?;
    if is_new {
        let kind: &'static str = (&input.kind).into();
        let about = json!({ "kind": kind, "occurred_at": occurred_at.min(ctx.now), "external_id": input.external_id });
        tx.record(
            Event::new("lead_behaviour.recorded", LEAD_BEHAVIOUR.singular, id, about)
                .and_on("lead", Some(lead_id)),
        );
    }
    // Read before the lead is scored: a rule may then give it to somebody whose leads the caller does not see.
    let row = store::find(&mut &**tx, ctx, &LEAD_BEHAVIOUR, id, Some(lead_id)).await?;
    if is_new {
        apply::apply(tx, ctx, &[lead], Occasion::Happened("lead.scored")).await?;
    }
    let status = if is_new { 201 } else { 200 };
    Ok(Reply::raw(status, row.doc)
        .with_version(row.version)
        .with_location(format!("/v1/leads/{lead_id}/behaviours/{id}")))
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The record's id, and whether it is new. The lead is locked, so nobody else records for it meanwhile.
async fn insert(
    tx: &mut Tx,
    ctx: &Ctx,
    lead_id: Uuid,
    input: &RecordBehaviour,
    occurred_at: DateTime<Utc>,
) -> AppResult<(Uuid, bool)> {
    let kind: &'static str = (&input.kind).into();
    let query = sql_query(
        "INSERT INTO lead_behaviours (tenant_id, id, lead_id, kind, occurred_at, external_id, note, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (tenant_id, lead_id, external_id) DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<SqlUuid, _>(lead_id)
    .bind::<Text, _>(kind)
    .bind::<Timestamptz, _>(occurred_at)
    .bind::<Nullable<Text>, _>(&input.external_id)
    .bind::<Nullable<Text>, _>(&input.note)
    .bind::<Timestamptz, _>(ctx.now);
    let inserted: Option<IdRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    if let Some(row) = inserted {
        return Ok((row.id, true));
    }
    let query = sql_query(
        "SELECT b.id FROM lead_behaviours b WHERE b.tenant_id = $1 AND b.lead_id = $2 AND b.external_id = $3",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(lead_id)
    .bind::<Nullable<Text>, _>(&input.external_id);
    let row: IdRow = Cached(query).get_result(&mut **tx).await?;
    Ok((row.id, false))
}
