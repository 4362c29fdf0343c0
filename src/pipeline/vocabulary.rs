//! What expressions of a gate may read, in the wire form of the records. It follows from the declarations; sensitive
//! members (our floor, the limits of a negotiation plan) are left out: a gate is shown to everyone who sees the deal.

use crate::kernel::error::AppResult;
use crate::kernel::expression::Vocabulary;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::Resource;
use crate::platform::records::custom;
use crate::platform::records::vocabulary as of;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What gates are about. The later area that has these records hands them in.
#[derive(Clone, Copy)]
pub struct Subjects {
    pub opportunity: &'static Resource,
    /// Read as the member `account` of the opportunity.
    pub account: &'static Resource,
    /// What `record` criteria count, each by its singular name.
    pub records: &'static [&'static Resource],
}

/// What the company has that a pipeline document may name.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The members that `field` criteria read.
    pub opportunity: Vocabulary,
    /// The kinds of `record` criteria, each with the members that its conditions read.
    pub records: BTreeMap<String, Vocabulary>,
    /// The keys of the published approval processes.
    pub processes: BTreeSet<String>,
}

#[derive(QueryableByName)]
struct ProcessRow {
    #[diesel(sql_type = Text)]
    key: String,
}

impl Known {
    /// The subjects with a company's custom fields and approval processes.
    pub fn new(
        subjects: &Subjects,
        opportunity_custom: Vocabulary,
        account_custom: Vocabulary,
        processes: impl IntoIterator<Item = String>,
    ) -> Known {
        let account = of::vocabulary(subjects.account).with_record("custom", account_custom);
        let records = subjects.records.iter();
        Known {
            opportunity: of::vocabulary(subjects.opportunity)
                .with_record("account", account)
                .with_record("custom", opportunity_custom),
            records: records
                .map(|resource| (resource.singular.to_owned(), of::vocabulary(resource)))
                .collect(),
            processes: processes.into_iter().collect(),
        }
    }

    /// Keeps what gates may name as it is until the transaction ends: fields first, then processes, as everybody does who
    /// locks both.
    ///
    /// # Errors
    /// Database errors.
    pub async fn hold(tx: &mut Tx, subjects: &Subjects, tenant: Uuid) -> AppResult<()> {
        custom::hold(
            tx,
            tenant,
            &[subjects.account.singular, subjects.opportunity.singular],
        )
        .await?;
        let query = sql_query(
            "SELECT 1 FROM approval_processes WHERE tenant_id = $1 AND subject_kind = $2 \
             AND published_number IS NOT NULL AND archived_at IS NULL ORDER BY id FOR SHARE",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Text, _>(subjects.opportunity.singular);
        Cached(query).execute(&mut **tx).await?;
        Ok(())
    }

    /// What a company has now.
    ///
    /// # Errors
    /// Database errors.
    pub async fn load(conn: &mut &AsyncPgConnection, subjects: &Subjects, tenant: Uuid) -> AppResult<Known> {
        let opportunity = custom::definitions(conn, tenant, subjects.opportunity.singular).await?;
        let account = custom::definitions(conn, tenant, subjects.account.singular).await?;
        let query = sql_query(
            "SELECT key FROM approval_processes WHERE tenant_id = $1 AND subject_kind = $2 \
             AND published_number IS NOT NULL AND archived_at IS NULL",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Text, _>(subjects.opportunity.singular);
        let processes: Vec<ProcessRow> = Cached(query).load(conn).await?;
        Ok(Known::new(
            subjects,
            of::custom(&opportunity),
            of::custom(&account),
            processes.into_iter().map(|row| row.key),
        ))
    }
}
