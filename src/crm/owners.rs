//! Whose accounts and leads were.

use super::resources::{ACCOUNT, LEAD};
use crate::event::owners::{OwnerChangePage, answer};
use crate::event::window::WindowParameters;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};

/// Lists the owners that an account had
///
/// Each change of owner, the latest first: from whom, to whom, by whom, why.
#[utoipa::path(tag = "accounts", operation_id = "list_account_owners", params(WindowParameters), security(("bearer" = ["account.read"])), responses((status = 200, body = OwnerChangePage)))]
#[get("/v1/accounts/{id}/owners")]
pub async fn list_account_owners(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&ACCOUNT, request, db, shared, ctx, id.0).await
}

/// Lists the owners that a lead had
///
/// Each change of owner, the latest first: from whom, to whom, by whom or by which rule, why.
#[utoipa::path(tag = "leads", operation_id = "list_lead_owners", params(WindowParameters), security(("bearer" = ["lead.read"])), responses((status = 200, body = OwnerChangePage)))]
#[get("/v1/leads/{id}/owners")]
pub async fn list_lead_owners(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&LEAD, request, db, shared, ctx, id.0).await
}
