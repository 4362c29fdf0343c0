//! What was published never changes: by it gates decided, and leads were scored.

use super::Finding;
use crate::kernel::error::AppResult;
use crate::platform::events::{content_hash, to_hex};
use diesel::sql_types::{Binary, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

/// Each with the hash that the event of its publication has: whoever rewrote the document and its hash could not rewrite
/// that, which the chain holds.
const PIPELINES: &str = "\
SELECT v.tenant_id, 'pipeline_version ' || v.id AS record, v.document, v.document_hash, (SELECT d.data ->> 'document_hash'
    FROM events e JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id WHERE e.tenant_id = v.tenant_id
    AND e.subject_kind = 'pipeline_version' AND e.subject_id = v.id AND e.kind = 'pipeline_version.published' LIMIT 1) AS published
FROM pipeline_versions v WHERE v.state <> 'draft' ORDER BY v.tenant_id, v.id";

const SCORING_MODELS: &str = "\
SELECT v.tenant_id, 'scoring_model_version ' || v.id AS record, v.document, v.document_hash, (SELECT d.data ->> 'document_hash'
    FROM events e JOIN event_payloads d ON d.tenant_id = e.tenant_id AND d.event_id = e.id WHERE e.tenant_id = v.tenant_id
    AND e.subject_kind = 'scoring_model_version' AND e.subject_id = v.id AND e.kind = 'scoring_model_version.published' LIMIT 1) AS published
FROM scoring_model_versions v WHERE v.state <> 'draft' ORDER BY v.tenant_id, v.id";

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = Text)]
    record: String,
    #[diesel(sql_type = Jsonb)]
    document: Value,
    #[diesel(sql_type = Binary)]
    document_hash: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    published: Option<String>,
}

impl Version {
    fn is_as_published(&self) -> bool {
        let hash = content_hash(&self.document);
        let is_as_told = self.published.as_ref().is_none_or(|told| *told == to_hex(&hash));
        hash == self.document_hash && is_as_told
    }
}

pub(super) async fn check(conn: &mut AsyncPgConnection) -> AppResult<Vec<Finding>> {
    let mut findings = Vec::new();
    for statement in [PIPELINES, SCORING_MODELS] {
        let versions: Vec<Version> = sql_query(statement).load(conn).await?;
        let changed = versions.into_iter().filter(|version| !version.is_as_published());
        findings.extend(changed.map(|version| Finding {
            invariant: 3,
            tenant: version.tenant_id,
            record: version.record,
            sentence: "its document is not the one that was published".to_owned(),
        }));
    }
    Ok(findings)
}
