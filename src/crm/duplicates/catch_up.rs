//! Keys and names of records that lack theirs.

use super::keys::{self, Named};
use super::subject::Subject;
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::error::AppResult;
use crate::platform::records::Resource;
use crate::platform::records::catch_up::{Companion, Row};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

/// What has keys.
pub const RESOURCES: [&Resource; 3] = [&ACCOUNT, &CONTACT, &LEAD];

/// Why a second record keeps a key that was not kept apart then.
const REASON: &str = "entered before its key was kept";

pub static IDENTITY_KEYS: Companion = Companion {
    name: "identity-keys",
    table: "identity_names",
    form: None,
    window: 1000,
    batch: 200,
    enter: |conn, resource, tenant, rows| {
        Box::pin(async move {
            for row in rows {
                enter(conn, resource, tenant, row).await?;
            }
            Ok(())
        })
    },
};

async fn enter(conn: &mut AsyncPgConnection, resource: &Resource, tenant: Uuid, row: &Row) -> AppResult<()> {
    let record = Named {
        tenant,
        kind: resource.singular,
        id: row.id,
    };
    let subject = Subject::of(resource, row.record());
    let lacking = keys::claim(conn, record, &subject).await?;
    keys::admit(conn, record, &lacking, REASON).await?;
    let is_converted = row
        .record()
        .get("status")
        .is_some_and(|status| status == "converted");
    if row.is_archived() || is_converted {
        return keys::retire(conn, record).await;
    }
    Ok(())
}
