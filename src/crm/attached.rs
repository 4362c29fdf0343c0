//! What is attached to a record of any kind by its kind and id: participants, external ids.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppResult, OrNotFound};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::records::Resource;
use crate::platform::records::store;
use diesel::pg::Pg;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Everything of one sort that is attached to a record. `sql` binds the tenant, the record's kind and its id.
///
/// # Errors
/// `not_found` when the caller does not see the record.
pub async fn all<T: QueryableByName<Pg> + Send + 'static>(
    db: &Db,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    sql: &'static str,
) -> AppResult<Vec<T>> {
    db.read(async |conn| store::require_visible(conn, ctx, resource, id).await)
        .await?;
    db.read(async |conn| {
        let query = sql_query(sql)
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<Text, _>(resource.singular)
            .bind::<SqlUuid, _>(id);
        Ok(Cached(query).load::<T>(conn).await?)
    })
    .await
}

/// Takes one of them away and answers what it was. `sql` binds what [`all`] does, then the id of what is attached.
///
/// # Errors
/// `not_found` when there is none.
pub async fn take<T: QueryableByName<Pg> + Send + 'static>(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    attached: Uuid,
    sql: &'static str,
) -> AppResult<T> {
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Text, _>(resource.singular)
        .bind::<SqlUuid, _>(id)
        .bind::<SqlUuid, _>(attached);
    Cached(query)
        .get_result(&mut **tx)
        .await
        .optional()?
        .or_not_found()
}
