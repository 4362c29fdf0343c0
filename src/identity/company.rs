//! The company's settings.

use super::rows::JsonRow;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Shared};
use crate::platform::reply::Reply;
use actix_web::{get, patch, web};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Jsonb, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// The company and how it works.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CompanyView {
    /// Id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Name.
    #[schema(example = "示例科技有限公司")]
    name: String,
    /// Short name for sign-in.
    #[schema(example = "acme")]
    slug: String,
    /// IANA time zone, in which days begin and end.
    #[schema(example = "Asia/Shanghai")]
    time_zone: String,
    /// ISO 4217 code of amounts that name none; fixed when the company is made.
    #[schema(example = "CNY")]
    currency: String,
    /// Language of what is sent out: `en`, `zh-CN` or `ru`.
    #[schema(example = "zh-CN")]
    locale: String,
    /// First day of the week, 1 = Monday.
    #[schema(example = 1)]
    week_start: i16,
    /// First month of the fiscal year.
    #[schema(example = 1)]
    fiscal_year_start_month: i16,
    /// Working days of the week, 1 = Monday; their hours stand in the working week.
    #[schema(example = json!([1, 2, 3, 4, 5]))]
    working_days: Vec<i16>,
    /// An account whose need lies at most so many days ahead has grade A.
    #[schema(example = 30)]
    grade_a_days: i32,
    /// One whose need lies at most so many calendar months ahead has grade B, later ones C.
    #[schema(example = 6)]
    grade_b_months: i32,
    /// Whether phones that cannot be read are refused instead of kept with a warning.
    #[schema(example = false)]
    is_phone_strict: bool,
    /// What happens when an account is entered that seems to be there: `block`, `warn`, `queue` or `allow`.
    #[schema(example = "warn")]
    account_duplicates: String,
    /// The same for contacts.
    #[schema(example = "warn")]
    contact_duplicates: String,
    /// The same for leads that people enter.
    #[schema(example = "warn")]
    lead_duplicates: String,
    /// What happens when a delivery is about a lead that is there: `attach` or `queue`.
    #[schema(example = "attach")]
    intake_duplicates: String,
    /// For how many days what a source delivered is kept raw once it is accepted.
    #[schema(example = 90)]
    raw_intake_days: i32,
    /// Where a sandbox company's clock stands; null for a company that lives by real time.
    #[schema(example = "2024-03-05T08:30:00Z")]
    sandbox_now: Option<DateTime<Utc>>,
    /// Counts the changes; the ETag.
    #[schema(example = 1)]
    version: i32,
    /// When it was made.
    #[schema(example = "2024-03-05T08:30:00Z")]
    created_at: DateTime<Utc>,
    /// When its settings last changed.
    #[schema(example = "2024-03-05T08:30:00Z")]
    updated_at: DateTime<Utc>,
}

