//! The operations of approval processes beyond the plain ones that their declaration gives.

use super::definition::ProcessDocument;
use super::facts::{Conditions, FrozenAmount, facts};
use super::processes::{self, VersionRow};
use super::resources::{APPROVAL_PROCESS, VERSION};
use super::seating::Parties;
use super::subjects::Subjects;
use super::wire::people;
use super::wire::processes::{
    ApprovalPreview, ApprovalProcessTemplate, ApprovalProcessTemplatePage, ApprovalProcessVersion,
    ApprovalProcessVersionPage, CreateApprovalProcess, PreviewApproval, UpdateApprovalProcessVersion,
};
use super::{preview, queries, service, shipped};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::expression::misfits;
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Id, Shared, path_number};
use crate::platform::records::http as records;
use crate::platform::records::sql::{self, Bind, DocRow, Sql};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, patch, post, web};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use std::collections::BTreeSet;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(create_approval_process)
        .service(list_approval_process_templates)
        .service(list_approval_process_versions)
        .service(create_approval_process_version)
        .service(get_approval_process_version)
        .service(update_approval_process_version)
        .service(publish_approval_process_version)
        .service(preview_approval_process);
}

fn shown(status: u16, row: &VersionRow) -> AppResult<Reply> {
    let view = ApprovalProcessVersion::of(row)?;
    Ok(Reply::json(status, &view)?.with_version(row.version))
}

fn path_of(row: &VersionRow) -> String {
    format!(
        "/v1/approval-processes/{}/versions/{}",
        row.process_id, row.number
    )
}

/// Makes an approval process
///
/// With its first draft, version 1: of a document of your own, or of a shipped one. Publish that to use it.
#[utoipa::path(tag = "approvals", operation_id = "create_approval_process", security(("bearer" = ["process.write"])), request_body = CreateApprovalProcess,
    responses((status = 201, description = "The process", body = ref("#/components/schemas/ApprovalProcess"))))]
#[post("/v1/approval-processes")]
async fn create_approval_process(
    db: web::Data<Db>,
    command: Command<CreateApprovalProcess>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let document = first_document(input)?;
    db.write(&ctx, async |tx| {
        let draft = processes::create(tx, &ctx, &document).await?;
        let reply = process_reply(tx, &ctx, draft.process_id).await?;
        Ok(reply.with_location(format!("/v1/approval-processes/{}", draft.process_id)))
    })
    .await
}

fn first_document(input: CreateApprovalProcess) -> AppResult<ProcessDocument> {
    match (input.document, input.template) {
        (Some(document), None) => Ok(document),
        (None, Some(template)) => processes::template(&template),
        (None, None) | (Some(_), Some(_)) => Err(AppError::invalid(vec![Fault::invalid(
            "",
            "takes exactly one of document and template",
            "document 与 template 须且只能提供一个",
        )])),
    }
}

/// The process as a plain resource: whoever made it may see what they made.
async fn process_reply(tx: &mut Tx, ctx: &Ctx, id: Uuid) -> AppResult<Reply> {
    let mut sql = Sql::of(ctx.tenant);
    let document = sql::document(&APPROVAL_PROCESS, ctx);
    sql.push(&format!(
        "SELECT {document} AS doc, t.version FROM approval_processes t WHERE t.tenant_id = $1 AND t.id = "
    ))
    .bind(Bind::Id(id));
    let row: DocRow = sql.query().get_result(&mut **tx).await?;
    Ok(Reply::raw(201, row.doc).with_version(row.version))
}

/// Lists the shipped approval processes
///
/// The templates that a company can start from, with their documents.
#[utoipa::path(tag = "approvals", operation_id = "list_approval_process_templates", security(("bearer" = ["process.read"])),
    responses((status = 200, description = "The templates", body = ApprovalProcessTemplatePage)))]
#[get("/v1/approval-process-templates")]
async fn list_approval_process_templates() -> AppResult<Reply> {
    let all = shipped::processes().map_err(AppError::internal)?;
    let data = all.into_iter().map(|document| ApprovalProcessTemplate {
        key: document.key.clone(),
        name: document.name.clone(),
        document,
    });
    Ok(Reply::ok(&ApprovalProcessTemplatePage {
        data: data.collect(),
        next_cursor: None,
    })?
    .with_weak_tag())
}

