//! The timelines of accounts, contacts and leads.

use super::resources::{ACCOUNT, CONTACT, LEAD};
use crate::event::timeline::answer;
use crate::event::view::EventPage;
use crate::event::window::WindowParameters;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Id, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};

/// What happened around an account
///
/// Newest first: its own changes, and those of its contacts, opportunities and their parts that you may see.
#[utoipa::path(tag = "accounts", operation_id = "list_account_timeline", params(WindowParameters), security(("bearer" = ["account.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/accounts/{id}/timeline")]
pub async fn list_account_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&ACCOUNT, request, db, shared, ctx, id.0).await
}

/// What happened around a contact
///
/// Newest first: the contact's own changes, and what else names the contact that you may see.
#[utoipa::path(tag = "accounts", operation_id = "list_contact_timeline", params(WindowParameters), security(("bearer" = ["contact.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/contacts/{id}/timeline")]
pub async fn list_contact_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&CONTACT, request, db, shared, ctx, id.0).await
}

/// What happened around a lead
///
/// Newest first: from its arrival to its conversion.
#[utoipa::path(tag = "leads", operation_id = "list_lead_timeline", params(WindowParameters), security(("bearer" = ["lead.read"])), responses((status = 200, body = EventPage)))]
#[get("/v1/leads/{id}/timeline")]
pub async fn list_lead_timeline(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&LEAD, request, db, shared, ctx, id.0).await
}
