//! The operations on merges, made for each main record by one macro.

use super::service::{self, MergeInput};
use super::undo;
use crate::crm::pool::Deals;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Db};
use crate::platform::merging::Links;
use crate::platform::records::{Resource, store};
use crate::platform::reply::Reply;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a merge did.
#[derive(Serialize, ToSchema)]
pub struct MergeView {
    /// The merge, by which it can be undone.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    merge_id: Uuid,
    /// The records that ended; reading them leads to the one that goes on.
    #[schema(example = json!(["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"]))]
    merged_ids: Vec<Uuid>,
    /// How many rows now name the record that goes on, by table and column.
    #[schema(example = json!({"contacts.account_id": 2, "opportunities.account_id": 1}))]
    moved: BTreeMap<String, i64>,
    /// The record that goes on.
    #[schema(value_type = Object, example = json!({"id": "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a", "name": "恒信智联有限公司"}))]
    survivor: Map<String, Value>,
}

/// What undoing a merge did.
#[derive(Serialize, ToSchema)]
pub struct UndoneMergeView {
    /// The merge.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    merge_id: Uuid,
    /// The records that live again.
    #[schema(example = json!(["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"]))]
    restored_ids: Vec<Uuid>,
    /// How many rows went back, by table and column.
    #[schema(example = json!({"contacts.account_id": 2}))]
    returned: BTreeMap<String, i64>,
    /// What is no longer where the merge put it, and stays.
    not_returned: Vec<NotReturned>,
    /// Members of the record that went on which were changed since, and stay.
    #[schema(example = json!(["name"]))]
    kept_members: Vec<String>,
}

/// A row that did not go back.
#[derive(Serialize, ToSchema)]
pub struct NotReturned {
    /// Its table and column.
    #[schema(example = "contacts.account_id")]
    link: String,
    /// Its id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2d")]
    id: Uuid,
}

/// One merge into a record.
#[derive(Serialize, ToSchema, QueryableByName)]
pub struct MergeNote {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    id: Uuid,
    /// The records that it ended; none once it is undone.
    #[diesel(sql_type = Array<SqlUuid>)]
    #[schema(example = json!(["0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b"]))]
    merged_ids: Vec<Uuid>,
    /// Who did it.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2e")]
    merged_by: Option<Uuid>,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    #[schema(example = "2024-03-05T08:30:00Z")]
    created_at: DateTime<Utc>,
    /// When it was undone.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    #[schema(example = json!(null))]
    undone_at: Option<DateTime<Utc>>,
}

/// The merges into a record.
#[derive(Serialize, ToSchema)]
pub struct MergeNotes {
    /// The merges, newest first; at most a hundred.
    data: Vec<MergeNote>,
    /// Always null: the list has one page.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
}

/// # Errors
/// Those of [`service::merge`].
pub async fn merge(
    db: &Db,
    links: &Links,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    input: &MergeInput,
) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        let merged = service::merge(tx, ctx, &links.0, resource, id, input).await?;
        Reply::ok(&MergeView {
            merge_id: merged.id,
            merged_ids: input.loser_ids.clone(),
            moved: merged.moved,
            survivor: merged.survivor,
        })
    })
    .await
}

/// # Errors
/// Those of [`undo::undo`].
pub async fn take_back(
    db: &Db,
    (links, deals): (&Links, Deals),
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    merge: Uuid,
) -> AppResult<Reply> {
    db.write(ctx, async |tx| {
        let undone = undo::undo(tx, ctx, (&links.0, deals), resource, id, merge).await?;
        let not_returned = undone
            .not_returned
            .into_iter()
            .map(|(link, id)| NotReturned { link, id });
        Reply::ok(&UndoneMergeView {
            merge_id: merge,
            restored_ids: undone.restored,
            returned: undone.returned,
            not_returned: not_returned.collect(),
            kept_members: undone.kept_members,
        })
    })
    .await
}

/// # Errors
/// `not_found` when the caller does not see the record.
pub async fn list(db: &Db, ctx: &Ctx, resource: &'static Resource, id: Uuid) -> AppResult<Reply> {
    db.read(async |conn| store::require_visible(conn, ctx, resource, id).await)
        .await?;
    let data: Vec<MergeNote> = db
        .read(async |conn| {
            let query = sql_query(
                "SELECT m.id, ARRAY(SELECT r.record_id FROM merged_records r WHERE r.tenant_id = $1 AND r.merge_id = m.id ORDER BY 1) AS merged_ids, \
                    m.merged_by, m.created_at, m.undone_at FROM merges m \
                 WHERE m.tenant_id = $1 AND m.record_kind = $2 AND m.survivor_id = $3 ORDER BY m.id DESC LIMIT 100",
            )
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<Text, _>(resource.singular)
            .bind::<SqlUuid, _>(id);
            Ok(Cached(query).load(conn).await?)
        })
        .await?;
    Ok(Reply::ok(&MergeNotes {
        data,
        next_cursor: None,
    })?
    .with_weak_tag())
}

