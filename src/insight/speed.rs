//! Speed to lead: how long sales-qualified leads waited for a first response, by whose turn it was and by where they came
//! from.

use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::platform::db::Db;
use crate::platform::records::query::{bad_parameters, pairs, unknown_parameter};
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Nullable, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// How many days a period has that nobody named.
const USUAL_DAYS: u64 = 30;

/// The period that is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct SpeedParameters {
    /// First local day of the period; 29 days before the last when not given.
    #[param(example = "2024-03-01")]
    from_on: Option<NaiveDate>,
    /// Last local day of the period; today when not given.
    #[param(example = "2024-03-31")]
    until_on: Option<NaiveDate>,
}

/// How fast leads were responded to in a period, in working minutes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SpeedToLead {
    /// First local day of the period.
    #[schema(example = "2024-03-01")]
    pub from_on: NaiveDate,
    /// Its last local day.
    #[schema(example = "2024-03-31")]
    pub until_on: NaiveDate,
    /// The instant it shows, by the company's clock.
    pub as_of: DateTime<Utc>,
    pub total: Speed,
    /// By whose turn it was to respond; who ended most first.
    pub by_owner: Vec<SpeedOfOwner>,
    /// By the source of the lead; where most came from first.
    pub by_source: Vec<SpeedOfSource>,
}

/// Of one person.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SpeedOfOwner {
    /// Who.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub owner_id: Uuid,
    #[serde(flatten)]
    pub speed: Speed,
}

/// Of one source.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SpeedOfSource {
    /// Which; null: leads of no known source.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    pub source_id: Option<Uuid>,
    #[serde(flatten)]
    pub speed: Speed,
}

/// Counts of hand-overs that were responded to in the period, or whose deadline passed in it without a response, and what
/// their leads waited from the start of their chain to the response. Each deadline that came to its end was either met
/// (`responded` less `responded_late`) or `missed`.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Speed {
    /// Responded to.
    #[schema(minimum = 0, example = 12)]
    pub responded: i64,
    /// Of these, after the deadline: they count as missed too.
    #[schema(minimum = 0, example = 1)]
    pub responded_late: i64,
    /// Nobody responded before the deadline: it was passed on, is still waiting, or was responded to late.
    #[schema(minimum = 0, example = 2)]
    pub missed: i64,
    /// Half of those responded to waited no longer; null when there are none.
    #[schema(minimum = 0, example = 35)]
    pub median_minutes: Option<i64>,
    /// Nine of ten waited no longer.
    #[schema(minimum = 0, example = 240)]
    pub p90_minutes: Option<i64>,
    /// What they waited on average, rounded.
    #[schema(minimum = 0, example = 64)]
    pub mean_minutes: Option<i64>,
}

#[derive(QueryableByName)]
struct Row {
    /// 3: the total, 1: of an owner, 2: of a source.
    #[diesel(sql_type = Integer)]
    level: i32,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    owner_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    source_id: Option<Uuid>,
    #[diesel(sql_type = BigInt)]
    responded: i64,
    #[diesel(sql_type = BigInt)]
    responded_late: i64,
    #[diesel(sql_type = BigInt)]
    missed: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    median_minutes: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    p90_minutes: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    mean_minutes: Option<i64>,
}

impl Row {
    fn speed(&self) -> Speed {
        Speed {
            responded: self.responded,
            responded_late: self.responded_late,
            missed: self.missed,
            median_minutes: self.median_minutes,
            p90_minutes: self.p90_minutes,
            mean_minutes: self.mean_minutes,
        }
    }
}

/// Show speed to lead
///
/// Of the hand-overs that were responded to in a period, or whose deadline passed in it, and whose leads you can see: how many
/// were responded to, how many missed (those that still wait among them), and for how many working minutes their leads had
/// waited since the first hand-over of the chain.
#[utoipa::path(tag = "figures", operation_id = "get_speed_to_lead", params(SpeedParameters), security(("bearer" = ["report.read"])),
    responses((status = 200, description = "How fast leads were responded to", body = SpeedToLead)))]