/// Lists the versions of an approval process
///
/// Newest first, without their documents.
#[utoipa::path(tag = "approvals", operation_id = "list_approval_process_versions", security(("bearer" = ["process.read"])),
    params(
        ("limit" = Option<i64>, Query, description = "Most entries of the page.", minimum = 1, maximum = 200, example = 50),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("sort" = Option<String>, Query, description = "Order: `number`, `created_at` or `updated_at`, `-` before it for descending.", pattern = "^-?(number|created_at|updated_at)$", example = "-number"),
        ("with_total" = Option<bool>, Query, description = "Whether to count all entries.", example = false),
        ("state" = Option<super::wire::processes::ProcessVersionState>, Query, description = "Only those in this state.", example = "retired"),
    ),
    responses((status = 200, description = "A page", body = ApprovalProcessVersionPage)))]
#[get("/v1/approval-processes/{id}/versions")]
async fn list_approval_process_versions(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    records::list(&VERSION, request, db, shared, ctx).await
}

/// Begins a new draft of an approval process
///
/// A copy of the published version, under the next number. A process has one draft at a time.
#[utoipa::path(tag = "approvals", operation_id = "create_approval_process_version", security(("bearer" = ["process.write"])),
    responses((status = 201, description = "The draft", body = ApprovalProcessVersion)))]
#[post("/v1/approval-processes/{id}/versions")]
async fn create_approval_process_version(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
    db.write(&ctx, async |tx| {
        let row = processes::new_draft(tx, &ctx, id.0).await?;
        Ok(shown(201, &row)?.with_location(path_of(&row)))
    })
    .await
}

/// Reads a version of an approval process
///
/// With its document.
#[utoipa::path(tag = "approvals", operation_id = "get_approval_process_version", security(("bearer" = ["process.read"])),
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The version", body = ApprovalProcessVersion)))]
#[get("/v1/approval-processes/{id}/versions/{number}")]
async fn get_approval_process_version(
    request: HttpRequest,
    db: web::Data<Db>,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    let number = path_number(&request, "number")?;
    let row = db
        .read(async |conn| processes::version(conn, ctx.tenant, id.0, number).await)
        .await?;
    shown(200, &row)
}

/// Changes a draft of an approval process
///
/// Replaces its document. A draft may be incomplete; publishing names what it lacks. Key and kind of subject stay.
#[utoipa::path(tag = "approvals", operation_id = "update_approval_process_version", security(("bearer" = ["process.write"])), request_body = UpdateApprovalProcessVersion,
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The version after it", body = ApprovalProcessVersion)))]
#[patch("/v1/approval-processes/{id}/versions/{number}")]
async fn update_approval_process_version(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    command: Command<UpdateApprovalProcessVersion>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let number = path_number(&request, "number")?;
    db.write(&ctx, async |tx| {
        shown(
            200,
            &processes::edit(tx, &ctx, id.0, number, &input.document).await?,
        )
    })
    .await
}

/// Publishes a draft of an approval process
///
/// New requests freeze it from now on; those that run keep the version they froze. Refused with every fault that keeps
/// it from being used: no approvers, unknown people, roles and teams, conditions that do not compile, and so on. `warnings`
/// names roles that nobody has, and conditions over members that `content` does not name.
#[utoipa::path(tag = "approvals", operation_id = "publish_approval_process_version", security(("bearer" = ["process.write"])),
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 200, description = "The version after it", body = ApprovalProcessVersion)))]
#[post("/v1/approval-processes/{id}/versions/{number}/publish")]
async fn publish_approval_process_version(
    request: HttpRequest,
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    ctx: Ctx,
    id: Id,
) -> AppResult<Reply> {
    let number = path_number(&request, "number")?;
    db.write(&ctx, async |tx| {
        let (row, warnings) = processes::publish(tx, &ctx, **subjects, id.0, number).await?;
        let mut view = ApprovalProcessVersion::of(&row)?;
        view.warn(&warnings, ctx.lang);
        Ok(Reply::ok(&view)?.with_version(row.version))
    })
    .await
}

/// Previews the chain that a request would take
///
/// Who would be asked in which step and why, who stands in for somebody absent, which steps do not take part, and
/// which find too few people. Nothing is stored.
#[utoipa::path(tag = "approvals", operation_id = "preview_approval_process", security(("bearer" = ["process.read"])), request_body = PreviewApproval,
    responses((status = 200, description = "The chain", body = ApprovalPreview)))]
#[post("/v1/approval-processes/{id}/preview")]
async fn preview_approval_process(
    db: web::Data<Db>,
    subjects: web::Data<Subjects>,
    id: Id,
    command: Command<PreviewApproval>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        Reply::ok(&chain(tx, &ctx, **subjects, id.0, &input).await?)
    })
    .await
}

