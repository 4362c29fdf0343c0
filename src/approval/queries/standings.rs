//! How the approvals of one stay in a stage stand.

use super::Conn;
use crate::approval::content;
use crate::approval::definition::SubjectKind;
use crate::approval::rows::word;
use crate::approval::state::RequestState;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Cached;
use diesel::sql_types::{Array, Binary, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What the gate needs to know of the approvals of one stay in a stage, by criterion.
#[derive(Debug, Clone)]
pub struct Standing {
    pub criterion_id: Option<Uuid>,
    pub request_id: Uuid,
    pub process_id: Uuid,
    pub process_key: String,
    pub state: RequestState,
    /// Who has yet to decide now: id and name.
    pub waiting_for: Vec<(Uuid, String)>,
    content: Vec<String>,
    content_hash: Vec<u8>,
}

impl Standing {
    /// Whether the subject, in its wire JSON, is still what was asked about; a grant holds only then.
    #[must_use]
    pub fn covers(&self, subject: &Value) -> bool {
        content::hash(&self.content, subject) == self.content_hash
    }
}

#[derive(QueryableByName)]
struct StandingRow {
    #[diesel(sql_type = SqlUuid)]
    subject_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    criterion_id: Option<Uuid>,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    process_id: Uuid,
    #[diesel(sql_type = Text)]
    process_key: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Binary)]
    content_hash: Vec<u8>,
    #[diesel(sql_type = Jsonb)]
    content: Value,
    #[diesel(sql_type = Jsonb)]
    waiting_for: Value,
}

impl StandingRow {
    fn read(self) -> AppResult<Standing> {
        Ok(Standing {
            criterion_id: self.criterion_id,
            request_id: self.id,
            process_id: self.process_id,
            process_key: self.process_key,
            state: word(&self.state)?,
            waiting_for: serde_json::from_value(self.waiting_for).map_err(AppError::internal)?,
            content: serde_json::from_value(self.content).map_err(AppError::internal)?,
            content_hash: self.content_hash,
        })
    }
}

/// The latest request for each criterion and process of one visit ($3, $4) or, where these are arrays, of many.
macro_rules! standings {
    ($about:literal) => {
        concat!("\
SELECT DISTINCT ON (t.subject_id, t.visit_id, t.criterion_id, t.process_id) t.subject_id, t.criterion_id, t.id, t.process_id, p.key AS process_key, t.state, t.content_hash, \
    coalesce(v.document->'content', '[]'::jsonb) AS content, \
    coalesce((SELECT jsonb_agg(w.who ORDER BY w.first_seat) FROM (SELECT jsonb_build_array(u.id, u.name) AS who, min(s.id::text) AS first_seat FROM approval_seats s \
        JOIN approval_steps st ON st.tenant_id = $1 AND st.id = s.step_id AND st.state = 'open' \
        JOIN users u ON u.tenant_id = $1 AND u.id = s.user_id \
        WHERE s.tenant_id = $1 AND s.request_id = t.id AND s.decision IS NULL AND s.replaced_by IS NULL GROUP BY u.id, u.name) w), '[]'::jsonb) AS waiting_for \
FROM approval_requests t \
JOIN approval_processes p ON p.tenant_id = $1 AND p.id = t.process_id \
JOIN approval_process_versions v ON v.tenant_id = $1 AND v.id = t.process_version_id \
WHERE t.tenant_id = $1 AND t.subject_kind = $2 AND ", $about, " \
ORDER BY t.subject_id, t.visit_id, t.criterion_id, t.process_id, t.requested_at DESC, t.id DESC")
    };
}

const STANDINGS: &str = standings!("t.subject_id = $3 AND t.visit_id = $4");
const STANDINGS_OF_MANY: &str = standings!(
    "(t.subject_id, t.visit_id) IN (SELECT v.subject_id, v.visit_id FROM unnest($3, $4) AS v (subject_id, visit_id))"
);

/// The latest request for each criterion and process of a visit.
///
/// # Errors
/// Database errors.
pub async fn standings(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    subject_kind: SubjectKind,
    subject_id: Uuid,
    visit_id: Uuid,
) -> AppResult<Vec<Standing>> {
    let kind: &'static str = subject_kind.into();
    let rows: Vec<StandingRow> = Cached(
        sql_query(STANDINGS)
            .bind::<SqlUuid, _>(tenant)
            .bind::<Text, _>(kind)
            .bind::<SqlUuid, _>(subject_id)
            .bind::<SqlUuid, _>(visit_id),
    )
    .load(conn)
    .await?;
    rows.into_iter().map(StandingRow::read).collect()
}

/// [`standings`] of many subjects, each with its visit, by subject.
///
/// # Errors
/// Database errors.
pub async fn standings_of_many(
    conn: Conn<'_, '_>,
    tenant: Uuid,
    subject_kind: SubjectKind,
    visits: &[(Uuid, Uuid)],
) -> AppResult<BTreeMap<Uuid, Vec<Standing>>> {
    let kind: &'static str = subject_kind.into();
    let (subjects, visits): (Vec<Uuid>, Vec<Uuid>) = visits.iter().copied().unzip();
    let rows: Vec<StandingRow> = Cached(
        sql_query(STANDINGS_OF_MANY)
            .bind::<SqlUuid, _>(tenant)
            .bind::<Text, _>(kind)
            .bind::<Array<SqlUuid>, _>(subjects)
            .bind::<Array<SqlUuid>, _>(visits),
    )
    .load(conn)
    .await?;
    let mut found: BTreeMap<Uuid, Vec<Standing>> = BTreeMap::new();
    for row in rows {
        found.entry(row.subject_id).or_default().push(row.read()?);
    }
    Ok(found)
}
