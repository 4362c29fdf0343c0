//! What a deal went through: its moves and its cycles.

use super::cycles::{CYCLE, CycleView};
use super::facts::sees_account;
use super::moves::{TRANSITION, TransitionView};
use super::resources::OPPORTUNITY;
use crate::event::window::{Cursors, Window, WindowParameters};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::pipeline::gate::hide_account;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::records::http::page_reply;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use diesel::QueryableByName;
use diesel::sql_types::{Integer, Text};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use uuid::Uuid;

/// A page of an opportunity's moves, in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TransitionList {
    pub data: Vec<TransitionView>,
    /// Where the next page begins; null on the last one.
    #[schema(examples(json!(null)))]
    pub next_cursor: Option<String>,
}

/// A page of an opportunity's cycles, in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CycleList {
    pub data: Vec<CycleView>,
    /// Where the next page begins; null on the last one.
    #[schema(examples(json!(null)))]
    pub next_cursor: Option<String>,
}

#[derive(QueryableByName)]
struct Listed {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    place: i32,
}

/// A table whose rows count up within one deal.
struct Counted {
    /// With the alias that `document` reads it by.
    table: &'static str,
    /// The column that counts.
    place: &'static str,
    /// A row in wire form.
    document: &'static str,
}

const TRANSITIONS: Counted = Counted {
    table: "transitions m",
    place: "ordinal",
    document: TRANSITION,
};

const CYCLES: Counted = Counted {
    table: "cycles c",
    place: "number",
    document: CYCLE,
};

/// The asked-for page of a visible deal's rows. `without_account`: takes out what whoever does not see its account may not
/// know.
async fn page<T: DeserializeOwned + Serialize>(
    counted: &Counted,
    request: &HttpRequest,
    (db, shared, ctx): (&Db, &Shared, &Ctx),
    id: Uuid,
    without_account: fn(&mut T),
) -> AppResult<Reply> {
    let cursors = Cursors::of(request, &shared.auth.secrets, ctx);
    let window = Window::<i32>::read(request, &cursors)?;
    let (mut rows, sees_account): (Vec<Listed>, bool) = db
        .read_at_length(async |conn| {
            store::require_visible(conn, ctx, &OPPORTUNITY, id).await?;
            let rows = statement(counted, ctx, id, &window).query().load(conn).await?;
            Ok((rows, sees_account(conn, ctx, id).await?))
        })
        .await?;
    let next = window.cut(&mut rows, &cursors, |row| row.place.to_string());
    let data = rows.iter().map(|row| serde_json::from_str(&row.doc));
    let mut data = data.collect::<Result<Vec<T>, _>>().map_err(AppError::internal)?;
    if !sees_account {
        data.iter_mut().for_each(without_account);
    }
    Ok(page_reply(request, data, next, None)?.with_weak_tag())
}

fn statement(counted: &Counted, ctx: &Ctx, id: Uuid, window: &Window<i32>) -> Sql {
    let Counted {
        table,
        place,
        document,
    } = counted;
    let mut sql = Sql::of(ctx.tenant);
    let deal = sql.place(Bind::Id(id));
    let after = sql.place(Bind::Int(window.after.unwrap_or(0)));
    let limit = sql.place(Bind::Long(window.limit + 1));
    sql.push(&format!(
        "SELECT {document}::text AS doc, {place} AS place FROM {table} \
         WHERE tenant_id = $1 AND opportunity_id = {deal} AND {place} > {after} ORDER BY {place} LIMIT {limit}"
    ));
    sql
}

/// List the moves of an opportunity
///
/// Every move from its making on, in order, each with the gate as it stood.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_transitions", params(WindowParameters), security(("bearer" = ["opportunity.read"])),
    responses((status = 200, description = "The moves, in order", body = TransitionList)))]
#[get("/v1/opportunities/{id}/transitions")]
pub async fn list_opportunity_transitions(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let without_account = |moved: &mut TransitionView| moved.evidence.iter_mut().for_each(hide_account);
    page(
        &TRANSITIONS,
        &request,
        (&db, &shared, &ctx),
        id.0,
        without_account,
    )
    .await
}

/// List the cycles of an opportunity
///
/// Each run through the pipeline, with what it came to.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_cycles", params(WindowParameters), security(("bearer" = ["opportunity.read"])),
    responses((status = 200, description = "The cycles, in order", body = CycleList)))]
#[get("/v1/opportunities/{id}/cycles")]
pub async fn list_opportunity_cycles(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    page(
        &CYCLES,
        &request,
        (&db, &shared, &ctx),
        id.0,
        |_: &mut CycleView| (),
    )
    .await
}
