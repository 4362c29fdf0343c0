//! The rules of recycling as the company keeps them. A rule that changed has every record of its kind looked at anew.

use super::Kind;
use super::clock::Rule;
use super::recycling;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change};
use diesel::sql_types::{Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use serde_json::Value;
use uuid::Uuid;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    grade: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    segment: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    source_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Integer>)]
    no_follow_up_days: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    no_opportunity_days: Option<i32>,
    #[diesel(sql_type = Integer)]
    warning_days: i32,
}

/// The rules of a kind that count, in their order.
///
/// # Errors
/// Database errors.
pub async fn active(conn: &mut &AsyncPgConnection, tenant: Uuid, kind: Kind) -> AppResult<Vec<Rule>> {
    let query = sql_query(
        "SELECT id, name, grade, segment, source_id, no_follow_up_days, no_opportunity_days, warning_days FROM pool_rules \
         WHERE tenant_id = $1 AND record_kind = $2 AND is_active AND archived_at IS NULL ORDER BY position, id",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(kind.name());
    let rows: Vec<Row> = Cached(query).load(conn).await?;
    let rules = rows.into_iter().map(|row| Rule {
        id: row.id,
        name: row.name,
        grade: row.grade,
        segment: row.segment,
        source_id: row.source_id,
        no_follow_up_days: row.no_follow_up_days,
        no_opportunity_days: row.no_opportunity_days,
        warning_days: row.warning_days,
    });
    Ok(rules.collect())
}

/// What a rule must satisfy beyond its declaration.
pub fn before<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    let faults = match change.act {
        Act::Create | Act::Update => faults(change),
        Act::Archive | Act::Restore => Vec::new(),
    };
    let outcome = if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    };
    Box::pin(std::future::ready(outcome))
}

fn faults(change: &Change) -> Vec<Fault> {
    let mut faults = Vec::new();
    let given = |member: &str| change.after.get(member).is_some_and(|value| !value.is_null());
    if change.text("record_kind") == Some("lead") {
        for member in ["grade", "segment", "no_opportunity_days"] {
            if given(member) {
                faults.push(Fault::invalid(
                    format!("/{member}"),
                    "is only for rules of accounts",
                    "仅适用于客户规则",
                ));
            }
        }
    }
    let number = |member: &str| change.after.get(member).and_then(Value::as_i64);
    let days = [number("no_follow_up_days"), number("no_opportunity_days")];
    let soonest = days.into_iter().flatten().min();
    if number("warning_days").unwrap_or_default() >= soonest.unwrap_or(1).max(1) {
        faults.push(Fault::out_of_range(
            "/warning_days",
            "must be less than the days of the rule",
            "必须小于规则的天数",
        ));
    }
    faults
}

/// Has the records of the rule's kind looked at anew, and sees to it that every day is.
pub fn after<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        let kind = match change.text("record_kind") {
            Some("account") => Kind::Account,
            _ => Kind::Lead,
        };
        recycling::look_anew(tx, ctx, kind).await
    })
}
