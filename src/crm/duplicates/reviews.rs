//! Pairs of records that may be one, waiting for somebody to say. What was said of a pair is remembered.

use super::keys::Named;
use super::lookup::Hit;
use crate::crm::merging::service::{self, MergeInput};
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::identity::resources::USER;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::merging::{Link, Links};
use crate::platform::records::store::{self, For};
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};
use crate::platform::reply::Reply;
use crate::time::timer::{self, Timer};
use actix_web::{post, web};
use chrono::NaiveDate;
use diesel::sql_query;
use diesel::sql_types::{Date, Jsonb, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value, json, to_value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// The kind of the timer that fires when a pair is no longer set aside.
pub const DUE: &str = "duplicate_review_due";

pub static DUPLICATE_REVIEW: Resource = Resource {
    singular: "duplicate_review",
    plural: "duplicate-reviews",
    table: "duplicate_reviews",
    tag: "duplicates",
    about: "A pair of records that may be one.",
    permission: "duplicate",
    access: Access::Shared,
    verbs: Verbs::READ,
    members: &[
        Member::choice(
            "record_kind",
            &["account", "contact", "lead"],
            "Kind of the one.",
            "\"account\"",
        )
        .required(),
        Member::id("record_id", "The one.").required(),
        Member::choice(
            "other_kind",
            &["account", "contact", "lead"],
            "Kind of the other.",
            "\"account\"",
        )
        .required(),
        Member::id("other_id", "The other.").required(),
        Member::decimal("score", 4, "How sure it is, 0–1.", "\"0.86\"")
            .required()
            .sort(),
        Member::json(
            "reasons",
            "[]",
            r##"{"type":"array","items":{"$ref":"#/components/schemas/Reason"}}"##,
            "Why, rule by rule; without a phone that is a person's own.",
            r#"[{"rule":"company_name","value":0.86}]"#,
        )
        .computed(OPEN_REASONS),
        Member::json(
            "reasons_in_full",
            "[]",
            r##"{"type":"array","items":{"$ref":"#/components/schemas/Reason"}}"##,
            "Why, rule by rule, with a phone that is a person's own.",
            r#"[{"rule":"phone","value":1}]"#,
        )
        .computed("t.reasons")
        .sensitive("contact.read_personal"),
        Member::choice(
            "status",
            &["open", "later", "merged", "distinct"],
            "`open`; `later`: set aside; `merged`; `distinct`: no duplicate, never asked again.",
            "\"open\"",
        )
        .or("\"open\"")
        .read_only(),
        Member::day(
            "later_until",
            "Until when it is set aside; when that day begins it is open again.",
        )
        .read_only(),
        Member::to("decided_by", &USER, "Who decided.").read_only(),
        Member::instant("decided_at", "When.").read_only(),
    ],
    default_sort: "-score",
    hooks: Hooks::NONE,
};

/// The reasons but for a phone that both have only as somebody's personal one: that they share it says what it is.
const OPEN_REASONS: &str = "\
SELECT coalesce(jsonb_agg(r.reason ORDER BY r.place), '[]') FROM jsonb_array_elements(t.reasons) WITH ORDINALITY r (reason, place) \
WHERE r.reason ->> 'rule' <> 'phone' OR 'contact' NOT IN (t.record_kind, t.other_kind) OR EXISTS ( \
    SELECT 1 FROM identity_keys k JOIN identity_keys m ON m.tenant_id = k.tenant_id AND m.key_kind = k.key_kind AND m.key = k.key \
        AND m.record_kind = t.other_kind AND m.record_id = t.other_id \
    LEFT JOIN contacts a ON k.record_kind = 'contact' AND a.tenant_id = k.tenant_id AND a.id = k.record_id \
    LEFT JOIN contacts b ON m.record_kind = 'contact' AND b.tenant_id = m.tenant_id AND b.id = m.record_id \
    WHERE k.tenant_id = t.tenant_id AND k.record_kind = t.record_kind AND k.record_id = t.record_id AND k.key_kind = 'phone' \
        AND (k.record_kind <> 'contact' OR a.phone_e164 = k.key) AND (m.record_kind <> 'contact' OR b.phone_e164 = m.key))";

/// Lets pairs wait for review: each once, whatever was decided of it before.
///
/// # Errors
/// Database errors.
pub async fn queue(tx: &mut Tx, ctx: &Ctx, record: Named, hits: &[Hit]) -> AppResult<()> {
    for hit in hits
        .iter()
        .filter(|hit| hit.score.is_exact() || hit.score.is_worth_a_look())
    {
        let mut pair = [(record.kind, record.id), (hit.kind, hit.id)];
        pair.sort();
        let [(kind, id), (other_kind, other_id)] = pair;
        let review = Uuid::now_v7();
        let reasons = to_value(&hit.score.reasons).map_err(AppError::internal)?;
        let score = Decimal::from_f64_retain(hit.score.value)
            .unwrap_or_default()
            .round_dp(4);
        let query = sql_query(
            "INSERT INTO duplicate_reviews (tenant_id, id, record_kind, record_id, other_kind, other_id, score, reasons, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (tenant_id, record_kind, record_id, other_kind, other_id) DO NOTHING",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(review)
        .bind::<Text, _>(kind)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(other_kind)
        .bind::<SqlUuid, _>(other_id)
        .bind::<Numeric, _>(score)
        .bind::<Jsonb, _>(reasons)
        .bind::<Timestamptz, _>(ctx.now);
        if Cached(query).execute(&mut **tx).await? == 1 {
            let data = json!({ "score": hit.score.value, "pair": [{ "kind": kind, "id": id }, { "kind": other_kind, "id": other_id }] });
            let event = Event::new("duplicate_review.created", "duplicate_review", review, data);
            tx.record(event.and_on(kind, Some(id)).and_on(other_kind, Some(other_id)));
        }
    }
    Ok(())
}

/// Decides a pair.
///
/// # Errors
/// Database errors.
pub(super) async fn settle(tx: &mut Tx, ctx: &Ctx, id: Uuid, status: &'static str) -> AppResult<()> {
    let by = (ctx.user != Uuid::nil()).then_some(ctx.user);
    let query = sql_query(
        "UPDATE duplicate_reviews SET status = $3, later_until = NULL, decided_by = $4, decided_at = $5, version = version + 1, updated_at = $5 \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(status)
    .bind::<Nullable<SqlUuid>, _>(by)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    tx.record(Event::new(
        format!("duplicate_review.{status}"),
        "duplicate_review",
        id,
        json!({ "status": status }),
    ));
    Ok(())
}

/// What somebody says of a pair.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideReview {
    /// `merge`: they are one; `distinct`: they are two, never ask again; `later`: set it aside.
    #[schema(example = "distinct")]
    pub decision: ReviewDecision,
    /// With `merge`: which of the two goes on.
    #[serde(default)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub survivor_id: Option<Uuid>,
    /// With `merge`: member to the id of the record whose value goes on.
    #[serde(default)]
    #[schema(example = json!({}))]
    pub choices: BTreeMap<String, Uuid>,
    /// With `later`: until when; the pair is open again when that day begins. Open ended when not given.
    #[serde(default)]
    #[schema(example = "2034-06-01")]
    pub until: Option<NaiveDate>,
}

/// What can be said of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewDecision {
    Merge,
    Distinct,
    Later,
}

pub fn routes(config: &mut ServiceConfig) {
    config.service(decide);
}

/// Decide about a pair
///
/// `merge` merges the two in the same transaction, which needs the permission to merge them, and both to be of one kind: a
/// lead becomes a contact or account by conversion. `distinct` is remembered, `later` sets the pair aside.
#[utoipa::path(tag = "duplicates", operation_id = "decide_duplicate_review", security(("bearer" = ["duplicate.decide"])), request_body = DecideReview,
    responses((status = 200, description = "The pair", body = ref("#/components/schemas/DuplicateReview"))))]
