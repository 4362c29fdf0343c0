//! The company's people as approvals see them.

use super::Conn;
use crate::approval::people::{People, Person, Team};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Cached;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(QueryableByName)]
struct PersonRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Bool)]
    is_active: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    team_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    away_from: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    away_until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    delegate_id: Option<Uuid>,
    #[diesel(sql_type = Bool)]
    is_absent: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    successor_id: Option<Uuid>,
    #[diesel(sql_type = Array<Text>)]
    roles: Vec<String>,
}

#[derive(QueryableByName)]
struct TeamRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    leader_id: Option<Uuid>,
}

/// The company as it is now. An archived team keeps its place in the tree, but asks nobody.
///
/// # Errors
/// Database errors.
pub async fn people(conn: Conn<'_, '_>, ctx: &Ctx) -> AppResult<People> {
    let tenant = ctx.tenant;
    let persons: Vec<PersonRow> = Cached(
        sql_query(
            "SELECT u.id, (u.is_active AND u.archived_at IS NULL) AS is_active, u.team_id, u.away_from, u.away_until, u.delegate_id, \
             EXISTS (SELECT 1 FROM user_absences a WHERE a.tenant_id = $1 AND a.owner_id = u.id AND a.archived_at IS NULL \
                AND a.starts_at <= $2 AND a.ends_at > $2) AS is_absent, \
             CASE WHEN NOT u.is_active THEN (SELECT h.to_user_id FROM handovers h WHERE h.tenant_id = $1 AND h.from_user_id = u.id \
                ORDER BY h.created_at DESC, h.id DESC LIMIT 1) END AS successor_id, \
             ARRAY(SELECT r.key FROM user_roles ur JOIN roles r ON r.tenant_id = ur.tenant_id AND r.id = ur.role_id \
             WHERE ur.tenant_id = $1 AND ur.user_id = u.id AND r.archived_at IS NULL) AS roles \
             FROM users u WHERE u.tenant_id = $1",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Timestamptz, _>(ctx.now),
    )
    .load(conn)
    .await?;
    let teams: Vec<TeamRow> = Cached(
        sql_query(
            "SELECT id, parent_id, CASE WHEN archived_at IS NULL THEN leader_id END AS leader_id FROM teams WHERE tenant_id = $1",
        )
        .bind::<SqlUuid, _>(tenant),
    )
    .load(conn)
    .await?;
    let persons = persons.into_iter().map(|row| Person {
        id: row.id,
        is_active: row.is_active,
        team_id: row.team_id,
        roles: row.roles.into_iter().collect(),
        away_from: row.away_from,
        away_until: row.away_until,
        is_absent: row.is_absent,
        delegate_id: row.delegate_id,
        successor_id: row.successor_id,
    });
    let teams = teams.into_iter().map(|row| Team {
        id: row.id,
        parent_id: row.parent_id,
        leader_id: row.leader_id,
    });
    Ok(People::new(persons, teams))
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
}

/// The names of people.
///
/// # Errors
/// Database errors.
pub async fn names(conn: Conn<'_, '_>, tenant: Uuid, people: Vec<Uuid>) -> AppResult<BTreeMap<Uuid, String>> {
    let rows: Vec<NameRow> = Cached(
        sql_query("SELECT id, name FROM users WHERE tenant_id = $1 AND id = ANY($2)")
            .bind::<SqlUuid, _>(tenant)
            .bind::<Array<SqlUuid>, _>(people),
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}
