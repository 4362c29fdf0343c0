//! Correcting and replaying what was rejected, one or many.

use super::desk::{on_behalf, owner_of};
use super::mapping::Reading;
use super::raw::Raw;
use super::resources::INTAKE;
use super::{addressed, all_faults, arrival, read};
use crate::crm::assignment::follow;
use crate::crm::resources::LEAD_SOURCE;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::problem::ProblemFault;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// Most intakes of one request.
const MOST: i64 = 200;
/// How many a filter takes unless it is said.
const USUAL: i64 = 100;

pub fn routes(config: &mut ServiceConfig) {
    config.service(replay_many).service(replay);
}

/// A rejected intake's second chance.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayIntake {
    /// The delivery corrected, in the sender's form; as it arrived when not given.
    #[schema(value_type = Option<Object>, example = json!({"name": "王芳", "phone": "+86 139 0013 9000"}))]
    body: Option<Map<String, Value>>,
}

/// Replay a rejected intake
///
/// Reads the delivery again by the source's present mapping, corrected if you like, and makes its lead. When it still
/// cannot be read, answers 422 with the faults and changes nothing. An accepted intake is refused with 409, and so is one
/// of an archived source, until that is restored.
#[utoipa::path(tag = "leads", operation_id = "replay_intake", security(("bearer" = ["intake.replay"])), request_body = Option<ReplayIntake>, responses((status = 200, description = "The intake, accepted", body = ref("#/components/schemas/Intake"))))]
#[post("/v1/intakes/{id}/replay")]
async fn replay(db: web::Data<Db>, id: Id, command: Command<Option<ReplayIntake>>) -> AppResult<Reply> {
    let (Command { ctx, input }, id) = (command, id.0);
    let corrected = input.and_then(|input| input.body);
    db.write(&ctx, async |tx| {
        again(tx, &ctx, id, corrected.as_ref()).await?;
        let row = store::find(&mut &**tx, &ctx, &INTAKE, id, None).await?;
        Ok(Reply::raw(200, row.doc).with_version(row.version))
    })
    .await
}

/// Which intakes are replayed: those named, or those that a filter finds.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayIntakes {
    /// These.
    #[schema(min_items = 1, max_items = 200, example = json!(["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"]))]
    ids: Option<Vec<Uuid>>,
    /// Or the rejected ones that this finds, the oldest first.
    filter: Option<ReplayFilter>,
    /// How many a filter takes at most; 100 when not given.
    #[schema(minimum = 1, maximum = 200, example = 100)]
    limit: Option<i64>,
}

/// Rejected intakes; each member narrows it.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayFilter {
    /// Of this source.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    source_id: Option<Uuid>,
    /// Rejected for a fault with this code.
    #[schema(min_length = 1, max_length = 60, example = "required")]
    fault_code: Option<String>,
    /// Arrived at this instant of real time or later.
    #[schema(example = "2024-03-15T08:30:00Z")]
    received_from: Option<DateTime<Utc>>,
    /// Arrived before this instant of real time.
    #[schema(example = "2024-03-16T08:30:00Z")]
    received_before: Option<DateTime<Utc>>,
    /// Only after this intake: `next_after` of the answer before.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    after: Option<Uuid>,
}