/// What a record says beside its members: it may be given as it was read.
const BOOKKEEPING: [&str; 5] = ["id", "version", "created_at", "updated_at", "archived_at"];

async fn chain(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    process: Uuid,
    input: &PreviewApproval,
) -> AppResult<ApprovalPreview> {
    let version = previewed(tx, ctx, process, input.number).await?;
    let document = processes::read(&version)?;
    let staff = queries::people(&mut &**tx, ctx).await?;
    let parties = Parties {
        requester_id: input.requester_id.unwrap_or(ctx.user),
        owner_id: input.owner_id,
    };
    let strangers = [
        ("/requester_id", Some(parties.requester_id)),
        ("/owner_id", parties.owner_id),
    ];
    let strangers = strangers
        .iter()
        .filter(|(_, id)| id.is_some_and(|id| staff.get(id).is_none()))
        .map(|(pointer, _)| Fault::not_found(*pointer))
        .collect::<Vec<_>>();
    let subject = subjects.get(document.subject_kind)?;
    let vocabulary = subject.vocabulary(tx, ctx).await?;
    let members = subject.members(tx, ctx).await?;
    let is_known = |name: &str| {
        vocabulary.get(name).is_some() || members.contains_key(name) || BOOKKEEPING.contains(&name)
    };
    let unknown = input.facts.keys().filter(|name| !is_known(name));
    let unknown = unknown.map(|name| Fault::unknown_field(format!("/facts/{name}")));
    let given = Value::Object(input.facts.clone());
    let misfits = misfits(&vocabulary, &given).into_iter();
    let misfits = misfits.map(|(at, message)| Fault::new(format!("/facts{at}"), "wrong_type", message));
    let mut faults = strangers
        .into_iter()
        .chain(unknown)
        .chain(misfits)
        .collect::<Vec<_>>();
    faults.extend(amount_faults(input));
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    let amount = frozen(tx, ctx, input).await?;
    let company = &ctx.principal.company;
    let facts = facts(
        &given,
        amount.as_ref(),
        &company.currency,
        ctx.now,
        company.time_zone,
    );
    let conditions = Conditions {
        vocabulary: &vocabulary,
        facts: &facts,
    };
    let steps = preview::preview(&document, parties, conditions, &staff, ctx.now);
    let named = steps
        .iter()
        .flat_map(|step| &step.seats)
        .flat_map(|seat| [Some(seat.user_id), seat.for_user_id])
        .flatten()
        .collect::<BTreeSet<_>>();
    let names = queries::names(&mut &**tx, ctx.tenant, named.into_iter().collect()).await?;
    let converted = amount.and_then(|amount| amount.converted(&company.currency));
    Ok(ApprovalPreview {
        number: version.number,
        amount_in_company_currency: converted.map(|amount| money::to_text(amount, &company.currency)),
        steps,
        people: people(&names),
    })
}

/// The version that is previewed: the one named, else the published one.
async fn previewed(tx: &mut Tx, ctx: &Ctx, process: Uuid, number: Option<i32>) -> AppResult<VersionRow> {
    if let Some(number) = number {
        return processes::version(&mut &**tx, ctx.tenant, process, number).await;
    }
    if let Some(published) = processes::version_in(&mut &**tx, ctx.tenant, process, "published").await? {
        return Ok(published);
    }
    // Every process has version 1 from the start: without it there is no process.
    processes::version(&mut &**tx, ctx.tenant, process, 1).await?;
    let detail = say(
        "No version is published; name the number of a draft",
        "没有已发布的版本,请指定草稿编号",
    );
    Err(AppError::refuse(Code::Conflict, detail))
}

fn amount_faults(input: &PreviewApproval) -> impl Iterator<Item = Fault> {
    let amount = input
        .amount
        .as_deref()
        .filter(|text| money::parse(text).is_none());
    let amount = amount.map(|_| Fault::out_of_range("/amount", "has too many digits", "位数过多"));
    let currency = input.currency.as_deref().filter(|code| !money::is_currency(code));
    let currency = currency.map(|_| money::unknown_currency("/currency"));
    amount.into_iter().chain(currency)
}

/// The amount that was given, which is sound.
async fn frozen(tx: &mut Tx, ctx: &Ctx, input: &PreviewApproval) -> AppResult<Option<FrozenAmount>> {
    let Some(amount) = input.amount.as_deref().and_then(money::parse) else {
        return Ok(None);
    };
    let exchange_rate = service::frozen_rate(tx, ctx, input.currency.as_deref()).await?;
    Ok(Some(FrozenAmount {
        amount,
        exchange_rate,
    }))
}
