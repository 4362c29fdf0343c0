//! How a company gives leads to people: one row, which is also the lock under which loads are counted and turns taken.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::Sent;
use crate::platform::records::store::joined;
use crate::platform::reply::Reply;
use actix_web::{get, patch, web};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// How a company gives leads to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, QueryableByName)]
pub struct AssignmentSettings {
    /// Most open leads that one person holds who has no `lead_capacity` of their own; null: any number. Nurtured,
    /// disqualified and converted leads do not count.
    #[diesel(sql_type = Nullable<Integer>)]
    #[schema(minimum = 0, maximum = 100_000, example = 50)]
    pub lead_capacity: Option<i32>,
    /// Whether a lead that a person or a key enters without an owner goes by the rules; else it stays with its maker.
    #[diesel(sql_type = Bool)]
    #[schema(example = true)]
    pub assigns_entered_leads: bool,
    /// The same for leads that an import brings without an owner.
    #[diesel(sql_type = Bool)]
    #[schema(example = true)]
    pub assigns_imported_leads: bool,
    /// Working minutes within which a sales-qualified lead gets its first response; null: no deadline.
    #[diesel(sql_type = Nullable<Integer>)]
    #[schema(minimum = 1, maximum = 1_000_000, example = 480)]
    pub response_minutes: Option<i32>,
    /// Working minutes before the deadline at which the owner and their team's leader are warned; null: no warning.
    #[diesel(sql_type = Nullable<Integer>)]
    #[schema(minimum = 1, maximum = 1_000_000, example = 60)]
    pub warning_minutes: Option<i32>,
    /// What happens at a missed deadline: `reassign` by the rules, never to somebody who had the lead in this hand-over;
    /// to the `pool`; or `keep`: marked overdue, it stays.
    #[diesel(sql_type = Text)]
    #[schema(pattern = "^(reassign|pool|keep)$", example = "reassign")]
    pub when_missed: String,
    /// Who gets a lead that no rule has anybody left for: the `pool`, the `leader` of its owner's team, or `keep`.
    #[diesel(sql_type = Text)]
    #[schema(pattern = "^(pool|leader|keep)$", example = "leader")]
    pub when_nobody_left: String,
    /// Counts the changes; the ETag. 0 while they are the defaults.
    #[diesel(sql_type = Integer)]
    #[schema(minimum = 0, example = 1)]
    pub version: i32,
    /// When they last changed; null while they are the defaults.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    #[schema(example = "2024-03-05T08:30:00Z")]
    pub updated_at: Option<DateTime<Utc>>,
}

impl Default for AssignmentSettings {
    fn default() -> AssignmentSettings {
        AssignmentSettings {
            lead_capacity: None,
            assigns_entered_leads: true,
            assigns_imported_leads: true,
            response_minutes: Some(480),
            warning_minutes: Some(60),
            when_missed: "reassign".to_owned(),
            when_nobody_left: "keep".to_owned(),
            version: 0,
            updated_at: None,
        }
    }
}

/// Changes to how leads are given to people: a missing member is left alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema alone is used: a merge patch stays a map")]
pub struct AssignmentSettingsPatch {
    /// Most open leads of one person; `null`: any number.
    #[schema(minimum = 0, maximum = 100_000, example = 50)]
    lead_capacity: Option<i32>,
    /// Whether the rules give away leads that people enter without an owner.
    #[schema(nullable = false, example = true)]
    assigns_entered_leads: Option<bool>,
    /// Whether the rules give away leads that imports bring without an owner.
    #[schema(nullable = false, example = true)]
    assigns_imported_leads: Option<bool>,
    /// Working minutes until the first response; `null`: no deadline.
    #[schema(minimum = 1, maximum = 1_000_000, example = 480)]
    response_minutes: Option<i32>,
    /// Working minutes of warning; `null`: none.
    #[schema(minimum = 1, maximum = 1_000_000, example = 60)]
    warning_minutes: Option<i32>,
    /// What happens at a missed deadline.
    #[schema(pattern = "^(reassign|pool|keep)$", nullable = false, example = "reassign")]
    when_missed: Option<String>,
    /// Who gets a lead that no rule has anybody left for.
    #[schema(pattern = "^(pool|leader|keep)$", nullable = false, example = "leader")]
    when_nobody_left: Option<String>,
}

const SELECT: &str = "SELECT lead_capacity, assigns_entered_leads, assigns_imported_leads, response_minutes, \
     warning_minutes, when_missed, when_nobody_left, version, updated_at FROM assignment_settings WHERE tenant_id = $1";

/// The company's settings; the defaults where it has set none.
///
/// # Errors
/// Database errors.
pub async fn read(conn: &mut &AsyncPgConnection, tenant: Uuid) -> AppResult<AssignmentSettings> {
    let query = sql_query(SELECT).bind::<SqlUuid, _>(tenant);
    let found: Option<AssignmentSettings> = Cached(query).get_result(conn).await.optional()?;
    Ok(found.unwrap_or_default())
}

