//! The working week as it is read and set, and what a deadline would be.

use super::hours::{Hours, Shift, shifts};
use super::{Calendar, Span};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::Command;
use crate::platform::records::query::{bad_parameters, pairs};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, put, web};
use chrono::{DateTime, Datelike, Utc};
use diesel::sql_types::{Array, Integer, Jsonb, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

pub(in crate::time) fn routes(config: &mut ServiceConfig) {
    config
        .service(get_working_week)
        .service(set_working_week)
        .service(get_deadline);
}

/// A day of the week that is worked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkedDay {
    /// 1 = Monday.
    #[schema(minimum = 1, maximum = 7, example = 6)]
    day: i16,
    /// Its own hours; the standard ones when null.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 24, example = json!([{"begins": "09:00", "ends": "12:00"}]))]
    hours: Option<Vec<Hours>>,
}

/// The week as it is set: at least one day, none without hours.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWorkingWeek {
    /// Hours of each day that has none of its own, make-up days too.
    #[schema(min_items = 1, max_items = 24, example = json!([{"begins": "09:00", "ends": "12:00"}, {"begins": "13:00", "ends": "18:00"}]))]
    standard_hours: Vec<Hours>,
    /// The days of the week that are worked, each once.
    #[schema(min_items = 1, max_items = 7, example = json!([{"day": 1}, {"day": 2}, {"day": 3}, {"day": 4}, {"day": 5}]))]
    days: Vec<WorkedDay>,
}

/// When the company works, holidays and make-up days apart.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorkingWeek {
    /// The company's time zone, in which all hours are.
    #[schema(example = "Asia/Shanghai")]
    time_zone: String,
    /// Hours of each day that has none of its own, make-up days too.
    #[schema(example = json!([{"begins": "09:00", "ends": "12:00"}, {"begins": "13:00", "ends": "18:00"}]))]
    standard_hours: Vec<Hours>,
    /// The days of the week that are worked.
    #[schema(example = json!([{"day": 1, "hours": null}, {"day": 6, "hours": [{"begins": "09:00", "ends": "12:00"}]}]))]
    days: Vec<WorkedDay>,
    /// That of the company's settings; the ETag.
    #[schema(example = 1)]
    version: i32,
}

#[derive(QueryableByName)]
struct WeekRow {
    #[diesel(sql_type = Text)]
    time_zone: String,
    #[diesel(sql_type = Array<SmallInt>)]
    working_days: Vec<i16>,
    #[diesel(sql_type = Jsonb)]
    standard_hours: Value,
    #[diesel(sql_type = Jsonb)]
    working_hours: Value,
    #[diesel(sql_type = Integer)]
    version: i32,
}

const WEEK: &str = "SELECT time_zone, working_days, standard_hours, working_hours, version FROM tenants WHERE tenant_id = $1";

impl WeekRow {
    async fn read(conn: &mut &AsyncPgConnection, ctx: &Ctx) -> AppResult<WeekRow> {
        let query = sql_query(WEEK).bind::<SqlUuid, _>(ctx.tenant);
        Cached(query).get_result(conn).await.optional()?.or_not_found()
    }

    fn view(&self) -> AppResult<WorkingWeek> {
        let hours = |hours: &Value| serde_json::from_value(hours.clone()).map_err(AppError::internal);
        let day = |day: &i16| {
            let own = self.working_hours.get(day.to_string());
            Ok(WorkedDay {
                day: *day,
                hours: own.map(hours).transpose()?,
            })
        };
        Ok(WorkingWeek {
            time_zone: self.time_zone.clone(),
            standard_hours: hours(&self.standard_hours)?,
            days: self.working_days.iter().map(day).collect::<AppResult<_>>()?,
            version: self.version,
        })
    }
}

/// Read the working week
///
/// The days and hours that are worked, in the company's time zone. Days that differ are among the calendar days.
#[utoipa::path(tag = "calendar", operation_id = "get_working_week", security(("bearer" = ["company.read"])), responses((status = 200, body = WorkingWeek)))]
#[get("/v1/working-week")]
pub async fn get_working_week(db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    let row = db.read(async |conn| WeekRow::read(conn, &ctx).await).await?;
    Ok(Reply::ok(&row.view()?)?.with_version(row.version))
}