/// What became of several.
#[derive(Serialize, ToSchema)]
struct ReplayedIntakes {
    /// How many are accepted now.
    #[schema(minimum = 0, example = 2)]
    succeeded: usize,
    /// How many still wait, or could not be replayed.
    #[schema(minimum = 0, example = 1)]
    failed: usize,
    /// What became of each, in the order of their ids.
    results: Vec<Replayed>,
    /// Where a filter goes on, when there may be more: give it as `after`.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    next_after: Option<Uuid>,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
struct Replayed {
    /// The intake.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    intake_id: Uuid,
    /// 200 when it is accepted, else the status that a replay of its own would have been refused with.
    #[schema(minimum = 200, maximum = 599, example = 200)]
    status: u16,
    /// The lead that it made, or was attached to.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    lead_id: Option<Uuid>,
    /// Why it was not accepted.
    #[schema(value_type = Vec<ProblemFault>, example = json!([]))]
    errors: Vec<Value>,
}

/// Replay many rejected intakes
///
/// Each as if replayed by itself, as it arrived: after a mapping was put right, all that waited for it. What still cannot be
/// read stays as it is, and the answer says why; the others are accepted all the same.
#[utoipa::path(tag = "leads", operation_id = "replay_intakes", security(("bearer" = ["intake.replay"])), request_body = ReplayIntakes, responses((status = 200, description = "What became of each", body = ReplayedIntakes)))]
#[post("/v1/intakes/replay")]
async fn replay_many(db: web::Data<Db>, command: Command<ReplayIntakes>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let chosen = Chosen::of(&input)?;
    db.write(&ctx, async |tx| {
        let (ids, next_after) = chosen.find(tx, &ctx).await?;
        let mut results = Vec::with_capacity(ids.len());
        tx.set_of_many(true);
        for id in ids {
            let outcome = tx.apart(async |tx| again(tx, &ctx, id, None).await).await?;
            results.push(Replayed::of(&ctx, id, outcome));
        }
        tx.set_of_many(false);
        follow::gathered(tx, &on_behalf(&ctx)).await?;
        let succeeded = results.iter().filter(|one| one.lead_id.is_some()).count();
        Reply::ok(&ReplayedIntakes {
            succeeded,
            failed: results.len() - succeeded,
            results,
            next_after,
        })
    })
    .await
}

impl Replayed {
    fn of(ctx: &Ctx, intake_id: Uuid, outcome: Result<Uuid, Box<Refusal>>) -> Replayed {
        let refusal = match outcome {
            Ok(lead) => {
                return Replayed {
                    intake_id,
                    status: 200,
                    lead_id: Some(lead),
                    errors: Vec::new(),
                };
            }
            Err(refusal) => *refusal,
        };
        let status = refusal.code.status();
        let mut faults = refusal.faults;
        if faults.is_empty() {
            faults.push(Fault::new("", refusal.code.as_str(), refusal.detail));
        }
        Replayed {
            intake_id,
            status,
            lead_id: None,
            errors: faults.iter().map(|fault| fault.to_json(ctx.lang)).collect(),
        }
    }
}

/// What a request chose.
enum Chosen {
    Named(Vec<Uuid>),
    Found(ReplayFilter, i64),
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

impl Chosen {
    fn of(input: &ReplayIntakes) -> AppResult<Chosen> {
        match (&input.ids, &input.filter) {
            (Some(ids), None) if input.limit.is_none() => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                Ok(Chosen::Named(ids))
            }
            (None, Some(filter)) => {
                let limit = input.limit.unwrap_or(USUAL).min(MOST);
                Ok(Chosen::Found(filter.clone(), limit))
            }
            (Some(_), None) => Err(AppError::invalid(vec![Fault::invalid(
                "/limit",
                "is for a filter",
                "仅适用于 filter",
            )])),
            _ => Err(AppError::invalid(vec![Fault::invalid(
                "/ids",
                "give either ids or a filter",
                "ids 与 filter 须且只能给出一个",
            )])),
        }
    }

