//! What a migration sets out with: the versions, the mapping, the deals; every fault of it at once.

use super::plan::{Left, Mapping};
use super::queries::{self, OpenRow, VersionRow};
use super::wire::MigrateDeals;
use super::{Course, Terms};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::opportunity::SUBJECTS;
use crate::pipeline::service::{Definition, definition};
use diesel_async::AsyncPgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A migration that can be made.
pub struct SettingOut {
    pub course: Course,
    pub terms: Terms,
    /// Stage key to stage key, of every stage left that leads somewhere.
    pub stages: BTreeMap<String, String>,
    pub from_version_ids: Vec<Uuid>,
    pub from_versions: Vec<i32>,
    /// How many deals it is about, by number of the version and stage.
    pub open: BTreeMap<(i32, Uuid), i64>,
    /// How many in all.
    pub total: i64,
}

/// Reads what somebody wants of a visible pipeline.
///
/// # Errors
/// `invalid` with every fault.
pub async fn read(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    pipeline: Uuid,
    input: &MigrateDeals,
) -> AppResult<SettingOut> {
    let versions = queries::versions(conn, ctx.tenant, pipeline).await?;
    let open = queries::open_deals(conn, ctx.tenant, pipeline).await?;
    let mut faults = Vec::new();
    let to = entered(&versions, input.to_version, &mut faults);
    let left = left(&versions, &open, to, input.from_versions.as_deref(), &mut faults);
    let Some(to) = to else {
        return Err(AppError::invalid(faults));
    };
    let to = definition(conn, &SUBJECTS, ctx.tenant, to.id).await?;
    let mut definitions = Vec::new();
    for version in &left {
        definitions.push(definition(conn, &SUBJECTS, ctx.tenant, version.id).await?);
    }
    let counted = definitions.iter().map(|definition| Left {
        definition,
        open: open_in(&open, definition),
    });
    let counted = counted.collect::<Vec<_>>();
    let mapping = Mapping::resolve(&counted, &to, &input.stages);
    let mapping = mapping.unwrap_or_else(|more| {
        faults.extend(more);
        Mapping::default()
    });
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    let stages = mapping.keys(&counted, &to);
    let open = counted.iter().flat_map(|left| {
        let number = left.definition.number;
        left.open
            .iter()
            .map(move |(stage, open)| ((number, *stage), *open))
    });
    let open = open.collect::<BTreeMap<_, _>>();
    let total = open.values().sum();
    let chances = queries::chances(conn, ctx.tenant, to.version_id).await?;
    Ok(SettingOut {
        stages,
        from_version_ids: left.iter().map(|version| version.id).collect(),
        from_versions: left.iter().map(|version| version.number).collect(),
        open,
        total,
        terms: Terms {
            mapping,
            answers: input.answers,
            reason: input.reason.clone(),
        },
        course: Course {
            left: definitions,
            to,
            chances,
        },
    })
}

/// The course and terms of a migration as it was kept.
///
/// # Errors
/// Database errors.
pub async fn of_row(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    row: &queries::MigrationRow,
) -> AppResult<(Course, Terms)> {
    let to = definition(conn, &SUBJECTS, ctx.tenant, row.to_version_id).await?;
    let mut left: Vec<Arc<Definition>> = Vec::new();
    for version in &row.from_version_ids {
        left.push(definition(conn, &SUBJECTS, ctx.tenant, *version).await?);
    }
    let all = left.iter().map(Arc::as_ref).collect::<Vec<_>>();
    let terms = Terms {
        mapping: Mapping::of_keys(&all, &to, &row.stages()?),
        answers: row.answers()?,
        reason: row.reason.clone(),
    };
    let chances = queries::chances(conn, ctx.tenant, to.version_id).await?;
    Ok((Course { left, to, chances }, terms))
}

fn open_in(open: &[OpenRow], definition: &Definition) -> BTreeMap<Uuid, i64> {
    let here = open.iter().filter(|row| row.version_id == definition.version_id);
    here.map(|row| (row.stage_id, row.open)).collect()
}

/// The version entered: the one now published.
fn entered<'a>(
    versions: &'a [VersionRow],
    number: Option<i32>,
    faults: &mut Vec<Fault>,
) -> Option<&'a VersionRow> {
    let at = "/to_version";
    let published = versions.iter().find(|version| version.state == "published");
    let wanted = match number {
        None => published,
        Some(number) => versions.iter().find(|version| version.number == number),
    };
    if number.is_some() && wanted.is_none() {
        faults.push(Fault::not_found(at));
    } else if wanted.is_none_or(|version| version.state != "published") {
        let message = match published {
            Some(published) => say(
                format!("must be the published version, {}", published.number),
                format!("必须是已发布的版本 {}", published.number),
            ),
            None => say(
                "the pipeline has no published version",
                "该销售流程尚无已发布的版本",
            ),
        };
        faults.push(Fault::new(at, "not_published", message));
    }
    wanted.filter(|version| version.state == "published")
}

/// The versions left: those named, or all others with open deals.
fn left<'a>(
    versions: &'a [VersionRow],
    open: &[OpenRow],
    to: Option<&VersionRow>,
    numbers: Option<&[i32]>,
    faults: &mut Vec<Fault>,
) -> Vec<&'a VersionRow> {
    let is_to = |version: &VersionRow| to.is_some_and(|to| to.id == version.id);
    let Some(numbers) = numbers else {
        let has_open = |version: &&VersionRow| open.iter().any(|row| row.version_id == version.id);
        let others = versions.iter().filter(has_open);
        return others.filter(|version| !is_to(version)).collect();
    };
    let mut left: Vec<&VersionRow> = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let at = format!("/from_versions/{index}");
        match versions.iter().find(|version| version.number == *number) {
            None => faults.push(Fault::not_found(at)),
            Some(version) if is_to(version) => {
                faults.push(Fault::invalid(at, "is the version entered", "与目标版本相同"))
            }
            Some(version) if version.state == "draft" => faults.push(Fault::invalid(
                at,
                "is a draft; no opportunity is on it",
                "是草稿，没有商机使用它",
            )),
            Some(version) if left.iter().any(|known| known.id == version.id) => {
                faults.push(Fault::invalid(at, "is named twice", "重复"));
            }
            Some(version) => left.push(version),
        }
    }
    left.sort_by_key(|version| version.number);
    left
}
