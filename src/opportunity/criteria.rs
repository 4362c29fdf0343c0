//! Ticks and answers, bound to the present stay.

use super::advance::rules::{Refusal, Status};
use super::resources::OPPORTUNITY;
use super::standing::{Head, Present, lock_head};
use super::{SUBJECTS, standing};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::pipeline::answer::check_answer;
use crate::pipeline::gate::GateView;
use crate::pipeline::service::{Definition, definition};
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::sql::{Bind, Sql};
use crate::platform::records::store::For;
use crate::platform::reply::Reply;
use actix_web::{delete, get, put, web};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Jsonb, Nullable, Text};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// A tick or an answer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveAnswer {
    /// `true` ticks a check; a question takes what it declares: a text, a decimal text or whole number, `true` or `false`,
    /// one of its choices, or a day.
    #[schema(value_type = AnswerValue)]
    pub answer: Value,
    /// Why, or what it rests on; some checks need one.
    #[serde(default)]
    #[schema(max_length = 2000, examples("电话确认"))]
    pub note: Option<String>,
}

/// An answer in JSON.
#[derive(ToSchema)]
#[schema(examples(true))]
#[serde(untagged)]
pub enum AnswerValue {
    /// A tick, or yes or no.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text, a decimal, a choice or a day.
    Text(String),
}

/// What was ticked or answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnswerView {
    /// Key of the criterion.
    #[schema(examples("intent_confirmed"))]
    pub criterion: String,
    /// As it is kept: numbers as decimal text.
    #[schema(value_type = AnswerValue)]
    pub answer: Value,
    #[schema(examples("电话确认"))]
    pub note: Option<String>,
    pub answered_by: Option<Uuid>,
    pub answered_at: DateTime<Utc>,
    /// The stay to which it is bound.
    pub visit_id: Uuid,
}

/// The criterion of a path, as the present stage of a locked, open deal has it.
struct Asked {
    head: Head,
    definition: Arc<Definition>,
    criterion_id: Uuid,
}

async fn lock_asked(tx: &mut Tx, ctx: &Ctx, id: Uuid, key: &str) -> AppResult<Asked> {
    let (head, _) = lock_head(tx, ctx, id, For::Write).await?;
    let status = head.status()?;
    if status != Status::Open {
        return Err(Refusal::AlreadyClosed(status).into_error(ctx.lang));
    }
    let definition = definition(&mut &**tx, &SUBJECTS, ctx.tenant, head.pipeline_version_id).await?;
    let stage = definition.stage(head.stage_id);
    let criterion_id = stage.and_then(|stage| stage.criteria.get(key)).copied();
    Ok(Asked {
        head,
        criterion_id: criterion_id.or_not_found()?,
        definition,
    })
}

/// Tick or answer a criterion
///
/// Of the present stage, for the present stay. What is computed or approved cannot be ticked.
#[utoipa::path(tag = "opportunities", operation_id = "answer_criterion", security(("bearer" = ["opportunity.write"])), request_body = GiveAnswer,
    params(("key" = String, Path, description = "Key of a criterion of the present stage", example = "intent_confirmed")),
    responses((status = 200, description = "The tick or answer as it is kept", body = AnswerView)))]
#[put("/v1/opportunities/{id}/criteria/{key}")]
pub async fn answer_criterion(
    db: web::Data<Db>,
    path: web::Path<(String, String)>,
    id: Id,
    command: Command<GiveAnswer>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let key = &path.1;
    db.write(&ctx, async |tx| {
        let asked = lock_asked(tx, &ctx, id.0, key).await?;
        let document = asked.definition.stage_document(asked.head.stage_id);
        let criterion = document.and_then(|stage| stage.criterion(key)).or_not_found()?;
        let note = input
            .note
            .as_deref()
            .map(str::trim)
            .filter(|note| !note.is_empty());
        let answer = check_answer(criterion.node, &input.answer, note).map_err(AppError::invalid)?;
        let old = keep(tx, &ctx, &asked, &answer, note).await?;
        record(tx, &asked, key, old, json!({ "answer": answer, "note": note }));
        Reply::ok(&AnswerView {
            criterion: key.clone(),
            answer,
            note: note.map(str::to_owned),
            answered_by: (!ctx.user.is_nil()).then_some(ctx.user),
            answered_at: ctx.now,
            visit_id: asked.head.visit_id,
        })
    })
    .await
}

