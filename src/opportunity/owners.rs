//! Whose opportunities were.

use super::resources::OPPORTUNITY;
use crate::event::owners::{OwnerChangePage, answer};
use crate::event::window::WindowParameters;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};

/// Lists the owners that an opportunity had
///
/// Each change of owner, the latest first: from whom, to whom, by whom, why.
#[utoipa::path(tag = "opportunities", operation_id = "list_opportunity_owners", params(WindowParameters), security(("bearer" = ["opportunity.read"])), responses((status = 200, body = OwnerChangePage)))]
#[get("/v1/opportunities/{id}/owners")]
pub async fn list_opportunity_owners(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&OPPORTUNITY, request, db, shared, ctx, id.0).await
}
