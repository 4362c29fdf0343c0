//! What people do about intake: secrets, trying a mapping, correcting and replaying what was rejected.

use super::mapping::{self, Reading};
use super::source::{self, Address};
use super::{addressed, arrival, raw_text, read, rejection, signature};
use crate::crm::duplicates::gate;
use crate::crm::resources::{INTAKE, LEAD, LEAD_SOURCE};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::store::{self, For, Written};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use diesel::sql_query;
use diesel::sql_types::{Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig) {
    config.service(rotate_secret).service(try_mapping).service(replay);
}

/// A source's new secret.
#[derive(serde::Serialize, ToSchema)]
struct SourceSecret {
    /// The signing secret, `whsec_` and base64; shown this once.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
    /// Where deliveries go.
    #[schema(example = "/v1/intake/0197c9a05d3e7c119e610c6a1c8e4b2a.0197c9a05d3e7c119e610c6a1c8e4b2b")]
    intake_path: String,
}

/// Give a source a new secret
///
/// Answers the new signing secret, which is shown this once. The one before stops at once. A source needs a secret before
/// its intake accepts deliveries.
#[utoipa::path(tag = "leads", operation_id = "rotate_lead_source_secret", security(("bearer" = ["source.write"])), responses((status = 200, description = "The new secret", body = SourceSecret)))]
#[post("/v1/lead-sources/{id}/rotate-secret")]
async fn rotate_secret(db: web::Data<Db>, shared: Shared, ctx: Ctx, id: Id) -> AppResult<Reply> {
    let id = id.0;
    let secret = signature::secret(&crate::platform::tokens::random_key().map_err(AppError::internal)?);
    let sealed = shared
        .auth
        .secrets
        .seal(id, &secret)
        .map_err(AppError::internal)?;
    let reply = db
        .write(&ctx, async |tx| {
            let locked = store::lock(tx, &ctx, &LEAD_SOURCE, id, For::Write).await?;
            let query = sql_query(
                "UPDATE lead_sources SET sealed_secret = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
            )
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(id)
            .bind::<Binary, _>(sealed.as_slice())
            .bind::<Timestamptz, _>(ctx.now);
            Cached(query).execute(&mut **tx).await?;
            tx.record(Event::new("lead_source.secret_rotated", "lead_source", id, json!({})));
            let body = SourceSecret {
                secret: secret.clone(),
                intake_path: locked.record()?["intake_path"].as_str().unwrap_or_default().to_owned(),
            };
            Reply::ok(&body)
        })
        .await;
    source::forget(Address {
        tenant: ctx.tenant,
        id,
    });
    reply
}

/// A delivery to try a mapping on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TryMapping {
    /// A delivery as the sender would send it.
    #[schema(value_type = Object, example = json!({"person": {"name": "王芳"}, "message": "生产线设备数据监控"}))]
    sample: Map<String, Value>,
    /// The mapping to try, in the source's form; the source's own when not given.
    #[schema(value_type = Option<Object>, example = json!({"name": {"pointer": "/person/name"}, "need": {"pointer": "/message"}}))]
    mapping: Option<Map<String, Value>>,
}

/// The lead that a delivery would make.
#[derive(serde::Serialize, ToSchema)]
struct TriedMapping {
    /// The lead as it would come out; with faults, what the mapping found.
    #[schema(value_type = Object, example = json!({"name": "王芳", "need": "生产线设备数据监控"}))]
    lead: Value,
    /// Why the delivery would be rejected; empty when it would not.
    #[schema(value_type = Vec<crate::platform::problem::ProblemFault>, example = json!([]))]
    errors: Value,
    /// Reservations about the lead.
    #[schema(value_type = Vec<crate::platform::problem::ProblemFault>, example = json!([]))]
    warnings: Value,
}

