//! Where gates in force ask for a process: as long as they do, it stays.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;

/// The versions of pipelines whose gates name the process `$2`, as far as they are in force: published, or with an open
/// deal on them.
const USES: &str = "\
SELECT p.key || ', version ' || v.number AS name \
FROM pipeline_versions v JOIN pipelines p ON p.tenant_id = v.tenant_id AND p.id = v.pipeline_id \
WHERE v.tenant_id = $1 \
AND jsonb_path_exists(v.document, '$.** ? (@.kind == \"approval\" && @.process == $process)', jsonb_build_object('process', $2::text)) \
AND ((p.archived_at IS NULL AND p.published_version_id = v.id) \
    OR EXISTS (SELECT 1 FROM opportunities o WHERE o.tenant_id = $1 AND o.pipeline_version_id = v.id \
        AND o.status = 'open' AND o.archived_at IS NULL)) \
ORDER BY p.key, v.number LIMIT 10";

#[derive(QueryableByName)]
struct Use {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Before a process is archived: deals behind gates that ask for it would be stuck.
pub fn before<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        match change.act {
            Act::Archive => require_unused(tx, ctx, change.text("key").unwrap_or_default()).await,
            Act::Create | Act::Update | Act::Restore => Ok(()),
        }
    })
}

async fn require_unused(tx: &mut Tx, ctx: &Ctx, key: &str) -> AppResult<()> {
    let query = sql_query(USES)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Text, _>(key);
    let uses: Vec<Use> = Cached(query).load(&mut **tx).await?;
    if uses.is_empty() {
        return Ok(());
    }
    let places = uses.iter().map(|it| it.name.as_str()).collect::<Vec<_>>();
    Err(AppError::refuse(
        Code::InUse,
        say(
            format!(
                "Gates ask for this approval in the pipelines: {}",
                places.join("; ")
            ),
            format!("以下销售流程的阶段门需要此审批：{}", places.join("；")),
        ),
    ))
}
