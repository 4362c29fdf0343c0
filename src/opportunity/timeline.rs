//! The timeline of an opportunity.

use super::resources::OPPORTUNITY;
use crate::event::timeline::{TimelineParameters, answer};
use crate::event::view::EventPage;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};

/// What happened around an opportunity
///
/// Newest first: its own changes and moves, its parts, its approvals.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_timeline", params(TimelineParameters), security(("bearer" = ["opportunity.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/opportunities/{id}/timeline")]
pub async fn list_opportunity_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&OPPORTUNITY, request, db, shared, ctx, id.0).await
}
