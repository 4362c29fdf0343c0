//! What resources with versions have in common (pipelines, scoring models, approval processes): a version is a draft until
//! it is published, and never changes afterwards; its document bears the key of what it is a version of.

use super::store::{self, For};
use super::{Member, Resource};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use diesel::sql_query;
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

/// What number it is.
pub const NUMBER: Member = Member {
    is_range: false,
    ..Member::int("number", 1, 1_000_000, "Counts from 1.", "1")
}
.required()
.sort();

/// Whether it is a draft, published or retired.
pub const STATE: Member = Member::choice(
    "state",
    &["draft", "published", "retired"],
    "State of the version.",
    "\"published\"",
)
.required();

/// When it was published.
pub const PUBLISHED_AT: Member = Member {
    is_range: false,
    ..Member::instant("published_at", "When it was published.")
};

/// The members of a version in lists, of a table with `number`, `state`, `document_hash`, `published_at`, `published_by`.
pub const MEMBERS: &[Member] = &[
    NUMBER,
    STATE,
    Member::text("document_hash", 64, "SHA-256 of the document.", "\"…\"")
        .computed("encode(t.document_hash, 'hex')"),
    PUBLISHED_AT,
    Member {
        is_filter: false,
        ..Member::id("published_by", "Who published it.")
    },
];

/// Locks what the version is one of, gives its key. If-Match is about the version, not about that.
///
/// # Errors
/// As [`store::lock`], the conditions of the request apart.
pub async fn lock_head(
    tx: &mut Tx,
    ctx: &Ctx,
    head: &'static Resource,
    id: Uuid,
    purpose: For<'_>,
) -> AppResult<String> {
    let ctx = Ctx {
        if_match: None,
        ..ctx.clone()
    };
    let locked = store::lock(tx, &ctx, head, id, purpose).await?;
    let record = locked.record()?;
    Ok(record["key"].as_str().unwrap_or_default().to_owned())
}

/// Counts a version of what a new draft is one of, which shows its number. It is locked.
///
/// # Errors
/// Database errors.
pub async fn show_draft(
    tx: &mut Tx,
    ctx: &Ctx,
    head: &'static Resource,
    id: Uuid,
    number: i32,
) -> AppResult<()> {
    let text = format!(
        "UPDATE {} SET version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2",
        head.table
    );
    let query = sql_query(text)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id)
        .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let shown = json!({ "changes": { "draft_number": { "before": null, "after": number } } });
    tx.record(Event::new(
        format!("{}.updated", head.singular),
        head.singular,
        id,
        shown,
    ));
    Ok(())
}

/// There is one draft at a time.
///
/// # Errors
/// `conflict` when there is one of this number.
pub fn require_no_draft(draft: Option<i32>) -> AppResult<()> {
    let Some(number) = draft else {
        return Ok(());
    };
    Err(AppError::refuse(
        Code::Conflict,
        say(
            format!("Version {number} is a draft already; edit or publish it"),
            format!("版本 {number} 已是草稿，请编辑或发布它"),
        ),
    ))
}

/// Only a draft changes.
///
/// # Errors
/// `version_published`.
pub fn require_draft(number: i32, state: &str) -> AppResult<()> {
    if state == "draft" {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::VersionPublished,
        say(
            format!("Version {number} is {state}; it never changes, begin a new draft"),
            format!("版本 {number} 已发布，不可再更改，请新建草稿"),
        ),
    ))
}

/// A document bears the key of what it is a version of.
///
/// # Errors
/// `invalid` at `/document/key`.
pub fn require_key(kept: &str, given: &str) -> AppResult<()> {
    if given == kept {
        return Ok(());
    }
    Err(AppError::invalid(vec![Fault::invalid(
        "/document/key",
        format!("must stay {kept}"),
        format!("必须保持为 {kept}"),
    )]))
}
