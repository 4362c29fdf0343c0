//! Trees of records: no record stands above itself.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change};
use diesel::sql_types::{Bool, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    is_cycle: bool,
}

/// The fault of a new `parent_id` that stands below the record itself. Two moves of one tree wait for each other, since
/// together they could close a circle that neither sees.
///
/// # Errors
/// Database errors.
pub async fn cycle(tx: &mut Tx, ctx: &Ctx, table: &'static str, change: &Change) -> AppResult<Option<Fault>> {
    let parent = change
        .id_of("parent_id")
        .filter(|_| change.act == Act::Update && change.changed("parent_id"));
    let Some(parent) = parent else { return Ok(None) };
    let lock = sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<Text, _>(format!("{table}/{}", ctx.tenant));
    Cached(lock).execute(&mut **tx).await?;
    let query = sql_query(format!(
        "WITH RECURSIVE up AS ( \
            SELECT id, parent_id FROM {table} WHERE tenant_id = $1 AND id = $2 \
            UNION SELECT t.id, t.parent_id FROM {table} t JOIN up ON t.id = up.parent_id WHERE t.tenant_id = $1 \
         ) SELECT EXISTS (SELECT 1 FROM up WHERE id = $3) AS is_cycle"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(parent)
    .bind::<SqlUuid, _>(change.id);
    let found: Found = Cached(query).get_result(&mut **tx).await?;
    Ok(found.is_cycle.then(|| {
        Fault::invalid(
            "/parent_id",
            "stands below this record itself",
            "位于该记录自身之下",
        )
    }))
}