macro_rules! merges_of {
    ($module:ident, $resource:path, tag = $tag:tt, read = $read:tt, permission = $permission:tt,
     merge = [$merge:tt, $merge_id:tt], list = [$list:tt, $list_id:tt], undo = [$undo:tt, $undo_id:tt]) => {
        pub mod $module {
            use super::{MergeNotes, MergeView, UndoneMergeView};
            use crate::crm::merging::service::MergeInput;
            use crate::crm::pool::Deals;
            use crate::kernel::ctx::Ctx;
            use crate::kernel::error::AppResult;
            use crate::platform::db::Db;
            use crate::platform::gatekeeper::{Command, Id, path_id};
            use crate::platform::merging::Links;
            use crate::platform::reply::Reply;
            use actix_web::{HttpRequest, get, post, web};
            use utoipa_actix_web::service_config::ServiceConfig;

            pub fn routes(config: &mut ServiceConfig) {
                config.service(merge).service(list).service(undo);
            }

            /// Merge records into this one
            ///
            /// This one goes on with everything that the others have: what names them names this one, their participants and
            /// external ids move, and it can be found by their phones and e-mails. What it lacks it gets from the first of them
            /// that has it; `choices` says otherwise member by member. They are archived, and reading them leads here. All or
            /// nothing; `Prefer: dry-run` shows what would happen. Needs all of them within the scope of your permission.
            #[utoipa::path(tag = $tag, operation_id = $merge_id, security(("bearer" = [$permission])), request_body = MergeInput,
                responses((status = 200, description = "What the merge did", body = MergeView)))]
            #[post($merge)]
            async fn merge(db: web::Data<Db>, links: web::Data<Links>, id: Id, command: Command<MergeInput>) -> AppResult<Reply> {
                super::merge(&db, &links, &command.ctx, &$resource, id.0, &command.input).await
            }

            /// List the merges into a record
            ///
            /// Newest first, on one page, undone ones too.
            #[utoipa::path(tag = $tag, operation_id = $list_id, security(("bearer" = [$read])), responses((status = 200, description = "The merges", body = MergeNotes)))]
            #[get($list)]
            async fn list(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
                super::list(&db, &ctx, &$resource, id.0).await
            }

            /// Undo a merge
            ///
            /// The records that ended live again, with what is still where the merge put it; what is not is listed and stays.
            /// Members that somebody changed since stay too. Refused where an account would go back to the pool with an open
            /// opportunity (`in_use`), and, where the company blocks duplicates, where another record has come to the phone, e-mail
            /// or tax number of one that would live again (`duplicate`, with that record): change it there first.
            #[utoipa::path(tag = $tag, operation_id = $undo_id, security(("bearer" = [$permission])), responses((status = 200, description = "What went back", body = UndoneMergeView)))]
            #[post($undo)]
            async fn undo(
                db: web::Data<Db>, links: web::Data<Links>, deals: web::Data<Deals>, ctx: Ctx, id: Id, request: HttpRequest,
            ) -> AppResult<Reply> {
                let of = path_id(&request, "merge_id")?;
                super::take_back(&db, (&links, **deals), &ctx, &$resource, id.0, of).await
            }
        }
    };
}

merges_of!(
    accounts,
    crate::crm::resources::ACCOUNT,
    tag = "accounts",
    read = "account.read",
    permission = "account.merge",
    merge = ["/v1/accounts/{id}/merge", "merge_account"],
    list = ["/v1/accounts/{id}/merges", "list_account_merges"],
    undo = ["/v1/accounts/{id}/merges/{merge_id}/undo", "undo_account_merge"]
);

merges_of!(
    contacts,
    crate::crm::resources::CONTACT,
    tag = "accounts",
    read = "contact.read",
    permission = "contact.merge",
    merge = ["/v1/contacts/{id}/merge", "merge_contact"],
    list = ["/v1/contacts/{id}/merges", "list_contact_merges"],
    undo = ["/v1/contacts/{id}/merges/{merge_id}/undo", "undo_contact_merge"]
);

merges_of!(
    leads,
    crate::crm::resources::LEAD,
    tag = "leads",
    read = "lead.read",
    permission = "lead.merge",
    merge = ["/v1/leads/{id}/merge", "merge_lead"],
    list = ["/v1/leads/{id}/merges", "list_lead_merges"],
    undo = ["/v1/leads/{id}/merges/{merge_id}/undo", "undo_lead_merge"]
);
