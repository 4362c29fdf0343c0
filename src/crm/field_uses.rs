//! Where a field of the company's own is in use: it stays as long as conditions in force read it, and a choice as long as
//! live records have it.

use super::field_index::TABLES;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::Change;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// The places in force that read a field, by name; a handful of published documents each. A pipeline's version is in force
/// while it is the published one, or an open deal is on it. `$2`: the pattern in conditions over the record that has the
/// field; `$3`: in those of gates; `$4`: the record.
const USES: &str = "\
SELECT DISTINCT u.name FROM ( \
    SELECT 'pipeline ' || p.key || ', version ' || v.number AS name \
    FROM pipeline_versions v JOIN pipelines p ON p.tenant_id = v.tenant_id AND p.id = v.pipeline_id \
    WHERE v.tenant_id = $1 AND $4 IN ('opportunity', 'account') \
    AND EXISTS (SELECT 1 FROM jsonb_path_query(v.document, '$.**.expression') e WHERE e #>> '{}' ~ $3) \
    AND ((p.archived_at IS NULL AND p.published_version_id = v.id) \
        OR EXISTS (SELECT 1 FROM opportunities o WHERE o.tenant_id = $1 AND o.pipeline_version_id = v.id \
            AND o.status = 'open' AND o.archived_at IS NULL)) \
    UNION ALL \
    SELECT 'approval process ' || p.key FROM approval_process_versions v \
    JOIN approval_processes p ON p.tenant_id = v.tenant_id AND p.id = v.process_id \
    WHERE v.tenant_id = $1 AND v.state = 'published' AND p.archived_at IS NULL AND p.subject_kind = $4 \
    AND EXISTS (SELECT 1 FROM jsonb_path_query(v.document, '$.**.condition') e WHERE e #>> '{}' ~ $2) \
    UNION ALL \
    SELECT 'scoring model ' || m.key FROM scoring_model_versions v \
    JOIN scoring_models m ON m.tenant_id = v.tenant_id AND m.id = v.model_id \
    WHERE v.tenant_id = $1 AND v.state = 'published' AND m.archived_at IS NULL AND $4 = 'lead' \
    AND EXISTS (SELECT 1 FROM jsonb_path_query(v.document, '$.**.condition') e WHERE e #>> '{}' ~ $2) \
    UNION ALL \
    SELECT 'assignment rule ' || r.name FROM assignment_rules r \
    WHERE r.tenant_id = $1 AND r.archived_at IS NULL AND $4 = 'lead' AND r.condition ~ $2 \
) u ORDER BY u.name LIMIT 10";

#[derive(QueryableByName)]
struct Use {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Refuses to archive a field that a condition in force reads: it could no longer be computed.
///
/// # Errors
/// `in_use`, with the places.
pub async fn require_unused(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let (resource, key) = (
        change.text("resource").unwrap_or_default(),
        change.text("key").unwrap_or_default(),
    );
    // A key is a name of letters, digits and underscores, so it is its own pattern.
    let own = format!(r"(?<![.\w])custom\s*\.\s*{key}\M");
    let of_gates = match resource {
        "account" => format!(r"(?<![.\w])account\s*\.\s*custom\s*\.\s*{key}\M"),
        _ => own.clone(),
    };
    let query = sql_query(USES)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Text, _>(own)
        .bind::<Text, _>(of_gates)
        .bind::<Text, _>(resource);
    let uses: Vec<Use> = Cached(query).load(&mut **tx).await?;
    if uses.is_empty() {
        return Ok(());
    }
    let places = uses.iter().map(|it| it.name.as_str()).collect::<Vec<_>>();
    Err(AppError::refuse(
        Code::InUse,
        say(
            format!("Conditions read this field in: {}", places.join("; ")),
            format!("以下位置的条件使用此字段：{}", places.join("；")),
        ),
    ))
}

/// Refuses to take a choice away that live records have: they could not be found by it any more.
///
/// # Errors
/// `in_use`, with the choices.
pub async fn require_choices_kept(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let after = choices(change.after.get("choices"));
    let gone = choices(change.before.get("choices"))
        .into_iter()
        .filter(|choice| !after.contains(choice))
        .collect::<Vec<_>>();
    let resource = change.text("resource").unwrap_or_default();
    let Some((_, table)) = TABLES.iter().find(|(singular, _)| *singular == resource) else {
        return Ok(());
    };
    if gone.is_empty() {
        return Ok(());
    }
    let query = sql_query(format!(
        "SELECT c AS name FROM unnest($3) c WHERE EXISTS (SELECT 1 FROM {table} r WHERE r.tenant_id = $1 \
         AND r.archived_at IS NULL AND r.custom @> jsonb_build_object($2, c)) ORDER BY c"
    ))
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(change.text("key").unwrap_or_default())
    .bind::<Array<Text>, _>(gone);
    let used: Vec<Use> = Cached(query).load(&mut **tx).await?;
    if used.is_empty() {
        return Ok(());
    }
    let used = used.iter().map(|it| it.name.as_str()).collect::<Vec<_>>();
    Err(AppError::refuse(
        Code::InUse,
        say(
            format!(
                "Records have these choices; change them first: {}",
                used.join("; ")
            ),
            format!("以下选项仍有记录使用，请先修改这些记录：{}", used.join("；")),
        ),
    ))
}

fn choices(of: Option<&Value>) -> Vec<String> {
    let listed = of.and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}