#[post("/v1/duplicate-reviews/{id}/decide")]
async fn decide(
    db: web::Data<Db>,
    links: web::Data<Links>,
    id: Id,
    command: Command<DecideReview>,
) -> AppResult<Reply> {
    let (Command { ctx, input }, id) = (command, id.0);
    db.write(&ctx, async |tx| {
        let locked = store::lock(tx, &ctx, &DUPLICATE_REVIEW, id, For::Action("duplicate.decide")).await?;
        let pair = locked.record()?;
        if pair["status"] == "merged" {
            return Err(AppError::refuse(
                Code::Conflict,
                say("The two are merged already", "两条记录已合并"),
            ));
        }
        match input.decision {
            ReviewDecision::Distinct => settle(tx, &ctx, id, "distinct").await?,
            ReviewDecision::Later => set_aside(tx, &ctx, id, input.until).await?,
            ReviewDecision::Merge => merge(tx, &ctx, &links.0, &pair, &input).await?,
        }
        let row = store::find(&mut &**tx, &ctx, &DUPLICATE_REVIEW, id, None).await?;
        Ok(Reply::raw(200, row.doc).with_version(row.version))
    })
    .await
}

async fn set_aside(tx: &mut Tx, ctx: &Ctx, id: Uuid, until: Option<NaiveDate>) -> AppResult<()> {
    settle(tx, ctx, id, "later").await?;
    let query = sql_query("UPDATE duplicate_reviews SET later_until = $3 WHERE tenant_id = $1 AND id = $2")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id)
        .bind::<Nullable<Date>, _>(until);
    Cached(query).execute(&mut **tx).await?;
    match until {
        Some(until) => wake_on(tx, ctx, id, until).await,
        None => timer::cancel(tx, ctx, DUE, (DUPLICATE_REVIEW.singular, id)).await,
    }
}

