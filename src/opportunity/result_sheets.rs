//! The sheet that ends a negotiation: asked about as it is, changed only until it is approved, frozen from then on.

use super::APPROVAL_SUBJECTS;
use super::advance::http::AskedView;
use super::advance::rules::{Refusal, Status};
use super::parts::RESULT_SHEET;
use super::standing::lock_head;
use crate::approval::definition::SubjectKind;
use crate::approval::service::{self as approvals, NewRequest, Process};
use crate::approval::state::RequestState;
use crate::approval::subjects::Ended;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::money;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, path_id};
use crate::platform::records::spec::Act;
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::store::{self, For};
use crate::platform::records::{Change, Hooks};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, post, web};
use diesel::sql_types::Uuid as SqlUuid;
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

type Outcome<'a> = LocalBoxFuture<'a, AppResult<()>>;

pub const HOOKS: Hooks = Hooks {
    before: Some(before),
    after: Some(after),
    ..Hooks::NONE
};

/// A result sheet that was approved is the base of the contract.
fn before<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move { require_open(&change.before) })
}

fn require_open(sheet: &Map<String, Value>) -> AppResult<()> {
    if sheet.get("frozen_at").is_none_or(Value::is_null) {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::Frozen,
        say("It was approved and is frozen", "已批准并冻结"),
    ))
}

/// What is asked about a sheet lapses when the sheet changes, and is withdrawn when it is archived.
fn after<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    Box::pin(async move {
        let kind = SubjectKind::ResultSheet;
        match change.act {
            Act::Create | Act::Restore => {}
            Act::Update => {
                let now = Value::Object(change.after.clone());
                approvals::lapse_if_changed(tx, ctx, kind, change.id, None, &now).await?;
            }
            Act::Archive => {
                let reason = "The result sheet was archived";
                approvals::withdraw_all(tx, ctx, kind, &[change.id], reason).await?;
            }
        }
        Ok(())
    })
}

/// An approval of a result sheet to be asked for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskSheetApproval {
    /// Key of a published approval process that decides on result sheets.
    #[schema(min_length = 1, max_length = 63, examples("result_sheet_review"))]
    pub process: String,
    /// For those who decide.
    #[serde(default)]
    #[schema(max_length = 2000, examples("谈判结果如表，请审核"))]
    pub comment: Option<String>,
}

/// Ask for the approval of a result sheet
///
/// Bound to what the sheet now says: a change of what the process names lapses it. Approved, the sheet is frozen.
#[utoipa::path(tag = "opportunities", operation_id = "ask_result_sheet_approval", security(("bearer" = ["approval.request"])), request_body = AskSheetApproval,
    params(("part_id" = Uuid, Path, description = "Id of the result sheet.", example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")),
    responses((status = 201, body = AskedView, description = "Asked; `Location` is the request")))]
#[post("/v1/opportunities/{id}/result-sheets/{part_id}/approvals")]
pub async fn ask_result_sheet_approval(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    command: Command<AskSheetApproval>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let sheet = path_id(&request, "part_id")?;
    db.write(&ctx, async |tx| {
        let (head, _) = lock_head(tx, &ctx, id.0, For::Action("approval.request")).await?;
        let status = head.status()?;
        if status != Status::Open {
            return Err(Refusal::AlreadyClosed(status).into_error(ctx.lang));
        }
        let row = store::find(&mut &**tx, &ctx, &RESULT_SHEET, sheet, Some(head.id)).await?;
        let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
        require_open(&record)?;
        require_live(&record)?;
        let new = asked(&input, sheet, head.owner_id, record);
        let made = approvals::request(tx, &ctx, APPROVAL_SUBJECTS, new).await?;
        let view = AskedView {
            approval_request_id: made.id,
        };
        Ok(Reply::json(201, &view)?.with_location(format!("/v1/approval-requests/{}", made.id)))
    })
    .await
}

fn require_live(sheet: &Map<String, Value>) -> AppResult<()> {
    if sheet.get("archived_at").is_none_or(Value::is_null) {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::Archived,
        say("It is archived; restore it first", "已归档,请先恢复"),
    ))
}

fn asked(
    input: &AskSheetApproval,
    sheet: Uuid,
    owner: Option<Uuid>,
    record: Map<String, Value>,
) -> NewRequest {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    NewRequest {
        process: Process::Key(input.process.clone()),
        subject_kind: SubjectKind::ResultSheet,
        subject_id: sheet,
        owner_id: owner,
        visit_id: None,
        criterion_id: None,
        amount: text("amount").and_then(money::parse),
        currency: text("currency").map(str::to_owned),
        snapshot: Value::Object(record),
        advances_when_granted: false,
        advances_to_id: None,
        comment: input.comment.clone(),
    }
}

/// Freezes a result sheet in the transaction of its last approval. That of a deal that is closed or archived is nobody's
/// base any more.
pub fn decided<'a>(tx: &'a mut Tx, ctx: &'a Ctx, ended: &'a Ended) -> Outcome<'a> {
    Box::pin(async move {
        if ended.state != RequestState::Approved {
            return Ok(());
        }
        let mut sql = Sql::of(ctx.tenant);
        let id = sql.place(Bind::Id(ended.subject_id));
        let now = sql.place(Bind::Instant(ctx.now));
        sql.push(&format!(
            "UPDATE result_sheets SET frozen_at = {now}, version = version + 1, updated_at = {now} \
             WHERE tenant_id = $1 AND id = {id} AND frozen_at IS NULL AND EXISTS (SELECT 1 FROM opportunities o \
                 WHERE o.tenant_id = $1 AND o.id = opportunity_id AND o.status = 'open' AND o.archived_at IS NULL) \
             RETURNING opportunity_id AS id"
        ));
        let frozen: Option<Frozen> = sql.query().get_result(&mut **tx).await.optional()?;
        if let Some(frozen) = frozen {
            let event = Event::new(
                "result_sheet.frozen",
                "result_sheet",
                ended.subject_id,
                json!({ "changes": { "frozen_at": { "before": null, "after": ctx.now } } }),
            );
            tx.record(event.and_on("opportunity", Some(frozen.id)));
        }
        Ok(())
    })
}

#[derive(QueryableByName)]
struct Frozen {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}
