//! A published version as deals are run by it: stages by id, gates compiled, criteria by id. Kept in the process, since a
//! published version never changes.

use super::course::{Course, Step};
use super::definition::{PipelineDocument, StageDocument};
use super::gate::Gate;
use super::queries::{self, Ids};
use super::vocabulary::{Known, Subjects};
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use diesel_async::AsyncPgConnection;
use moka::sync::Cache;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

/// A published or retired version, ready to run deals.
#[derive(Debug)]
pub struct Definition {
    pub pipeline_id: Uuid,
    pub version_id: Uuid,
    pub number: i32,
    /// The stages in order, with the edges between them.
    pub course: Course,
    pub document: PipelineDocument,
    stages: BTreeMap<Uuid, Stage>,
}

/// What a stage demands.
#[derive(Debug)]
pub struct Stage {
    pub gate: Gate,
    /// Criterion key to its id, which is the same in all versions.
    pub criteria: BTreeMap<String, Uuid>,
}

impl Definition {
    /// Lays out a document whose stages and criteria have these ids; compiles its gates.
    ///
    /// # Errors
    /// `unavailable` when there is no room to check expressions; internal when a stage or criterion has no id.
    pub fn new(
        pipeline_id: Uuid,
        version_id: Uuid,
        number: i32,
        document: PipelineDocument,
        ids: &Ids,
        known: &Known,
    ) -> AppResult<Definition> {
        let stage_ids = ids.iter().map(|(key, stage)| (key.clone(), stage.id)).collect();
        let course = Course::new(&document, &stage_ids)
            .ok_or_else(|| AppError::internal("a stage of a published version has no id"))?;
        let mut stages = BTreeMap::new();
        for stage in &document.stages {
            let Some(known_ids) = ids.get(&stage.key) else {
                continue;
            };
            let gate = Gate::compile(stage, known)?;
            let criteria = known_ids.criteria.clone();
            stages.insert(known_ids.id, Stage { gate, criteria });
        }
        Ok(Definition {
            pipeline_id,
            version_id,
            number,
            course,
            document,
            stages,
        })
    }

    /// The stage of that id: where it stands in the course.
    pub fn step(&self, stage_id: Uuid) -> Option<&Step> {
        self.course.step(stage_id)
    }

    pub fn step_by_key(&self, key: &str) -> Option<&Step> {
        self.course.steps().iter().find(|step| step.key == key)
    }

    /// The gate and criteria of the stage of that id.
    pub fn stage(&self, stage_id: Uuid) -> Option<&Stage> {
        self.stages.get(&stage_id)
    }

    /// The stage of that id as the document has it.
    pub fn stage_document(&self, stage_id: Uuid) -> Option<&StageDocument> {
        self.document.stages.get(self.step(stage_id)?.position)
    }
}

/// Kept for a while only, so that conditions over a custom field that comes back work again without a restart.
static DEFINITIONS: LazyLock<Cache<(Uuid, Uuid), Arc<Definition>>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(10_000)
        .time_to_live(Duration::from_secs(600))
        .build()
});

/// The runtime form of a version that is published or was. Costs no query when this process has it already. What the
/// asking transaction itself has published is not kept: it may still be rolled back.
///
/// # Errors
/// `not_found` for a draft or an unknown version; `unavailable` when there is no room to check expressions.
pub async fn definition(
    conn: &mut &AsyncPgConnection,
    subjects: &Subjects,
    tenant: Uuid,
    version_id: Uuid,
) -> AppResult<Arc<Definition>> {
    let key = (tenant, version_id);
    if let Some(found) = DEFINITIONS.get(&key) {
        return Ok(found);
    }
    let row = queries::published_version(conn, tenant, version_id)
        .await?
        .or_not_found()?;
    let known = Known::load(conn, subjects, tenant).await?;
    let made = Arc::new(Definition::new(
        row.pipeline_id,
        version_id,
        row.number,
        serde_json::from_value(row.document).map_err(AppError::internal)?,
        &serde_json::from_value(row.ids).map_err(AppError::internal)?,
        &known,
    )?);
    if !row.is_uncommitted {
        DEFINITIONS.insert(key, Arc::clone(&made));
    }
    Ok(made)
}
