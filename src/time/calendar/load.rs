//! A company's calendar as the database has it.

use super::Calendar;
use super::hours::{Hours, Shift, shifts};
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::platform::db::Cached;
use chrono::NaiveDate;
use diesel::sql_types::{Jsonb, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

const CALENDAR: &str = "SELECT jsonb_build_object('time_zone', c.time_zone, 'working_days', c.working_days, \
     'standard_hours', c.standard_hours, 'working_hours', c.working_hours, 'days', \
     coalesce((SELECT jsonb_agg(jsonb_build_object('day', d.day, 'is_worked', d.kind = 'working_day', 'hours', d.hours)) \
        FROM calendar_days d WHERE d.tenant_id = $1 AND d.archived_at IS NULL), '[]')) AS document \
     FROM tenants c WHERE c.tenant_id = $1";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    document: Value,
}

#[derive(Deserialize)]
struct Document {
    time_zone: String,
    working_days: Vec<u8>,
    standard_hours: Vec<Hours>,
    working_hours: BTreeMap<String, Vec<Hours>>,
    days: Vec<Day>,
}

#[derive(Deserialize)]
struct Day {
    day: NaiveDate,
    is_worked: bool,
    hours: Option<Vec<Hours>>,
}

impl Calendar {
    /// The company's calendar as it is now.
    ///
    /// # Errors
    /// `not_found` when there is no such company; database errors.
    pub async fn of(conn: &mut &AsyncPgConnection, tenant: Uuid) -> AppResult<Calendar> {
        let query = sql_query(CALENDAR).bind::<SqlUuid, _>(tenant);
        let row: Option<Row> = Cached(query).get_result(conn).await.optional()?;
        let document = serde_json::from_value(row.or_not_found()?.document).map_err(AppError::internal)?;
        read(document)
    }
}

fn kept(hours: &[Hours]) -> AppResult<Vec<Shift>> {
    shifts(hours, "").map_err(|_| AppError::internal("working hours that do not fit a day"))
}

fn read(document: Document) -> AppResult<Calendar> {
    let standard = kept(&document.standard_hours)?;
    let own = document
        .working_hours
        .iter()
        .map(|(day, hours)| Ok((day.clone(), kept(hours)?)))
        .collect::<AppResult<BTreeMap<_, _>>>()?;
    let mut week = <[Vec<Shift>; 7]>::default();
    for (weekday, day) in (1..=7).zip(&mut week) {
        if document.working_days.contains(&weekday) {
            day.clone_from(own.get(&weekday.to_string()).unwrap_or(&standard));
        }
    }
    let mut calendar = Calendar::new(
        document.time_zone.parse().unwrap_or(chrono_tz::UTC),
        week,
        BTreeMap::new(),
    );
    for Day {
        day,
        is_worked,
        hours,
    } in document.days
    {
        let shifts = match hours {
            _ if !is_worked => Vec::new(),
            Some(hours) => kept(&hours)?,
            None => Some(calendar.of_week(day).clone())
                .filter(|shifts| !shifts.is_empty())
                .unwrap_or_else(|| standard.clone()),
        };
        calendar.days.insert(day, shifts);
    }
    Ok(calendar)
}
