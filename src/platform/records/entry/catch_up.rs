//! Search rows of records that lack theirs, or have one of an older form.

use super::{Entry, FORM, enter};
use crate::platform::records::catch_up::Companion;

pub static SEARCH_ENTRIES: Companion = Companion {
    name: "search-entries",
    table: "search_entries",
    form: Some(FORM),
    window: 2000,
    batch: 500,
    enter: |conn, resource, tenant, rows| {
        Box::pin(async move {
            let entries = rows
                .iter()
                .map(|row| Entry::of(resource, row.id, row.record(), !row.is_archived()));
            enter(conn, tenant, resource, &entries.collect::<Vec<_>>()).await
        })
    },
};
