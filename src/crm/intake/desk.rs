//! Trying a mapping on a sample before it is kept.

use super::mapping::{self, Reading};
use super::{addressed, all_faults, arrival, rejection};
use crate::crm::duplicates::gate;
use crate::crm::resources::{LEAD, LEAD_SOURCE};
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::custom::{self, Definition};
use crate::platform::records::store::{self, Written};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig) {
    config.service(try_mapping);
}

fn mapping_schema() -> RefOr<Schema> {
    let schema = serde_json::from_str(mapping::SCHEMA_OF_MAPPING).map(|mut schema: Value| {
        schema["type"] = json!(["object", "null"]);
        schema["description"] =
            json!("The mapping to try, in the source's form; the source's own when not given.");
        schema["examples"] =
            json!([{ "name": { "pointer": "/person/name" }, "need": { "pointer": "/message" } }]);
        schema
    });
    let schema = schema.and_then(serde_json::from_value);
    schema.map_or_else(|_| Object::new().into(), RefOr::T)
}

/// A delivery to try a mapping on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TryMapping {
    /// A delivery as the sender would send it.
    #[schema(value_type = Object, example = json!({"person": {"name": "王芳"}, "message": "生产线设备数据监控"}))]
    sample: Map<String, Value>,
    /// The mapping to try, in the source's form; the source's own when not given.
    #[schema(schema_with = mapping_schema)]
    mapping: Option<Map<String, Value>>,
    /// The members to require, as the source would; the source's own when not given.
    #[schema(max_items = 30, example = json!(["phone"]))]
    required_members: Option<Vec<String>>,
}

/// Where the value of a member comes from.
#[derive(serde::Serialize, ToSchema)]
pub struct MemberOrigin {
    /// The member of the lead; `custom.KEY` for the company's own fields.
    #[schema(example = "name")]
    pub member: String,
    /// `sample`: it stands there at `pointer`; `default`: nothing stands there; `constant`: the mapping gives it; `source`:
    /// the source decides it.
    #[schema(example = "sample")]
    pub from: &'static str,
    /// Where it stands in the sample, or would.
    #[schema(example = "/person/name")]
    pub pointer: Option<String>,
}

/// The lead that a delivery would make.
#[derive(serde::Serialize, ToSchema)]
struct TriedMapping {
    /// The lead as it would come out; with faults, what the mapping found.
    #[schema(value_type = Object, example = json!({"name": "王芳", "need": "生产线设备数据监控"}))]
    lead: Value,
    /// Where each of its members comes from.
    origins: Vec<MemberOrigin>,
    /// Why the delivery would be rejected; empty when it would not.
    #[schema(value_type = Vec<crate::platform::problem::ProblemFault>, example = json!([]))]
    errors: Value,
    /// Reservations about the lead.
    #[schema(value_type = Vec<crate::platform::problem::ProblemFault>, example = json!([]))]
    warnings: Value,
}

/// Try a mapping
///
/// Shows the lead that a delivery would make by a draft of the mapping, where each of its members comes from, its faults, and
/// the reservations about what is not at fault; stores nothing.
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
    let required = match input.required_members {
        Some(required) => json!(required),
        None => source["required_members"].clone(),
    };
    let own = db
        .read(async |conn| custom::definitions(conn, ctx.tenant, LEAD.singular).await)
        .await?;
    let reading = reading(mapping, required, &own)?;
    let sample = Value::Object(input.sample);
    let mut origins = mapping::origins(&reading, &sample);
    origins.extend(decided_by_source(&source));
    let (lead, faults) = mapping::interpret(&reading, sample);
    let mut tried = |lead: &Map<String, Value>, faults: &[Fault], warnings: &[Warning]| {
        let origins = std::mem::take(&mut origins);
        told(&ctx, lead, origins, faults, warnings)
    };
    let trial = |lead| made(&db, &ctx, addressed(lead, id.0, owner_of(&source)));
    let faults = if faults.is_empty() {
        match trial(lead.clone()).await? {
            Made::Lead(written) => return tried(&written.body, &[], &written.warnings),
            Made::Attached => return tried(&lead, &[], &[arrival::attached_warning()]),
            Made::Rejected(faults) => faults,
        }
    } else {
        let all = db.read(async |conn| all_faults(conn, ctx.tenant, &lead, faults.clone()).await);
        all.await?
    };
    // What there is to say of the rest of it is said now, not once the faults are mended.
    let warnings = match trial(sound(&lead, &faults)).await? {
        Made::Lead(written) => written.warnings,
        Made::Attached => vec![arrival::attached_warning()],
        Made::Rejected(_) => Vec::new(),
    };
    let is_sound = |warning: &Warning| !faults.iter().any(|fault| head(fault) == head(warning));
    let warnings = warnings.into_iter().filter(is_sound).collect::<Vec<_>>();
    tried(&lead, &faults, &warnings)
}