    /// The intakes in the order of their ids, and where the next would begin.
    async fn find(&self, tx: &mut Tx, ctx: &Ctx) -> AppResult<(Vec<Uuid>, Option<Uuid>)> {
        let (filter, limit) = match self {
            Chosen::Named(ids) => return Ok((ids.clone(), None)),
            Chosen::Found(filter, limit) => (filter, *limit),
        };
        let mut sql = Sql::of(ctx.tenant);
        let conditions = [
            ("t.source_id = ", filter.source_id.map(Bind::Id)),
            ("t.id > ", filter.after.map(Bind::Id)),
            ("t.received_at >= ", filter.received_from.map(Bind::Instant)),
            ("t.received_at < ", filter.received_before.map(Bind::Instant)),
            (
                "t.faults @> ",
                filter
                    .fault_code
                    .as_ref()
                    .map(|code| Bind::Json(json!([{ "code": code }]))),
            ),
        ];
        sql.push("SELECT t.id FROM intakes t WHERE t.tenant_id = $1 AND t.status = 'rejected'");
        for (condition, bind) in conditions {
            if let Some(bind) = bind {
                let place = sql.place(bind);
                sql.push(&format!(" AND {condition}{place}"));
            }
        }
        let most = sql.place(Bind::Long(limit + 1));
        sql.push(&format!(" ORDER BY t.id LIMIT {most}"));
        let found: Vec<Found> = sql.query().load(&mut **tx).await?;
        let mut ids = found.into_iter().map(|found| found.id).collect::<Vec<_>>();
        let size = usize::try_from(limit).unwrap_or_default();
        let has_more = ids.len() > size;
        ids.truncate(size);
        let next_after = ids.last().copied().filter(|_| has_more);
        Ok((ids, next_after))
    }
}

/// Reads a rejected intake again, corrected or not; answers its lead.
async fn again(tx: &mut Tx, ctx: &Ctx, id: Uuid, corrected: Option<&Map<String, Value>>) -> AppResult<Uuid> {
    let locked = store::lock(tx, ctx, &INTAKE, id, For::Action("intake.replay")).await?;
    let intake = locked.record()?;
    if intake["status"] != "rejected" {
        return Err(AppError::refuse(
            Code::Conflict,
            say("The intake is accepted already", "该投递已被接受"),
        ));
    }
    let text = match corrected {
        Some(body) => serde_json::to_string(body).map_err(AppError::internal)?,
        None => intake["body"].as_str().unwrap_or_default().to_owned(),
    };
    let (source, reading, owner) = source_of(tx, ctx, &intake).await?;
    let (lead, faults) = read(text.as_bytes(), &reading);
    if !faults.is_empty() {
        let all = all_faults(&mut &**tx, ctx.tenant, &lead, faults).await?;
        return Err(AppError::invalid(all));
    }
    let arrived = arrival::arrive(tx, &on_behalf(ctx), &addressed(lead, source, owner)).await?;
    let lead = arrived.lead();
    accept(tx, ctx, id, lead, corrected.map(|_| text)).await?;
    arrived.told(tx, ctx, id, source).await?;
    let about = json!({ "source_id": source, "lead_id": lead });
    tx.record(Event::new("intake.replayed", "intake", id, about).and_on("lead", Some(lead)));
    Ok(lead)
}

/// The source of an intake as it is now, open or closed. An archived one has nothing new: what waits at it keeps waiting
/// until the source is restored.
async fn source_of(
    tx: &mut Tx,
    ctx: &Ctx,
    intake: &Map<String, Value>,
) -> AppResult<(Uuid, Reading, Option<Uuid>)> {
    let id = intake["source_id"]
        .as_str()
        .and_then(|id| Uuid::parse_str(id).ok());
    let id = id.ok_or_else(|| AppError::internal("an intake without a source"))?;
    let row = store::find(&mut &**tx, &on_behalf(ctx), &LEAD_SOURCE, id, None).await?;
    let source: Value = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    if !source["archived_at"].is_null() {
        return Err(AppError::refuse(
            Code::Archived,
            say(
                "Its source is archived; restore the source first",
                "其来源已归档,请先恢复来源",
            ),
        ));
    }
    let reading = Reading::new(source["mapping"].clone(), source["required_members"].clone())
        .map_err(AppError::internal)?;
    Ok((id, reading, owner_of(&source)))
}

async fn accept(tx: &mut Tx, ctx: &Ctx, id: Uuid, lead: Uuid, corrected: Option<String>) -> AppResult<()> {
    let query = sql_query(
        "UPDATE intakes SET status = 'accepted', lead_id = $3, corrected_body = $4, version = version + 1, updated_at = $5 \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<SqlUuid, _>(lead)
    .bind::<Nullable<Text>, _>(corrected.map(|text| Raw::of(text.as_bytes()).text))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