/// Take a tick or an answer back
///
/// Of the present stage and stay.
#[utoipa::path(tag = "opportunities", operation_id = "withdraw_answer", security(("bearer" = ["opportunity.write"])),
    params(("key" = String, Path, description = "Key of a criterion of the present stage", example = "intent_confirmed")),
    responses((status = 204, description = "Taken back")))]
#[delete("/v1/opportunities/{id}/criteria/{key}")]
pub async fn withdraw_answer(
    db: web::Data<Db>,
    path: web::Path<(String, String)>,
    id: Id,
    ctx: Ctx,
) -> AppResult<Reply> {
    let key = &path.1;
    db.write(&ctx, async |tx| {
        let asked = lock_asked(tx, &ctx, id.0, key).await?;
        let old = forget(tx, &ctx, &asked).await?.or_not_found()?;
        record(tx, &asked, key, Some(old), Value::Null);
        Ok(Reply::no_content())
    })
    .await
}

#[derive(QueryableByName)]
struct OldRow {
    #[diesel(sql_type = Nullable<Jsonb>)]
    answer: Option<Value>,
    #[diesel(sql_type = Nullable<Text>)]
    note: Option<String>,
}

impl OldRow {
    fn into_json(self) -> Option<Value> {
        let answer = self.answer?;
        Some(json!({ "answer": answer, "note": self.note }))
    }
}

/// Keeps an answer; gives the one it replaces.
async fn keep(
    tx: &mut Tx,
    ctx: &Ctx,
    asked: &Asked,
    answer: &Value,
    note: Option<&str>,
) -> AppResult<Option<Value>> {
    let mut sql = Sql::of(ctx.tenant);
    let visit = sql.place(Bind::Id(asked.head.visit_id));
    let criterion = sql.place(Bind::Id(asked.criterion_id));
    let deal = sql.place(Bind::Id(asked.head.id));
    let now = sql.place(Bind::Instant(ctx.now));
    let by = (!ctx.user.is_nil()).then_some(ctx.user);
    let given = sql.place(Bind::Json(json!({ "answer": answer, "note": note, "by": by })));
    sql.push(&format!(
        "WITH old AS (SELECT a.answer, a.note FROM criterion_answers a WHERE a.tenant_id = $1 AND a.visit_id = {visit} AND a.criterion_id = {criterion}), \
         kept AS (INSERT INTO criterion_answers (tenant_id, visit_id, criterion_id, opportunity_id, answer, note, answered_by, answered_at) \
             SELECT $1, {visit}, {criterion}, {deal}, g.given->'answer', g.given->>'note', (g.given->>'by')::uuid, {now} FROM (SELECT {given}::jsonb AS given) g \
             ON CONFLICT (tenant_id, visit_id, criterion_id) DO UPDATE SET answer = EXCLUDED.answer, note = EXCLUDED.note, \
             answered_by = EXCLUDED.answered_by, answered_at = EXCLUDED.answered_at RETURNING 1) \
         SELECT old.answer, old.note FROM kept LEFT JOIN old ON TRUE"
    ));
    let old: OldRow = sql.query().get_result(&mut **tx).await?;
    Ok(old.into_json())
}

async fn forget(tx: &mut Tx, ctx: &Ctx, asked: &Asked) -> AppResult<Option<Value>> {
    let mut sql = Sql::of(ctx.tenant);
    let visit = sql.place(Bind::Id(asked.head.visit_id));
    let criterion = sql.place(Bind::Id(asked.criterion_id));
    sql.push(&format!(
        "DELETE FROM criterion_answers WHERE tenant_id = $1 AND visit_id = {visit} AND criterion_id = {criterion} RETURNING answer, note"
    ));
    let old: Option<OldRow> = sql.query().get_result(&mut **tx).await.optional()?;
    Ok(old.and_then(OldRow::into_json))
}

