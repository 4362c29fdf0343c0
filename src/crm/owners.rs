//! Whose accounts, contacts and leads were, and giving what is owned to somebody else.

use super::assignment::by_hand;
use super::resources::{ACCOUNT, CONTACT, LEAD};
use crate::event::owners::{OwnerChangePage, answer};
use crate::event::window::WindowParameters;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::Resource;
use crate::platform::records::http::written_reply;
use crate::platform::records::store::{self, For, Written};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, post, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// To whom a record is given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The new owner.
    #[schema(examples("0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a"))]
    pub owner_id: Uuid,
    /// Why it is given; kept with the event, and told among its owners.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, examples("区域调整"))]
    pub reason: Option<String>,
}

/// Gives a record to somebody, by a permission whose reach holds its present owner and the new one. Whose it is already
/// stays as it is.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `archived`; `invalid` where the new owner is not there or deactivated; what the record's
/// own rules say.
pub async fn give(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    permission: &str,
    id: Uuid,
    input: &Assign,
) -> AppResult<Written> {
    let locked = store::lock(tx, ctx, resource, id, For::Action(permission)).await?;
    let mut record = locked.record()?;
    by_hand::require_active(tx, ctx, input.owner_id).await?;
    let owner = json!(input.owner_id);
    if record.get("owner_id") == Some(&owner) {
        return Ok(Written {
            id,
            version: locked.version,
            body: store::visible(resource, ctx, record),
            warnings: Vec::new(),
        });
    }
    record.insert("owner_id".to_owned(), owner);
    let written = store::save_as(tx, ctx, resource, id, &locked, record, "assigned").await?;
    let told = json!({ "assignment": { "how": "by_hand", "reason": input.reason } });
    let kind = format!("{}.assigned", resource.singular);
    tx.record(Event::new(kind, resource.singular, id, told));
    Ok(written)
}

/// Give an account to somebody
///
/// Changes its owner and nothing else; both the present and the new one must be within the reach of your permission. One of
/// the pool is given by `POST /v1/pool/accounts/{id}/assign`. A `reason` is told among its owners.
#[utoipa::path(tag = "accounts", operation_id = "assign_account", security(("bearer" = ["account.write"])), request_body = Assign, responses((status = 200, description = "The account", body = ref("#/components/schemas/Account"))))]
#[post("/v1/accounts/{id}/assign")]
pub async fn assign_account(db: web::Data<Db>, id: Id, command: Command<Assign>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let written = give(tx, &ctx, &ACCOUNT, "account.write", id.0, &input).await?;
        written_reply(&ACCOUNT, &ctx, 200, written)
    })
    .await
}

/// Give a contact to somebody
///
/// Changes its owner and nothing else; both the present and the new one must be within the reach of your permission. A
/// `reason` is told among its owners.
#[utoipa::path(tag = "accounts", operation_id = "assign_contact", security(("bearer" = ["contact.write"])), request_body = Assign, responses((status = 200, description = "The contact", body = ref("#/components/schemas/Contact"))))]
#[post("/v1/contacts/{id}/assign")]
pub async fn assign_contact(db: web::Data<Db>, id: Id, command: Command<Assign>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let written = give(tx, &ctx, &CONTACT, "contact.write", id.0, &input).await?;
        written_reply(&CONTACT, &ctx, 200, written)
    })
    .await
}

/// Lists the owners that a contact had
///
/// Each change of owner, the latest first: from whom, to whom, by whom, why.
#[utoipa::path(tag = "accounts", operation_id = "list_contact_owners", params(WindowParameters), security(("bearer" = ["contact.read"])), responses((status = 200, body = OwnerChangePage)))]
#[get("/v1/contacts/{id}/owners")]
pub async fn list_contact_owners(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    answer(&CONTACT, request, db, shared, ctx, id.0).await
}

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