/// The settings, locked: until this transaction ends nobody else counts loads or takes turns. Leads are locked before.
///
/// # Errors
/// Database errors.
pub async fn lock(tx: &mut Tx, ctx: &Ctx) -> AppResult<AssignmentSettings> {
    for _ in 0..2 {
        let query = sql_query(format!("{SELECT} FOR UPDATE")).bind::<SqlUuid, _>(ctx.tenant);
        let found: Option<AssignmentSettings> = Cached(query).get_result(&mut **tx).await.optional()?;
        if let Some(found) = found {
            return Ok(found);
        }
        let query = sql_query(
            "INSERT INTO assignment_settings (tenant_id, version, created_at, updated_at) VALUES ($1, 0, $2, $2) \
             ON CONFLICT (tenant_id) DO NOTHING",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Timestamptz, _>(ctx.now);
        Cached(query).execute(&mut **tx).await?;
    }
    Err(AppError::internal("the assignment settings cannot be locked"))
}

fn reply(settings: &AssignmentSettings) -> AppResult<Reply> {
    Ok(Reply::ok(settings)?.with_version(settings.version))
}

/// Read the assignment settings
///
/// Capacity, what the rules take up, and the deadline of the first response.
#[utoipa::path(tag = "assignment", operation_id = "get_assignment_settings", security(("bearer" = ["assignment.read"])),
    responses((status = 200, description = "The settings", body = AssignmentSettings)))]
#[get("/v1/assignment-settings")]
pub async fn get_assignment_settings(db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    reply(&db.read(async |conn| read(conn, ctx.tenant).await).await?)
}

/// Change the assignment settings
///
/// Applies a JSON Merge Patch (RFC 7396). Deadlines that run already stay as they are.
#[utoipa::path(tag = "assignment", operation_id = "update_assignment_settings", security(("bearer" = ["assignment.write"])), request_body = AssignmentSettingsPatch,
    responses((status = 200, description = "The settings", body = AssignmentSettings)))]
#[patch("/v1/assignment-settings")]
pub async fn update_assignment_settings(db: web::Data<Db>, sent: Sent) -> AppResult<Reply> {
    let Sent { ctx, input, faults } = sent;
    db.write(&ctx, async |tx| {
        let before = lock(tx, &ctx).await?;
        ctx.if_match(before.version)?;
        reply(&store(tx, &ctx, &before, &input, &faults).await?)
    })
    .await
}

async fn store(
    tx: &mut Tx,
    ctx: &Ctx,
    before: &AssignmentSettings,
    patch: &Map<String, Value>,
    faults: &[Fault],
) -> AppResult<AssignmentSettings> {
    let before = serde_json::to_value(before).map_err(AppError::internal)?;
    let mut after = before.as_object().cloned().unwrap_or_default();
    after.extend(patch.clone());
    // Without a deadline there is nothing to warn of.
    if after.get("response_minutes").is_some_and(Value::is_null) {
        after.insert("warning_minutes".to_owned(), Value::Null);
    }
    let number = |member: &str| after.get(member).and_then(Value::as_i64);
    let own = warning_fault(number("response_minutes"), number("warning_minutes"));
    let faults = joined(faults, own.into_iter().collect());
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    let changes = patch
        .iter()
        .filter(|(name, value)| before.get(name.as_str()) != Some(*value))
        .map(|(name, value)| {
            let change = json!({ "before": before.get(name.as_str()), "after": value });
            (name.clone(), change)
        })
        .collect::<Map<_, _>>();
    let query = sql_query(
        "UPDATE assignment_settings t SET (lead_capacity, assigns_entered_leads, assigns_imported_leads, response_minutes, \
            warning_minutes, when_missed, when_nobody_left) = (SELECT r.lead_capacity, r.assigns_entered_leads, \
            r.assigns_imported_leads, r.response_minutes, r.warning_minutes, r.when_missed, r.when_nobody_left \
            FROM jsonb_populate_record(NULL::assignment_settings, $2) r), version = t.version + 1, updated_at = $3 \
         WHERE t.tenant_id = $1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Jsonb, _>(Value::Object(after))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let data = json!({ "changes": changes });
    tx.record(Event::new(
        "company.assignment_updated",
        "company",
        ctx.tenant,
        data,
    ));
    read(&mut &**tx, ctx.tenant).await
}

/// A warning comes before the deadline that it warns of.
///
/// # Errors
/// `invalid`.
pub fn check(response: Option<i64>, warning: Option<i64>) -> AppResult<()> {
    let faults = warning_fault(response, warning).into_iter().collect::<Vec<_>>();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// What is wrong with a warning, if anything.
pub fn warning_fault(response: Option<i64>, warning: Option<i64>) -> Option<Fault> {
    let warning = warning?;
    let is_before = response.is_some_and(|response| warning < response);
    (!is_before).then(|| {
        Fault::out_of_range(
            "/warning_minutes",
            "must be below response_minutes",
            "必须小于 response_minutes",
        )
    })
}