/// Try a mapping
///
/// Shows the lead that a delivery would make, with its faults, and stores nothing.
#[utoipa::path(tag = "leads", operation_id = "try_lead_source_mapping", security(("bearer" = ["source.write"])), request_body = TryMapping, responses((status = 200, description = "What would come out", body = TriedMapping)))]
#[post("/v1/lead-sources/{id}/try-mapping")]
async fn try_mapping(db: web::Data<Db>, id: Id, command: Command<TryMapping>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let row = db
        .read(async |conn| store::find(conn, &ctx, &LEAD_SOURCE, id.0, None).await)
        .await?;
    let source: Value = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let mapping = input
        .mapping
        .map_or_else(|| source["mapping"].clone(), Value::Object);
    let reading = reading(mapping, source["required_members"].clone())?;
    let (lead, faults) = mapping::interpret(&reading, Value::Object(input.sample));
    if !faults.is_empty() {
        return tried(&ctx, &lead, &faults, &[]);
    }
    let addressed = addressed(lead.clone(), id.0, owner_of(&source));
    let mut terms = on_behalf(&ctx);
    terms.is_dry_run = true;
    let outcome = db
        .write(&terms, async |tx| {
            let Written { body, warnings, .. } =
                store::create(tx, &terms, &LEAD, None, addressed.clone()).await?;
            tried(&ctx, &body, &[], &warnings)
        })
        .await;
    match outcome {
        Ok(reply) => Ok(Reply::raw(200, reply.body)),
        Err(error) if gate::attach_to(&error).is_some() => {
            tried(&ctx, &lead, &[], &[arrival::attached_warning()])
        }
        Err(error) => tried(&ctx, &lead, &rejection(error)?, &[]),
    }
}

fn reading(mapping: Value, required: Value) -> AppResult<Reading> {
    let faults = mapping::faults(&mapping, &Value::Null);
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    Reading::new(mapping, required).map_err(|_| {
        AppError::invalid(vec![Fault::invalid(
            "/mapping",
            "gives each member a `pointer` with an optional `default`, or a `constant`",
            "每个字段须为 `pointer`(可选 `default`)或 `constant`",
        )])
    })
}

fn tried(ctx: &Ctx, lead: &Map<String, Value>, faults: &[Fault], warnings: &[Warning]) -> AppResult<Reply> {
    let all = |faults: &[Fault]| {
        faults
            .iter()
            .map(|fault| fault.to_json(ctx.lang))
            .collect::<Value>()
    };
    Reply::ok(&TriedMapping {
        lead: Value::Object(lead.clone()),
        errors: all(faults),
        warnings: all(warnings),
    })
}

fn owner_of(source: &Value) -> Option<Uuid> {
    let id = source["default_owner_id"].as_str()?;
    Uuid::parse_str(id).ok()
}

/// The terms on which a lead is made for a source while a person asks: no right of theirs is needed, and the lead is not
/// theirs.
fn on_behalf(ctx: &Ctx) -> Ctx {
    let company = Arc::clone(&ctx.principal.company);
    let mut terms = Ctx::system(company, ctx.tenant, ActorKind::Source, ctx.now, ctx.recorded_at);
    terms.lang = ctx.lang;
    terms
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
/// cannot be read, answers 422 with the faults and changes nothing. An accepted intake is refused with 409.
#[utoipa::path(tag = "leads", operation_id = "replay_intake", security(("bearer" = ["intake.replay"])), request_body = Option<ReplayIntake>, responses((status = 200, description = "The intake, accepted", body = ref("#/components/schemas/Intake"))))]
#[post("/v1/intakes/{id}/replay")]
async fn replay(db: web::Data<Db>, id: Id, command: Command<Option<ReplayIntake>>) -> AppResult<Reply> {
    let (Command { ctx, input }, id) = (command, id.0);
    let corrected = input.and_then(|input| input.body);
    db.write(&ctx, async |tx| {
        let locked = store::lock(tx, &ctx, &INTAKE, id, For::Action("intake.replay")).await?;
        let intake = locked.record()?;
        if intake["status"] != "rejected" {
            return Err(AppError::refuse(
                Code::Conflict,
                say("The intake is accepted already", "该投递已被接受"),
            ));
        }
        let text = match &corrected {
            Some(body) => serde_json::to_string(body).map_err(AppError::internal)?,
            None => intake["body"].as_str().unwrap_or_default().to_owned(),
        };
        let (source, reading, owner) = source_of(tx, &ctx, &intake).await?;
        let lead = read(text.as_bytes(), &reading).map_err(AppError::invalid)?;
        let arrived = arrival::arrive(tx, &on_behalf(&ctx), &addressed(lead, source, owner)).await?;
        let lead = arrived.lead();
        accept(tx, &ctx, id, lead, corrected.as_ref().map(|_| text)).await?;
        arrived.told(tx, id, source);
        let about = json!({ "source_id": source, "lead_id": lead });
        tx.record(Event::new("intake.replayed", "intake", id, about).and_on("lead", Some(lead)));
        let row = store::find(&mut &**tx, &ctx, &INTAKE, id, None).await?;
        Ok(Reply::raw(200, row.doc).with_version(row.version))
    })
    .await
}

/// The source of an intake as it is now, open or closed.
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
    .bind::<Nullable<Text>, _>(corrected.map(|text| raw_text(text.as_bytes())))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
