//! What the server's own database role may do, where it is not the owner's: read and write, but neither change nor delete
//! what is only ever added to. Given by the owner after each run of the migrations, so that new tables are covered.

use super::migrations;
use diesel::sql_types::{Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Tables that only grow: the history, its order, and what was done in approvals.
pub const APPEND_ONLY: &[&str] = &[
    "events",
    "event_subjects",
    "event_positions",
    "transitions",
    "approval_acts",
    "handovers",
];
/// The server reads what ran; only the owner runs migrations.
const READ_ONLY: &str = "__diesel_schema_migrations";

#[derive(QueryableByName)]
struct Role {
    #[diesel(sql_type = Text)]
    quoted: String,
    #[diesel(sql_type = Bool)]
    is_owner: bool,
    #[diesel(sql_type = Bool)]
    is_there: bool,
}

/// Lets a role serve from the database at `url` (the owner's). Answers false, and does nothing, when that role is the
/// owner itself.
///
/// # Errors
/// When there is no such role, or the database is out of reach.
pub async fn give(url: &str, role: &str) -> Result<bool, Failure> {
    let mut conn = migrations::locked(url).await?;
    let found: Role = sql_query(
        "SELECT quote_ident($1) AS quoted, $1 = current_user AS is_owner, \
         EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1) AS is_there",
    )
    .bind::<Text, _>(role)
    .get_result(&mut conn)
    .await?;
    if found.is_owner {
        return Ok(false);
    }
    if !found.is_there {
        return Err(format!("the database has no role {role}; create it first").into());
    }
    conn.batch_execute("BEGIN").await?;
    for statement in statements(&found.quoted) {
        conn.batch_execute(&statement).await?;
    }
    conn.batch_execute("COMMIT").await?;
    Ok(true)
}

fn statements(role: &str) -> [String; 5] {
    let grow = APPEND_ONLY.join(", ");
    [
        format!("GRANT USAGE ON SCHEMA public TO {role}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"),
        format!("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"),
        format!("REVOKE UPDATE, DELETE, TRUNCATE ON {grow} FROM {role}"),
        format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {READ_ONLY} FROM {role}"),
    ]
}
