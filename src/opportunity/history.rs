//! What a deal went through: its moves and its cycles.

use super::cycles::{CYCLE, CycleView};
use super::moves::{TRANSITION, TransitionView};
use super::resources::OPPORTUNITY;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Db;
use crate::platform::gatekeeper::Id;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::{get, web};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use uuid::Uuid;

/// All moves of an opportunity, in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TransitionList {
    pub data: Vec<TransitionView>,
}

/// All cycles of an opportunity, in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CycleList {
    pub data: Vec<CycleView>,
}

#[derive(QueryableByName)]
struct Listed {
    #[diesel(sql_type = Text)]
    doc: String,
}

/// The rows of a table of one visible deal, as `select` renders them.
async fn all_of<T: DeserializeOwned>(
    db: &Db,
    ctx: &Ctx,
    id: Uuid,
    select: impl Fn(&str) -> String,
) -> AppResult<Vec<T>> {
    let listed: Listed = db
        .read(async |conn| {
            store::require_visible(conn, ctx, &OPPORTUNITY, id).await?;
            let mut sql = Sql::of(ctx.tenant);
            let place = sql.place(Bind::Id(id));
            sql.push(&select(&place));
            Ok(sql.query().get_result(conn).await?)
        })
        .await?;
    serde_json::from_str(&listed.doc).map_err(AppError::internal)
}

/// List the moves of an opportunity
///
/// Every move from its making on, in order, each with the gate as it stood.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_transitions", security(("bearer" = ["opportunity.read"])),
    responses((status = 200, description = "Every move, in order", body = TransitionList)))]
#[get("/v1/opportunities/{id}/transitions")]
pub async fn list_opportunity_transitions(db: web::Data<Db>, id: Id, ctx: Ctx) -> AppResult<Reply> {
    let data = all_of(&db, &ctx, id.0, |place| {
        format!(
            "SELECT coalesce(json_agg({TRANSITION} ORDER BY m.ordinal), '[]')::text AS doc FROM transitions m \
             WHERE m.tenant_id = $1 AND m.opportunity_id = {place}"
        )
    });
    Ok(Reply::ok(&TransitionList { data: data.await? })?.with_weak_tag())
}

/// List the cycles of an opportunity
///
/// Each run through the pipeline, with what it came to.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_cycles", security(("bearer" = ["opportunity.read"])),
    responses((status = 200, description = "Every cycle, in order", body = CycleList)))]
#[get("/v1/opportunities/{id}/cycles")]
pub async fn list_opportunity_cycles(db: web::Data<Db>, id: Id, ctx: Ctx) -> AppResult<Reply> {
    let data = all_of(&db, &ctx, id.0, |place| {
        format!(
            "SELECT coalesce(json_agg({CYCLE} ORDER BY c.number), '[]')::text AS doc FROM cycles c \
             WHERE c.tenant_id = $1 AND c.opportunity_id = {place}"
        )
    });
    Ok(Reply::ok(&CycleList { data: data.await? })?.with_weak_tag())
}