/// Set the working week
///
/// Replaces it whole; `working_days` of the company's settings follows. Deadlines set afterwards go by it, those that are
/// set stay as they are. A week without any working time is refused.
#[utoipa::path(tag = "calendar", operation_id = "set_working_week", security(("bearer" = ["company.write"])), request_body = SetWorkingWeek, responses((status = 200, body = WorkingWeek)))]
#[put("/v1/working-week")]
pub async fn set_working_week(db: web::Data<Db>, command: Command<SetWorkingWeek>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let week = Week::of(&input)?;
    db.write(&ctx, async |tx| {
        let query = sql_query(format!("{WEEK} FOR UPDATE")).bind::<SqlUuid, _>(ctx.tenant);
        let before: WeekRow = Cached(query).get_result(&mut **tx).await?;
        ctx.if_match(before.version)?;
        week.store(tx, &ctx, &before).await?;
        let row = WeekRow::read(&mut &**tx, &ctx).await?;
        Ok(Reply::ok(&row.view()?)?.with_version(row.version))
    })
    .await
}

/// A week as it is stored.
struct Week {
    days: Vec<i16>,
    standard: Value,
    own: Map<String, Value>,
}

impl Week {
    /// In its one form, or everything that is wrong with it.
    fn of(input: &SetWorkingWeek) -> AppResult<Week> {
        let mut faults = Vec::new();
        let standard = written(shifts(&input.standard_hours, "/standard_hours"), &mut faults);
        let (mut days, mut own) = (Vec::new(), Map::new());
        for (at, WorkedDay { day, hours }) in input.days.iter().enumerate() {
            if days.contains(day) {
                faults.push(Fault::new(
                    format!("/days/{at}/day"),
                    "repeated",
                    say("is there twice", "重复"),
                ));
            }
            days.push(*day);
            if let Some(hours) = hours {
                let hours = shifts(hours, &format!("/days/{at}/hours"));
                own.insert(day.to_string(), written(hours, &mut faults));
            }
        }
        days.sort_unstable();
        if faults.is_empty() {
            Ok(Week { days, standard, own })
        } else {
            Err(AppError::invalid(faults))
        }
    }

    async fn store(&self, tx: &mut Tx, ctx: &Ctx, before: &WeekRow) -> AppResult<()> {
        let own = Value::Object(self.own.clone());
        sql_query(
            "UPDATE tenants SET working_days = $2, standard_hours = $3, working_hours = $4, version = version + 1, updated_at = $5 \
             WHERE tenant_id = $1",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SmallInt>, _>(&self.days)
        .bind::<Jsonb, _>(&self.standard)
        .bind::<Jsonb, _>(&own)
        .bind::<Timestamptz, _>(ctx.now)
        .execute(&mut **tx)
        .await?;
        let members = [
            ("working_days", json!(before.working_days), json!(self.days)),
            (
                "standard_hours",
                before.standard_hours.clone(),
                self.standard.clone(),
            ),
            ("working_hours", before.working_hours.clone(), own),
        ];
        let changes = members
            .into_iter()
            .filter(|(_, before, after)| before != after)
            .map(|(name, before, after)| (name.to_owned(), json!({ "before": before, "after": after })))
            .collect::<Map<_, _>>();
        let data = json!({ "changes": changes });
        tx.record(Event::new("company.updated", "company", ctx.tenant, data));
        Ok(())
    }
}

fn written(shifts: Result<Vec<Shift>, Vec<Fault>>, faults: &mut Vec<Fault>) -> Value {
    match shifts {
        Ok(shifts) => json!(shifts.into_iter().map(Hours::from).collect::<Vec<_>>()),
        Err(found) => {
            faults.extend(found);
            Value::Null
        }
    }
}

/// What a deadline is asked by: one of the spans at most; without any it is when work goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the document's description of what `Asked::read` reads by hand"
)]
struct DeadlineParameters {
    /// When it begins, in the years 2000 to 2999; now, by the company's clock, when not given.
    #[param(example = "2024-02-09T08:30:00Z")]
    from: Option<DateTime<Utc>>,
    /// Minutes by the clock.
    #[param(minimum = 0, maximum = 52_560_000)]
    clock_minutes: Option<i64>,
    /// Minutes that are worked.
    #[param(minimum = 0, maximum = 52_560_000, example = 120)]
    working_minutes: Option<i64>,
    /// Days that are worked.
    #[param(minimum = 0, maximum = 36_500)]
    working_days: Option<i64>,
}