#[get("/v1/figures/speed-to-lead")]
pub async fn get_speed_to_lead(request: HttpRequest, db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    let (from_on, until_on) = period(&request, ctx.today())?;
    let rows: Vec<Row> = db
        .report(async |db| {
            db.snapshot(async |conn| {
                let query = speed_sql(&ctx, from_on, until_on);
                Ok(query.query().load(&mut &*conn).await?)
            })
            .await
        })
        .await?;
    let of = |level: i32| rows.iter().filter(move |row| row.level == level);
    let by_owner = of(1).filter_map(|row| {
        let speed = row.speed();
        row.owner_id.map(|owner_id| SpeedOfOwner { owner_id, speed })
    });
    let by_source = of(2).map(|row| SpeedOfSource {
        source_id: row.source_id,
        speed: row.speed(),
    });
    let view = SpeedToLead {
        from_on,
        until_on,
        as_of: ctx.now,
        total: of(3).map(Row::speed).next().unwrap_or_default(),
        by_owner: by_owner.collect(),
        by_source: by_source.collect(),
    };
    Ok(Reply::ok(&view)?.with_weak_tag())
}

/// The period asked for, by its first and last day.
fn period(request: &HttpRequest, today: NaiveDate) -> AppResult<(NaiveDate, NaiveDate)> {
    let known = ["from_on", "until_on"].map(str::to_owned);
    let mut faults = Vec::new();
    let (mut from, mut until) = (None, None);
    for (name, value) in pairs(request.query_string(), &mut faults) {
        match name.as_str() {
            "from_on" => from = value.parse().ok(),
            "until_on" => until = value.parse().ok(),
            _ => faults.push(unknown_parameter(&name, &known)),
        }
    }
    let until = until.unwrap_or(today);
    let from = from.unwrap_or_else(|| until.checked_sub_days(Days::new(USUAL_DAYS - 1)).unwrap_or(until));
    if from > until {
        faults.push(Fault::out_of_range(
            "?from_on",
            "must not be after until_on",
            "不能晚于 until_on",
        ));
    }
    match faults.is_empty() {
        true => Ok((from, until)),
        false => Err(bad_parameters(faults)),
    }
}

fn speed_sql(ctx: &Ctx, from: NaiveDate, until: NaiveDate) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let seen = sql::scope(&mut sql, &LEAD, "l", ctx, Intent::Read);
    let reported = sql::action_scope(&mut sql, &LEAD, "l", ctx, "report.read");
    let zone = sql.place(Bind::Text(ctx.principal.company.time_zone.name().to_owned()));
    let from = sql.place(Bind::Day(from));
    let until = sql.place(Bind::Day(until));
    let now = sql.place(Bind::Instant(ctx.now));
    let in_period = |instant: &str| {
        format!(
            "{instant} >= ({from}::date::timestamp AT TIME ZONE {zone}) AND {instant} < (({until}::date + 1)::timestamp AT TIME ZONE {zone})"
        )
    };
    let (ended, due) = (in_period("h.ended_at"), in_period("h.due_at"));
    // A deadline that passed this instant counts, though its timer has yet to say so.
    let overdue = format!("(h.is_overdue OR (h.status = 'open' AND h.due_at <= {now}))");
    sql.push(&format!(
        "SELECT grouping(h.to_user_id, l.source_id)::integer AS level, h.to_user_id AS owner_id, l.source_id, \
             count(*) FILTER (WHERE h.status = 'responded') AS responded, \
             count(*) FILTER (WHERE h.status = 'responded' AND h.is_overdue) AS responded_late, \
             count(*) FILTER (WHERE {overdue}) AS missed, \
             percentile_disc(0.5) WITHIN GROUP (ORDER BY h.waited_minutes) AS median_minutes, \
             percentile_disc(0.9) WITHIN GROUP (ORDER BY h.waited_minutes) AS p90_minutes, \
             round(avg(h.waited_minutes))::bigint AS mean_minutes \
         FROM lead_handovers h JOIN leads l ON l.tenant_id = $1 AND l.id = h.lead_id \
         WHERE h.tenant_id = $1 AND ((h.status IN ('responded', 'missed') AND {ended}) \
             OR (h.status IN ('open', 'superseded', 'closed') AND {overdue} AND {due})) AND {seen} AND {reported} \
         GROUP BY GROUPING SETS ((), (h.to_user_id), (l.source_id)) \
         ORDER BY level, count(*) DESC, h.to_user_id, l.source_id"
    ));
    sql
}
