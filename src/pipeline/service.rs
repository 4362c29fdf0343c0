//! stand-in
use super::course::Course;
use super::definition::{PipelineDocument, StageDocument};
use super::gate::Gate;
use super::vocabulary::Known;
use crate::kernel::error::{AppError, AppResult};
use diesel::QueryableByName;
use diesel::sql_types::{Jsonb, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use uuid::Uuid;

pub struct Definition {
    pub version_id: Uuid,
    pub course: Course,
    pub document: PipelineDocument,
    gates: HashMap<Uuid, Gate>,
    criteria: HashMap<(Uuid, String), Uuid>,
}
impl Definition {
    pub fn gate(&self, stage: Uuid) -> Option<&Gate> {
        self.gates.get(&stage)
    }
    pub fn stage(&self, stage: Uuid) -> Option<&StageDocument> {
        self.document.stage(&self.course.step(stage)?.key)
    }
    pub fn criterion_id(&self, stage: Uuid, key: &str) -> Option<Uuid> {
        self.criteria.get(&(stage, key.to_owned())).copied()
    }
}
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    document: serde_json::Value,
}
#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    stage_id: Uuid,
    #[diesel(sql_type = Text)]
    key: String,
}
type Store = Mutex<HashMap<Uuid, Arc<Definition>>>;
pub async fn definition(conn: &mut &AsyncPgConnection, tenant: Uuid, version_id: Uuid) -> AppResult<Arc<Definition>> {
    static CACHE: OnceLock<Store> = OnceLock::new();
    let cache = CACHE.get_or_init(Store::default);
    if let Ok(cache) = cache.lock() && let Some(found) = cache.get(&version_id) {
        return Ok(found.clone());
    }
    let row: Row = diesel::sql_query("SELECT document FROM pipeline_versions WHERE tenant_id = $1 AND id = $2").bind::<SqlUuid, _>(tenant).bind::<SqlUuid, _>(version_id).get_result(conn).await?;
    let document: PipelineDocument = serde_json::from_value(row.document).map_err(AppError::internal)?;
    let stages: Vec<IdRow> = diesel::sql_query("SELECT s.id, s.id AS stage_id, s.key FROM version_stages v JOIN stages s ON s.tenant_id = v.tenant_id AND s.id = v.stage_id WHERE v.tenant_id = $1 AND v.version_id = $2").bind::<SqlUuid, _>(tenant).bind::<SqlUuid, _>(version_id).load(conn).await?;
    let criteria: Vec<IdRow> = diesel::sql_query("SELECT c.id, c.stage_id, c.key FROM version_stages v JOIN criteria c ON c.tenant_id = v.tenant_id AND c.stage_id = v.stage_id WHERE v.tenant_id = $1 AND v.version_id = $2").bind::<SqlUuid, _>(tenant).bind::<SqlUuid, _>(version_id).load(conn).await?;
    let ids: BTreeMap<String, Uuid> = stages.into_iter().map(|row| (row.key, row.id)).collect();
    let known = Known::new(crate::kernel::expression::Vocabulary::new(), crate::kernel::expression::Vocabulary::new(), []);
    let mut gates = HashMap::new();
    for stage in &document.stages {
        gates.insert(ids[&stage.key], Gate::compile(stage, &known)?);
    }
    let course = Course::new(&document, &ids).ok_or_else(|| AppError::internal("stages"))?;
    let found = Arc::new(Definition { version_id, course, document, gates, criteria: criteria.into_iter().map(|row| ((row.stage_id, row.key), row.id)).collect() });
    if let Ok(mut cache) = cache.lock() {
        cache.insert(version_id, found.clone());
    }
    Ok(found)
}
