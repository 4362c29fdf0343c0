//! Scoring all leads anew, as a job: after a model has changed, or to see beforehand what it would do.

use super::apply::{self, Occasion};
use super::http::number;
use super::model;
use super::tally::Tally;
use super::versions;
use crate::jobs::{self, JobKind, JobRun, JobView, Progress, Step};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, post, web};
use diesel::sql_types::{BigInt, Nullable, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most leads of one chunk.
const CHUNK: usize = 500;

pub static RESCORE: JobKind = JobKind {
    name: "scoring.rescore",
    permission: "scoring.publish",
    step: |tx, ctx, run| Box::pin(step(tx, ctx, run)),
};

/// Whether leads are to be scored anew, or only what it would do is to be reported.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "is_preview": true }))]
pub struct Rescore {
    /// `true`: nothing is changed; also for drafts. `false`: for the published version only.
    is_preview: bool,
}

#[derive(Serialize, Deserialize)]
struct Params {
    version_id: Uuid,
    is_preview: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct Checkpoint {
    after: Option<Uuid>,
    tally: Tally,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Score all leads anew
///
/// A job whose result compares before and after: how many scores changed, how many leads cross the limits either way, how
/// many go on or are put to review, the distribution in steps of ten points, and who moved most. With `is_preview` nothing
/// is changed, and the version may be a draft. Converted, disqualified and archived leads stay as they are.
#[utoipa::path(tag = "scoring", operation_id = "rescore_leads", security(("bearer" = ["scoring.publish"])), request_body = Rescore,
    params(("number" = i32, Path, description = "Number of the version.", minimum = 1, example = 1)),
    responses((status = 202, description = "The job", body = JobView)))]
#[post("/v1/scoring-models/{id}/versions/{number}/rescore")]
pub async fn rescore_leads(
    request: HttpRequest,
    db: web::Data<Db>,
    id: Id,
    command: Command<Rescore>,
) -> AppResult<Reply> {
    let number = number(&request)?;
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        let version = versions::version(&mut &**tx, ctx.tenant, id.0, number)
            .await?
            .or_not_found()?;
        if !input.is_preview && version.state != "published" {
            return Err(not_published());
        }
        let query = sql_query(
            "SELECT count(*) AS count FROM leads t WHERE t.tenant_id = $1 AND t.archived_at IS NULL \
             AND t.status NOT IN ('converted', 'disqualified')",
        )
        .bind::<SqlUuid, _>(ctx.tenant);
        let total: CountRow = Cached(query).get_result(&mut **tx).await?;
        let params = json!(Params {
            version_id: version.id,
            is_preview: input.is_preview,
        });
        jobs::enqueue(tx, &ctx, &RESCORE, params, Some(total.count))
            .await?
            .accepted()
    })
    .await
}

fn not_published() -> AppError {
    AppError::refuse(
        Code::Conflict,
        say(
            "Leads are scored by the published version only; preview this one",
            "线索只按已发布的版本评分；可先预览此版本",
        ),
    )
}

async fn step(tx: &mut Tx, ctx: &Ctx, run: &JobRun) -> AppResult<Step> {
    let params: Params = serde_json::from_value(run.params.clone()).map_err(AppError::internal)?;
    let checkpoint = run.checkpoint.clone().map(serde_json::from_value);
    let Checkpoint { after, mut tally } = checkpoint
        .transpose()
        .map_err(AppError::internal)?
        .unwrap_or_default();
    let leads = next(&mut &**tx, ctx.tenant, after).await?;
    let last = leads.last().copied().filter(|_| leads.len() == CHUNK);
    let locked = apply::lock(tx, ctx.tenant, leads).await?;
    let model = model::model(&mut &**tx, ctx.tenant, params.version_id).await?;
    let moved = if params.is_preview {
        apply::preview(tx, ctx, &locked, params.version_id).await?
    } else {
        require_published(tx, ctx, params.version_id).await?;
        apply::apply(tx, ctx, &locked, Occasion::Refreshed).await?
    };
    tally.count(&model.limits, &moved);
    let progress = Progress {
        done: tally.leads,
        total: run.total,
        errors: Vec::new(),
    };
    match last {
        Some(last) => Ok(Step::More {
            progress,
            checkpoint: json!(Checkpoint {
                after: Some(last),
                tally
            }),
        }),
        None => Ok(Step::Done {
            progress,
            result: json!({
                "version_id": params.version_id, "is_preview": params.is_preview, "report": tally.report(),
            }),
        }),
    }
}

/// Another version may have been published meanwhile.
async fn require_published(tx: &mut Tx, ctx: &Ctx, version: Uuid) -> AppResult<()> {
    let query = sql_query(
        "SELECT v.id FROM scoring_model_versions v WHERE v.tenant_id = $1 AND v.id = $2 AND v.state = 'published'",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(version);
    let found: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    match found.as_slice() {
        [_] => Ok(()),
        _ => Err(not_published()),
    }
}

/// The next leads, in the order of their ids.
async fn next(conn: &mut &AsyncPgConnection, tenant: Uuid, after: Option<Uuid>) -> AppResult<Vec<Uuid>> {
    let query = sql_query(
        "SELECT t.id FROM leads t WHERE t.tenant_id = $1 AND ($2::uuid IS NULL OR t.id > $2) AND t.archived_at IS NULL \
         AND t.status NOT IN ('converted', 'disqualified') ORDER BY t.id LIMIT $3",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Nullable<SqlUuid>, _>(after)
    .bind::<BigInt, _>(i64::try_from(CHUNK).unwrap_or(i64::MAX));
    let rows: Vec<IdRow> = Cached(query).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