/// Lets a pair that is set aside come back when that day begins.
///
/// # Errors
/// Database errors.
pub(super) async fn wake_on(tx: &mut Tx, ctx: &Ctx, id: Uuid, until: NaiveDate) -> AppResult<()> {
    let due_at = timer::midnight(ctx, until);
    timer::set(tx, ctx, DUE, (DUPLICATE_REVIEW.singular, id), due_at, json!({})).await
}

/// A pair that was set aside until today is open again.
///
/// # Errors
/// Database errors.
pub async fn fire_due(tx: &mut Tx, ctx: &Ctx, timer: &Timer) -> AppResult<()> {
    let query = sql_query(
        "UPDATE duplicate_reviews SET status = 'open', later_until = NULL, decided_by = NULL, decided_at = NULL, \
         version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2 AND status = 'later' AND later_until <= $4",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(timer.subject_id)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Date, _>(ctx.today());
    if Cached(query).execute(&mut **tx).await? == 1 {
        tx.record(Event::new(
            "duplicate_review.reopened",
            DUPLICATE_REVIEW.singular,
            timer.subject_id,
            json!({ "status": "open" }),
        ));
    }
    Ok(())
}

/// Merges the pair; the merge decides the review.
async fn merge(
    tx: &mut Tx,
    ctx: &Ctx,
    links: &[&'static Link],
    pair: &Map<String, Value>,
    input: &DecideReview,
) -> AppResult<()> {
    let resource = [&ACCOUNT, &CONTACT, &LEAD]
        .into_iter()
        .find(|kind| pair["record_kind"] == kind.singular);
    let (Some(resource), true) = (resource, pair["record_kind"] == pair["other_kind"]) else {
        return Err(AppError::refuse(
            Code::Conflict,
            say(
                "They are of two kinds: convert the lead instead",
                "两条记录类型不同:请转化线索",
            ),
        ));
    };
    ctx.require(&service::permission(resource))?;
    let id_of = |member: &str| {
        pair[member]
            .as_str()
            .and_then(|id| Uuid::parse_str(id).ok())
            .unwrap_or_default()
    };
    let both = [id_of("record_id"), id_of("other_id")];
    let Some(survivor) = input.survivor_id.filter(|id| both.contains(id)) else {
        return Err(AppError::invalid(vec![Fault::invalid(
            "/survivor_id",
            "must be one of the two",
            "必须是两条记录之一",
        )]));
    };
    let loser_ids = both.into_iter().filter(|id| *id != survivor).collect();
    let terms = Ctx {
        if_match: None,
        ..ctx.clone()
    };
    let merge = MergeInput {
        loser_ids,
        choices: input.choices.clone(),
    };
    service::merge(tx, &terms, links, resource, survivor, &merge).await?;
    Ok(())
}