/// What became of a lead that was tried.
enum Made {
    Lead(Box<Written>),
    /// It would be noted on one that is there.
    Attached,
    Rejected(Vec<Fault>),
}

async fn made(db: &Db, ctx: &Ctx, lead: Map<String, Value>) -> AppResult<Made> {
    let mut terms = on_behalf(ctx);
    terms.is_dry_run = true;
    let made = Cell::new(None);
    let outcome = db
        .write(&terms, async |tx| {
            let written = store::create(tx, &terms, &LEAD, None, lead.clone()).await?;
            made.set(Some(written));
            Ok(Reply::no_content())
        })
        .await;
    match outcome {
        Ok(_) => {
            let written = made
                .take()
                .ok_or_else(|| AppError::internal("a lead was tried and not made"))?;
            Ok(Made::Lead(Box::new(written)))
        }
        Err(error) if gate::attach_to(&error).is_some() => Ok(Made::Attached),
        Err(error) => Ok(Made::Rejected(rejection(error)?)),
    }
}

/// The member of a lead that a fault is about.
fn head(fault: &Fault) -> &str {
    let path = fault.pointer.trim_start_matches('/');
    path.split_once('/').map_or(path, |(member, _)| member)
}

/// A lead without what is at fault in it; a lead without a name is called something, since nothing else is asked of it.
fn sound(lead: &Map<String, Value>, faults: &[Fault]) -> Map<String, Value> {
    let mut lead = lead.clone();
    lead.retain(|member, _| !faults.iter().any(|fault| head(fault) == member));
    lead.entry("name").or_insert_with(|| json!("-"));
    lead
}

/// What a sender does not decide.
fn decided_by_source(source: &Value) -> Vec<MemberOrigin> {
    let by_source = |member: &str| MemberOrigin {
        member: member.to_owned(),
        from: "source",
        pointer: None,
    };
    let owner = owner_of(source).map(|_| by_source("owner_id"));
    owner.into_iter().chain([by_source("source_id")]).collect()
}

fn reading(mapping: Value, required: Value, own: &[Definition]) -> AppResult<Reading> {
    let faults = mapping::faults(&mapping, &required, own);
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

fn told(
    ctx: &Ctx,
    lead: &Map<String, Value>,
    origins: Vec<MemberOrigin>,
    faults: &[Fault],
    warnings: &[Warning],
) -> AppResult<Reply> {
    let all = |faults: &[Fault]| {
        faults
            .iter()
            .map(|fault| fault.to_json(ctx.lang))
            .collect::<Value>()
    };
    Reply::ok(&TriedMapping {
        lead: Value::Object(lead.clone()),
        origins,
        errors: all(faults),
        warnings: all(warnings),
    })
}

pub(super) fn owner_of(source: &Value) -> Option<Uuid> {
    let id = source["default_owner_id"].as_str()?;
    Uuid::parse_str(id).ok()
}

/// The terms on which a lead is made for a source while a person asks: no right of theirs is needed, and the lead is not
/// theirs.
pub(super) fn on_behalf(ctx: &Ctx) -> Ctx {
    let company = Arc::clone(&ctx.principal.company);
    let mut terms = Ctx::system(company, ctx.tenant, ActorKind::Source, ctx.now, ctx.recorded_at);
    terms.lang = ctx.lang;
    terms
}
