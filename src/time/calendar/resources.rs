//! Holidays, make-up days and days with other hours, as the API shows them.

use super::hours::{Hours, shifts};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::Tx;
use crate::platform::records::{Access, Act, Change, Hooks, Member, Resource, Verbs};
use chrono::{Datelike, NaiveDate};
use futures::future::LocalBoxFuture;
use serde_json::Value;

pub static CALENDAR_DAY: Resource = Resource {
    singular: "calendar_day",
    plural: "calendar-days",
    table: "calendar_days",
    tag: "calendar",
    about: "A day that is not as the working week says: a holiday, a make-up day, a day with other hours. Deadlines set afterwards go by it; those that are set stay. A year's list is brought in with one batch.",
    permission: "company",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::day("day", "The local day, of the years 2000 to 2999; unique.")
            .required()
            .fixed()
            .sort(),
        Member::choice(
            "kind",
            &["holiday", "working_day"],
            "`holiday`: nothing is worked. `working_day`: worked, whatever day of the week it is.",
            "\"working_day\"",
        )
        .required(),
        Member::text("name", 100, "What people call it.", "\"国庆节调休\"").search(),
        Member::json(
            "hours",
            "null",
            r#"{"type":["array","null"],"minItems":1,"maxItems":24,"items":{"type":"object","additionalProperties":false,"required":["begins","ends"],"properties":{"begins":{"type":"string","pattern":"^([01][0-9]|2[0-3]):[0-5][0-9]$","description":"From this minute on.","examples":["09:00"]},"ends":{"type":"string","pattern":"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$","description":"Up to this minute.","examples":["12:00"]}}}}"#,
            "Its own hours in local time, for a working day. Without: those of its day of the week, or the standard hours where that is not worked.",
            r#"[{"begins":"09:00","ends":"12:00"}]"#,
        ),
    ],
    default_sort: "day",
    hooks: Hooks {
        before: Some(before),
        ..Hooks::NONE
    },
};

fn before<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        let faults = match change.act {
            Act::Create | Act::Update => faults(change)?,
            Act::Archive | Act::Restore => Vec::new(),
        };
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AppError::invalid(faults))
        }
    })
}

fn faults(change: &Change) -> AppResult<Vec<Fault>> {
    let mut faults = Vec::new();
    let day = change.text("day").and_then(|day| day.parse::<NaiveDate>().ok());
    if day.is_some_and(|day| !(2000..=2999).contains(&day.year())) {
        faults.push(Fault::out_of_range(
            "/day",
            "must be in the years 2000 to 2999",
            "须在 2000 年至 2999 年之间",
        ));
    }
    let Some(hours) = change.after.get("hours").filter(|hours| !hours.is_null()) else {
        return Ok(faults);
    };
    if change.text("kind") == Some("holiday") {
        faults.push(Fault::invalid(
            "/hours",
            "a holiday has none; a day with other hours is a working day",
            "节假日没有工作时间;工作时间不同的日子应为工作日",
        ));
    }
    faults.extend(hour_faults(hours)?);
    Ok(faults)
}

fn hour_faults(hours: &Value) -> AppResult<Vec<Fault>> {
    let hours = serde_json::from_value::<Vec<Hours>>(hours.clone()).map_err(AppError::internal)?;
    Ok(shifts(&hours, "/hours").err().unwrap_or_default())
}