/// A deadline, and how it comes about.
#[derive(Serialize, ToSchema)]
pub struct Deadline {
    /// When it begins.
    #[schema(example = "2024-02-09T08:30:00Z")]
    from: DateTime<Utc>,
    /// When it is over.
    #[schema(example = "2024-02-18T02:30:00Z")]
    due_at: DateTime<Utc>,
    /// Whether it is working time when it begins.
    #[schema(example = true)]
    begins_in_working_time: bool,
    /// When working time first counts.
    #[schema(example = "2024-02-09T08:30:00Z")]
    counts_from: DateTime<Utc>,
    /// Minutes by the clock from the beginning to the end.
    #[schema(example = 12600)]
    clock_minutes: i64,
    /// Of those, minutes that are worked.
    #[schema(example = 120)]
    working_minutes: i64,
}

struct Asked {
    from: DateTime<Utc>,
    span: Span,
}

impl Asked {
    fn read(query: &str, now: DateTime<Utc>) -> AppResult<Asked> {
        let (mut faults, mut spans, mut from) = (Vec::new(), Vec::new(), now);
        for (name, value) in pairs(query, &mut faults) {
            let number = value.parse().unwrap_or_default();
            match name.as_str() {
                "clock_minutes" => spans.push(Span::ClockMinutes(number)),
                "working_minutes" => spans.push(Span::WorkingMinutes(number)),
                "working_days" => spans.push(Span::WorkingDays(number)),
                _ => from = value.replace(' ', "+").parse().unwrap_or(now),
            }
        }
        if !(2000..=2999).contains(&from.year()) {
            faults.push(Fault::out_of_range(
                "?from",
                "must be in the years 2000 to 2999",
                "须在 2000 年至 2999 年之间",
            ));
        }
        if spans.is_empty() {
            spans.push(Span::WorkingMinutes(0));
        }
        let one = <[Span; 1]>::try_from(spans);
        match one {
            Ok([span]) if faults.is_empty() => return Ok(Asked { from, span }),
            Ok(_) => {}
            Err(_) => faults.push(Fault::invalid(
                "?working_minutes",
                "give one of clock_minutes, working_minutes and working_days only",
                "clock_minutes、working_minutes、working_days 只能给出一个",
            )),
        }
        Err(bad_parameters(faults))
    }
}

/// Ask what a deadline would be
///
/// By the company's calendar as it is now, with how it comes about. Nothing is set.
#[utoipa::path(tag = "calendar", operation_id = "get_deadline", params(DeadlineParameters), security(("bearer" = ["company.read"])), responses((status = 200, body = Deadline)))]
#[get("/v1/calendar/deadline")]
pub async fn get_deadline(db: web::Data<Db>, ctx: Ctx, request: HttpRequest) -> AppResult<Reply> {
    let Asked { from, span } = Asked::read(request.query_string(), ctx.now)?;
    let calendar = db.read(async |conn| Calendar::of(conn, ctx.tenant).await).await?;
    let due_at = calendar.after(from, span);
    Reply::ok(&Deadline {
        from,
        due_at,
        begins_in_working_time: calendar.is_working(from),
        counts_from: calendar.after(from, Span::WorkingMinutes(0)),
        clock_minutes: (due_at - from).num_minutes(),
        working_minutes: calendar.working_minutes_between(from, due_at),
    })
    .map(Reply::with_weak_tag)
}
