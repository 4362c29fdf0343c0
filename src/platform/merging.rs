//! How each area takes part when records are merged: it names the columns that point to records of the kinds that can be
//! merged, and registers them in `app.rs`. What a merge moves is noted row by row, so that it can go back.

use super::db::{Cached, Tx};
use super::events::Event;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::json;
use uuid::Uuid;

/// The kinds of record that can be merged.
pub const KINDS: [&str; 3] = ["account", "contact", "lead"];

/// Runs after a row moved, or went back.
pub type Follow = for<'a> fn(&'a mut Tx, &'a Ctx, Uuid) -> LocalBoxFuture<'a, AppResult<()>>;

/// A column that names a record that can be merged.
pub struct Link {
    /// The kinds that it names; with several, `kind_column` says which.
    pub to: &'static [&'static str],
    pub table: &'static str,
    pub column: &'static str,
    pub kind_column: Option<&'static str>,
    /// What the rows are, singular, when they are records of their own, with a version and events.
    pub record: Option<&'static str>,
    /// Rows `t` that stay where they are, as a condition; `$2` is the record that ends, `$3` the one that goes on.
    pub unless: &'static str,
    /// Whether what `unless` leaves behind stays there for good: the one that goes on has its like already.
    pub leaves_twins: bool,
    pub follow: Option<Follow>,
}

impl Link {
    /// Records of kind `record` that name one of kind `to`.
    pub const fn records(
        to: &'static [&'static str],
        table: &'static str,
        column: &'static str,
        record: &'static str,
    ) -> Link {
        Link {
            to,
            table,
            column,
            kind_column: None,
            record: Some(record),
            unless: "FALSE",
            leaves_twins: false,
            follow: None,
        }
    }

    /// Rows that belong to a record of any kind that can be merged.
    pub const fn rows(table: &'static str, unless: &'static str) -> Link {
        Link {
            to: &KINDS,
            table,
            column: "record_id",
            kind_column: Some("record_kind"),
            record: None,
            unless,
            leaves_twins: false,
            follow: None,
        }
    }

    /// Its name among what a merge moved.
    pub fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }

    pub fn is_to(&self, kind: &str) -> bool {
        self.to.contains(&kind)
    }

    fn of_kind(&self, kind: &'static str) -> String {
        self.kind_column
            .map_or_else(String::new, |column| format!(" AND t.{column} = '{kind}'"))
    }

    fn bump(&self) -> &'static str {
        if self.record.is_some() {
            ", version = t.version + 1, updated_at = $6"
        } else {
            ""
        }
    }
}

/// Every link of every area, as the service registers them.
pub struct Links(pub Vec<&'static Link>);

/// One merge on its way.
#[derive(Clone, Copy)]
pub struct Merging {
    pub id: Uuid,
    pub kind: &'static str,
    pub survivor: Uuid,
}

#[derive(QueryableByName)]
struct Moved {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    from_id: Option<Uuid>,
}

/// Points the rows of a link that name `loser` to the survivor; answers how many.
///
/// # Errors
/// Database errors.
pub async fn repoint(tx: &mut Tx, ctx: &Ctx, link: &Link, merging: Merging, loser: Uuid) -> AppResult<i64> {
    let Link {
        table,
        column,
        unless,
        ..
    } = link;
    let (of_kind, bump) = (link.of_kind(merging.kind), link.bump());
    let sql = format!(
        "WITH moved AS (UPDATE {table} t SET {column} = $3{bump} \
            WHERE t.tenant_id = $1 AND t.{column} = $2{of_kind} AND NOT ({unless}) RETURNING t.id), \
         noted AS (INSERT INTO merge_moves (tenant_id, merge_id, link, row_id, from_id) SELECT $1, $4, $5, m.id, $2 FROM moved m) \
         SELECT m.id, NULL::uuid AS from_id FROM moved m WHERE $6 IS NOT NULL"
    );
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(loser)
        .bind::<SqlUuid, _>(merging.survivor)
        .bind::<SqlUuid, _>(merging.id)
        .bind::<Text, _>(link.name())
        .bind::<Timestamptz, _>(ctx.now);
    let rows: Vec<Moved> = Cached(query).load(&mut **tx).await?;
    for row in &rows {
        told(tx, ctx, link, merging, row.id, loser, merging.survivor).await?;
    }
    Ok(i64::try_from(rows.len()).unwrap_or(i64::MAX))
}

/// Gives the rows of a link back that are still where the merge put them; answers how many.
///
/// # Errors
/// Database errors.
pub async fn give_back(tx: &mut Tx, ctx: &Ctx, link: &Link, merging: Merging) -> AppResult<i64> {
    let Link { table, column, .. } = link;
    let (of_kind, bump) = (link.of_kind(merging.kind), link.bump());
    let sql = format!(
        "WITH back AS (UPDATE {table} t SET {column} = m.from_id{bump} FROM merge_moves m \
            WHERE m.tenant_id = $1 AND m.merge_id = $4 AND m.link = $5 \
            AND t.tenant_id = $1 AND t.id = m.row_id AND t.{column} = $3{of_kind} RETURNING t.id, m.from_id), \
         noted AS (DELETE FROM merge_moves m USING back b WHERE m.tenant_id = $1 AND m.merge_id = $4 AND m.link = $5 AND m.row_id = b.id) \
         SELECT b.id, b.from_id FROM back b WHERE $6 IS NOT NULL AND $2 IS NOT NULL"
    );
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(merging.survivor)
        .bind::<SqlUuid, _>(merging.survivor)
        .bind::<SqlUuid, _>(merging.id)
        .bind::<Text, _>(link.name())
        .bind::<Timestamptz, _>(ctx.now);
    let rows: Vec<Moved> = Cached(query).load(&mut **tx).await?;
    for row in &rows {
        let to = row.from_id.unwrap_or(merging.survivor);
        told(tx, ctx, link, merging, row.id, merging.survivor, to).await?;
    }
    Ok(i64::try_from(rows.len()).unwrap_or(i64::MAX))
}

/// The event of a record that now names another one, on the timelines of both, and what follows from it.
async fn told(
    tx: &mut Tx,
    ctx: &Ctx,
    link: &Link,
    merging: Merging,
    id: Uuid,
    from: Uuid,
    to: Uuid,
) -> AppResult<()> {
    if let Some(kind) = link.record {
        let data =
            json!({ "merge_id": merging.id, "changes": { link.column: { "before": from, "after": to } } });
        let event = Event::new(format!("{kind}.repointed"), kind, id, data);
        tx.record(
            event
                .and_on(merging.kind, Some(from))
                .and_on(merging.kind, Some(to)),
        );
    }
    match link.follow {
        Some(follow) => follow(tx, ctx, id).await,
        None => Ok(()),
    }
}
