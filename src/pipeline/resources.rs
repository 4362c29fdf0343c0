//! Pipelines as the API shows them.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::spec::Act;
use crate::platform::records::versions::MEMBERS as VERSION_MEMBERS;
use crate::platform::records::{Access, Change, Hooks, Member, Resource, Verbs};
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

pub static PIPELINE: Resource = Resource {
    singular: "pipeline",
    plural: "pipelines",
    table: "pipelines",
    tag: "pipelines",
    about: "A sales process of the company. What it is stands in its versions; name and description are those of the published one.",
    permission: "pipeline",
    access: Access::Shared,
    verbs: Verbs::NO_CREATE,
    members: &[
        Member {
            most: 63,
            ..Member::key("key", "Stable key, as in its document.", "\"b2b\"")
        }
        .required()
        .read_only()
        .filter()
        .sort(),
        Member::text("name", 200, "Name, as in its document.", "\"标准销售流程\"")
            .required()
            .read_only()
            .search()
            .sort(),
        Member::text("description", 5000, "Whom it is for.", "null").read_only(),
        Member::id(
            "published_version_id",
            "The version that new deals enter; null until one is published.",
        )
        .read_only(),
        Member::int(
            "published_number",
            1,
            1_000_000,
            "Number of the published version; null until there is one.",
            "1",
        )
        .computed("SELECT v.number FROM pipeline_versions v WHERE v.tenant_id = t.tenant_id AND v.id = t.published_version_id"),
        Member::int(
            "draft_number",
            1,
            1_000_000,
            "Number of the draft; null when there is none.",
            "2",
        )
        .computed("SELECT v.number FROM pipeline_versions v WHERE v.tenant_id = t.tenant_id AND v.pipeline_id = t.id AND v.state = 'draft'"),
        Member::flag(
            "is_default",
            "false",
            "Whether deals enter it that name no pipeline; making one the default takes that from the other.",
        ),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(keep_one_default),
        ..Hooks::NONE
    },
};

/// A version in lists; its document is read by number. Not among the declared resources, since it is found by number.
pub static VERSION: Resource = Resource {
    singular: "pipeline_version",
    plural: "versions",
    table: "pipeline_versions",
    tag: "pipelines",
    about: "A version of a pipeline.",
    permission: "pipeline",
    access: Access::Part {
        parent: &PIPELINE,
        key: "pipeline_id",
        closed_sql: None,
    },
    verbs: Verbs::READ,
    members: VERSION_MEMBERS,
    default_sort: "-number",
    hooks: Hooks::NONE,
};

#[derive(QueryableByName)]
struct Former {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// A company has at most one default pipeline, and never an archived one; one that is made the default is published.
fn keep_one_default<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act == Act::Archive {
            if change.before.get("is_default") == Some(&Value::Bool(true)) {
                return Err(AppError::refuse(
                    Code::InUse,
                    say(
                        "It is the company's default pipeline; make another the default first",
                        "这是企业的默认销售流程；请先将其他流程设为默认",
                    ),
                ));
            }
            change.after.insert("is_default".to_owned(), json!(false));
        }
        let becomes_default = change.changed("is_default") && change.after["is_default"] == Value::Bool(true);
        if !becomes_default {
            return Ok(());
        }
        if change
            .after
            .get("published_version_id")
            .is_none_or(Value::is_null)
        {
            let reason = say(
                "no version of it is published yet: deals could not enter",
                "尚无已发布的版本,商机无法进入",
            );
            let fault = Fault::new("/is_default", "not_published", reason);
            return Err(AppError::invalid(vec![fault]));
        }
        let former: Vec<Former> = sql_query(
            "UPDATE pipelines SET is_default = FALSE, version = version + 1, updated_at = $3 \
             WHERE tenant_id = $1 AND id <> $2 AND is_default RETURNING id",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(change.id)
        .bind::<Timestamptz, _>(ctx.now)
        .load(&mut **tx)
        .await?;
        for former in former {
            let changes = json!({ "changes": { "is_default": { "before": true, "after": false } } });
            tx.record(Event::new("pipeline.updated", "pipeline", former.id, changes));
        }
        Ok(())
    })
}
