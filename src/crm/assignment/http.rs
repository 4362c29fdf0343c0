//! Giving leads to people: by hand or by rule, one or many.

use super::giving::{assign, assign_many};
use crate::crm::resources::LEAD;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::batch::{self, Mode};
use crate::platform::records::http::written_reply;
use crate::platform::reply::Reply;
use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// Why somebody gets more leads than they may hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapacityOverride {
    /// The reason; kept with the event.
    #[schema(min_length = 1, max_length = 500, example = "老客户指定")]
    reason: String,
}

/// To whom a lead is given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "owner_id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a" }))]
pub struct AssignLead {
    /// The new owner, within your reach; whom the rules say, when not given.
    #[serde(default)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub owner_id: Option<Uuid>,
    /// Why it is given; kept with the event.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, example = "熟悉该行业")]
    pub reason: Option<String>,
    /// Gives it although its new owner is full.
    #[serde(default)]
    pub override_capacity: Option<CapacityOverride>,
}

/// Several leads to be given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchAssignLeads {
    pub mode: Mode,
    /// The leads; of one named twice the last word counts.
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<BatchAssignment>,
    /// Why they are given; kept with each event.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, example = "区域调整")]
    pub reason: Option<String>,
    /// Gives them although a new owner is full.
    #[serde(default)]
    pub override_capacity: Option<CapacityOverride>,
}

/// One lead of a batch.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b", "owner_id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a" }))]
pub struct BatchAssignment {
    /// The lead.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub id: Uuid,
    /// Its new owner; whom the rules say, when not given.
    #[serde(default)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub owner_id: Option<Uuid>,
    /// The version that you read; another one is refused as stale.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 1)]
    pub if_match: Option<i32>,
}

/// What giving a lead answers: the lead, or no more of it than the pool shows.
pub struct AssignedLead;

impl PartialSchema for AssignedLead {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name("Lead"))
            .item(Ref::from_schema_name("PoolTaken"))
            .description(Some(
                "The lead. Of one that you saw only masked in the pool: whose it is now, and where it can be read.",
            ))
            .into()
    }
}

impl ToSchema for AssignedLead {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("AssignedLead")
    }
}

/// Give a lead to somebody
///
/// With `owner_id` by hand: both its present and its new owner must be within the reach of your permission; a lead that
/// nobody owns can be given by whoever sees it, or sees it masked in the pool: the answer then shows no more of it than the
/// pool does. Who is deactivated is refused, who is away is warned of, and who holds as
/// many open leads as they may is refused with `over_capacity` unless `override_capacity` says why. Without `owner_id` by
/// the rules of the moments that the lead has reached, the latest first, to somebody who does not have it: `conflict` with
/// `considered` when they have nobody for it.
#[utoipa::path(tag = "leads", operation_id = "assign_lead", security(("bearer" = ["lead.assign"])), request_body = AssignLead, responses((status = 200, description = "The lead", body = AssignedLead)))]
#[post("/v1/leads/{id}/assign")]
pub async fn assign_lead(db: web::Data<Db>, id: Id, command: Command<AssignLead>) -> AppResult<Reply> {
    let (Command { ctx, input }, Id(id)) = (command, id);
    db.write(&ctx, async |tx| {
        let written = assign(tx, &ctx, id, &input).await?;
        written_reply(&LEAD, &ctx, 200, written)
    })
    .await
}

/// Give several leads to people
///
/// Up to 1,000, each as a request of its own would be: by hand with `owner_id`, by the rules without (those last, all
/// together). With `each` it answers 200 and for every item its own status; with `all_or_nothing` one refusal is the answer to the whole and nothing
/// changes. What cannot be done within 15 seconds is undone whole (503): send less at once.
#[utoipa::path(tag = "leads", operation_id = "batch_assign_leads", security(("bearer" = ["lead.assign"])), request_body = BatchAssignLeads, responses((status = 200, description = "What became of each item", body = ref("#/components/schemas/BatchAnswer"))))]
#[post("/v1/leads/batch-assign")]
pub async fn batch_assign_leads(db: web::Data<Db>, command: Command<BatchAssignLeads>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    batch::refuse_if_match(&ctx)?;
    db.write(&ctx, async |tx| assign_many(tx, &ctx, &input).await)
        .await
}