/// Changes to the company's settings: a missing member is left alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema alone is used: a merge patch stays a map")]
pub struct CompanyPatch {
    /// Name.
    #[schema(
        max_length = 200,
        min_length = 1,
        nullable = false,
        example = "示例科技有限公司"
    )]
    name: Option<String>,
    /// IANA time zone.
    #[schema(max_length = 60, min_length = 1, nullable = false, example = "Asia/Shanghai")]
    time_zone: Option<String>,
    /// Language of what is sent out.
    #[schema(pattern = "^(en|zh-CN|ru)$", nullable = false, example = "zh-CN")]
    locale: Option<String>,
    /// First day of the week, 1 = Monday.
    #[schema(minimum = 1, maximum = 7, nullable = false, example = 1)]
    week_start: Option<i16>,
    /// First month of the fiscal year.
    #[schema(minimum = 1, maximum = 12, nullable = false, example = 1)]
    fiscal_year_start_month: Option<i16>,
    /// Working days, 1 = Monday, each once.
    #[schema(value_type = Option<Vec<WorkingDay>>, min_items = 1, max_items = 7, nullable = false, example = json!([1, 2, 3, 4, 5]))]
    working_days: Option<Vec<i16>>,
    /// Days of grade A.
    #[schema(minimum = 0, maximum = 3650, nullable = false, example = 30)]
    grade_a_days: Option<i32>,
    /// Calendar months of grade B.
    #[schema(minimum = 0, maximum = 120, nullable = false, example = 6)]
    grade_b_months: Option<i32>,
    /// Whether phones that cannot be read are refused.
    #[schema(nullable = false, example = false)]
    is_phone_strict: Option<bool>,
    /// What happens when an account is entered that seems to be there. `block` refuses one with the same tax number and
    /// warns of near ones, `warn` warns, `queue` lets the pair wait for review, `allow` does nothing.
    #[schema(pattern = "^(block|warn|queue|allow)$", nullable = false, example = "warn")]
    account_duplicates: Option<String>,
    /// The same for contacts, by phone and e-mail.
    #[schema(pattern = "^(block|warn|queue|allow)$", nullable = false, example = "warn")]
    contact_duplicates: Option<String>,
    /// The same for leads that people enter, by phone and e-mail, compared with contacts too.
    #[schema(pattern = "^(block|warn|queue|allow)$", nullable = false, example = "warn")]
    lead_duplicates: Option<String>,
    /// What happens when a delivery is about an open lead: `attach` notes it there, `queue` makes another lead that waits
    /// for review.
    #[schema(pattern = "^(attach|queue)$", nullable = false, example = "attach")]
    intake_duplicates: Option<String>,
    /// For how many days what a source delivered is kept raw once it is accepted; what waits to be corrected is kept.
    #[schema(minimum = 7, maximum = 3650, nullable = false, example = 90)]
    raw_intake_days: Option<i32>,
}

/// A day of the week, 1 = Monday.
#[derive(ToSchema)]
#[schema(minimum = 1, maximum = 7, example = 1)]
#[expect(dead_code, reason = "the schema alone is used")]
pub struct WorkingDay(i16);

const SELECT: &str = "SELECT json_build_object('id', tenant_id, 'name', name, 'slug', slug, 'time_zone', time_zone, \
     'currency', currency, 'locale', locale, 'week_start', week_start, 'fiscal_year_start_month', fiscal_year_start_month, \
     'working_days', working_days, 'grade_a_days', grade_a_days, 'grade_b_months', grade_b_months, \
     'is_phone_strict', is_phone_strict, 'account_duplicates', account_duplicates, 'contact_duplicates', contact_duplicates, \
     'lead_duplicates', lead_duplicates, 'intake_duplicates', intake_duplicates, 'raw_intake_days', raw_intake_days, 'sandbox_now', instant_text(sandbox_now), 'version', version, \
     'created_at', instant_text(created_at), 'updated_at', instant_text(updated_at)) AS value \
     FROM tenants WHERE tenant_id = $1";

fn view(row: JsonRow) -> AppResult<CompanyView> {
    serde_json::from_value(row.value).map_err(AppError::internal)
}

/// Read the company's settings
///
/// Time zone, currency, working days, grades and the like.
#[utoipa::path(tag = "identity", operation_id = "get_company", security(("bearer" = ["company.read"])), responses((status = 200, body = CompanyView)))]
#[get("/v1/company")]
pub async fn get_company(db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    let row = db
        .read(async |conn| {
            let query = sql_query(SELECT).bind::<SqlUuid, _>(ctx.tenant);
            Cached(query)
                .get_result::<JsonRow>(conn)
                .await
                .optional()?
                .or_not_found()
        })
        .await?;
    let company = view(row)?;
    Ok(Reply::ok(&company)?.with_version(company.version))
}