fn record(tx: &mut Tx, asked: &Asked, key: &str, before: Option<Value>, after: Value) {
    let verb = if after.is_null() { "unanswered" } else { "answered" };
    let event = Event::new(
        format!("criterion.{verb}"),
        OPPORTUNITY.singular,
        asked.head.id,
        json!({
            "criterion": key, "criterion_id": asked.criterion_id, "visit_id": asked.head.visit_id,
            "before": before, "after": after,
        }),
    );
    tx.record(event);
}

/// A stage to which an advance may lead.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TargetView {
    pub stage_id: Uuid,
    #[schema(examples("propose"))]
    pub key: String,
    #[schema(examples("提出方案"))]
    pub name: String,
}

/// What the present stage demands before it is left.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OpportunityGateView {
    pub opportunity_id: Uuid,
    /// `open`, `won` or `lost`; a closed one does not move, whatever its gate says.
    #[schema(examples("open"))]
    pub status: String,
    /// The present stage: `from_stage_id` of an advance.
    pub stage_id: Uuid,
    #[schema(examples("qualify"))]
    pub stage_key: String,
    #[schema(examples("资格审查"))]
    pub stage_name: String,
    /// The stay to which ticks, answers and approvals are bound.
    pub visit_id: Uuid,
    /// Until when the opportunity is expected to stay: overdue afterwards. Null when it is closed or the stage expects nothing.
    pub stage_due_at: Option<DateTime<Utc>>,
    /// Where an advance may lead; the gate is the same for each. Empty where it wins.
    pub targets: Vec<TargetView>,
    /// Whether an advance out of this stage wins the opportunity.
    #[schema(examples(false))]
    pub is_final: bool,
    pub gate: GateView,
}

/// Explain the gate of an opportunity
///
/// The whole and/or tree of the present stage: each criterion with its state, its evidence, who may act, and the call that
/// helps. `advance` asks the same function.
#[utoipa::path(tag = "opportunities", operation_id = "get_opportunity_gate", security(("bearer" = ["opportunity.read"])),
    responses((status = 200, description = "The gate as it stands", body = OpportunityGateView)))]
#[get("/v1/opportunities/{id}/gate")]
pub async fn get_opportunity_gate(db: web::Data<Db>, id: Id, ctx: Ctx) -> AppResult<Reply> {
    let present = standing::read(&db, &ctx, id.0).await?;
    Ok(Reply::ok(&gate_view(&ctx, &present)?)?.with_weak_tag())
}

/// The gate of a deal, for its reader to have with it.
pub fn embed_gate<'a>(
    conn: &'a mut &AsyncPgConnection,
    ctx: &'a Ctx,
    id: Uuid,
) -> LocalBoxFuture<'a, AppResult<Value>> {
    Box::pin(async move {
        let present = standing::read_on(conn, ctx, id).await?;
        serde_json::to_value(gate_view(ctx, &present)?).map_err(AppError::internal)
    })
}

fn gate_view(ctx: &Ctx, present: &Present) -> AppResult<OpportunityGateView> {
    let course = &present.definition.course;
    let step = course
        .step(present.head.stage_id)
        .ok_or_else(|| AppError::internal("a stage that is not in its version"))?;
    let targets = course.onward(step).into_iter().map(|to| TargetView {
        stage_id: to.id,
        key: to.key.clone(),
        name: to.name.clone(),
    });
    Ok(OpportunityGateView {
        opportunity_id: present.head.id,
        status: present.head.status.clone(),
        stage_id: step.id,
        stage_key: step.key.clone(),
        stage_name: step.name.clone(),
        visit_id: present.head.visit_id,
        stage_due_at: present.head.stage_due_at,
        targets: targets.collect(),
        is_final: step.is_final(),
        gate: present.gate.evaluate(&present.standing).view(ctx.lang),
    })
}
