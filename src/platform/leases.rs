//! Leases: which server runs a duty that only one may run. They go by the database's clock, so that servers whose clocks
//! differ agree.

use crate::kernel::error::AppResult;
use diesel::sql_query;
use diesel::sql_types::{Integer, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// A duty's lease as one holder asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub name: &'static str,
    /// Made anew by each process.
    pub holder: Uuid,
    /// For how long it holds without being renewed.
    pub seconds: i32,
}

impl Lease {
    pub fn new(name: &'static str, seconds: i32) -> Lease {
        Lease {
            name,
            holder: Uuid::now_v7(),
            seconds,
        }
    }

    /// Takes the lease when it is free or has run out, renews it when it is ours. Inside a transaction its row stays
    /// locked: nobody takes it over before the commit.
    ///
    /// # Errors
    /// Database errors.
    pub async fn take(&self, conn: &mut AsyncPgConnection) -> AppResult<bool> {
        let taken = sql_query(
            "UPDATE leases SET holder = $2, until = now() + make_interval(secs => $3) \
             WHERE name = $1 AND (holder = $2 OR until < now())",
        )
        .bind::<Text, _>(self.name)
        .bind::<SqlUuid, _>(self.holder)
        .bind::<Integer, _>(self.seconds)
        .execute(conn)
        .await?;
        if taken > 0 {
            return Ok(true);
        }
        let made = sql_query(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, now() + make_interval(secs => $3)) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind::<Text, _>(self.name)
        .bind::<SqlUuid, _>(self.holder)
        .bind::<Integer, _>(self.seconds)
        .execute(conn)
        .await?;
        Ok(made > 0)
    }

    /// Gives the lease back, so that another server need not wait until it runs out.
    ///
    /// # Errors
    /// Database errors.
    pub async fn give_back(&self, conn: &mut AsyncPgConnection) -> AppResult<()> {
        sql_query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind::<Text, _>(self.name)
            .bind::<SqlUuid, _>(self.holder)
            .execute(conn)
            .await?;
        Ok(())
    }
}