/// Change the company's settings
///
/// Applies a JSON Merge Patch (RFC 7396); felt on the next request.
#[utoipa::path(tag = "identity", operation_id = "update_company", security(("bearer" = ["company.write"])), request_body = CompanyPatch, responses((status = 200, body = CompanyView)))]
#[patch("/v1/company")]
pub async fn update_company(
    db: web::Data<Db>,
    shared: Shared,
    command: Command<Map<String, Value>>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    check(&input)?;
    let reply = db
        .write(&ctx, async |tx| {
            let before = lock(tx, &ctx).await?;
            let version = before["version"]
                .as_i64()
                .and_then(|version| i32::try_from(version).ok());
            ctx.if_match(version.unwrap_or_default())?;
            let after = changed(&before, &input);
            store(tx, &ctx, &before, &after).await?;
            let mut conn: &AsyncPgConnection = tx;
            let query = sql_query(SELECT).bind::<SqlUuid, _>(ctx.tenant);
            let company = view(Cached(query).get_result(&mut conn).await?)?;
            Ok(Reply::ok(&company)?.with_version(company.version))
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

/// What the schema cannot say.
fn check(input: &Map<String, Value>) -> AppResult<()> {
    let mut faults = Vec::new();
    let zone = input.get("time_zone").and_then(Value::as_str);
    if zone.is_some_and(|zone| zone.parse::<chrono_tz::Tz>().is_err()) {
        faults.push(Fault::invalid(
            "/time_zone",
            "is not an IANA time zone",
            "不是有效的 IANA 时区",
        ));
    }
    let currency = input.get("currency").and_then(Value::as_str);
    if currency.is_some_and(|code| !crate::kernel::money::is_currency(code)) {
        faults.push(crate::kernel::money::unknown_currency("/currency"));
    }
    let days = input.get("working_days").and_then(Value::as_array);
    let has_repetition = |days: &Vec<Value>| {
        let mut seen = std::collections::HashSet::new();
        !days.iter().all(|day| seen.insert(day.as_i64()))
    };
    if days.is_some_and(has_repetition) {
        faults.push(Fault::new(
            "/working_days",
            "repeated",
            crate::kernel::text::say("contains an item twice", "包含重复项"),
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

fn changed(before: &Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    let mut after = before.clone();
    after.extend(patch.clone());
    if let Some(days) = after.get_mut("working_days").and_then(Value::as_array_mut) {
        days.sort_by_key(Value::as_i64);
    }
    after
}

async fn lock(tx: &mut Tx, ctx: &Ctx) -> AppResult<Map<String, Value>> {
    let query = sql_query(format!("{SELECT} FOR UPDATE")).bind::<SqlUuid, _>(ctx.tenant);
    let row: JsonRow = Cached(query).get_result(&mut **tx).await?;
    match row.value {
        Value::Object(members) => Ok(members),
        _ => Err(AppError::internal("a company is no object")),
    }
}

async fn store(
    tx: &mut Tx,
    ctx: &Ctx,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> AppResult<()> {
    let changes = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| {
            (
                name.clone(),
                json!({ "before": before.get(name), "after": value }),
            )
        })
        .collect::<Map<_, _>>();
    let query = sql_query(
        "UPDATE tenants SET (name, time_zone, locale, week_start, fiscal_year_start_month, working_days, grade_a_days, grade_b_months, is_phone_strict, account_duplicates, contact_duplicates, lead_duplicates, intake_duplicates, raw_intake_days) \
         = (SELECT r.name, r.time_zone, r.locale, r.week_start, r.fiscal_year_start_month, r.working_days, r.grade_a_days, r.grade_b_months, r.is_phone_strict, r.account_duplicates, r.contact_duplicates, r.lead_duplicates, r.intake_duplicates, r.raw_intake_days \
            FROM jsonb_populate_record(NULL::tenants, $2) r), version = version + 1, updated_at = $3 WHERE tenant_id = $1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Jsonb, _>(Value::Object(after.clone()))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let data = json!({ "changes": changes });
    tx.record(Event::new("company.updated", "company", ctx.tenant, data));
    Ok(())
}
