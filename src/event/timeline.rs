//! Timelines: what happened around one record, newest first.

use super::view::{COLUMNS, EventRow, EventView};
use super::window::{Cursors, Window};
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Db;
use crate::platform::gatekeeper::Shared;
use crate::platform::records::http::page_reply;
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::{Resource, merged, store};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, web};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Every declared resource whose records have owners, as the service registers them: what a timeline tells of another
/// record is shown only to those who see that record.
pub struct Owned(pub Vec<&'static Resource>);

/// Those of them whose content events about other kinds of record carry.
const TOLD_BY_OTHERS: [&str; 2] = ["opportunity", "lead"];

/// A page of a timeline.
pub struct Page {
    pub events: Vec<EventView>,
    pub next: Option<String>,
}

/// The condition under which an event `e` on a record's timeline is shown: its own subject must be visible to the
/// caller; where the subject has no owner of its own (a part, a decision), the deals that it is about must be.
fn shown(sql: &mut Sql, ctx: &Ctx, owned: &[&'static Resource], resource: &Resource, ids: &str) -> String {
    let sees_all = owned
        .iter()
        .all(|owned| ctx.reach(&owned.read_permission()) == Reach::All);
    if sees_all {
        return String::from("TRUE");
    }
    let mut arms = String::new();
    let mut others = String::from("TRUE");
    for owned in owned {
        let scope = sql::scope(sql, owned, "t", ctx, Intent::Read);
        let (kind, table) = (owned.singular, owned.table);
        let visible =
            format!("EXISTS (SELECT 1 FROM {table} t WHERE t.tenant_id = $1 AND {scope} AND t.id = ");
        arms.push_str(&format!("WHEN '{kind}' THEN {visible}e.subject_id) "));
        if TOLD_BY_OTHERS.contains(&kind) {
            others.push_str(&format!(
                " AND NOT EXISTS (SELECT 1 FROM event_subjects o WHERE o.tenant_id = $1 AND o.event_id = e.id \
                 AND o.subject_kind = '{kind}' AND o.subject_id <> ALL({ids}) AND NOT {visible}o.subject_id))"
            ));
        }
    }
    format!(
        "((e.subject_kind = '{}' AND e.subject_id = ANY({ids})) OR CASE e.subject_kind {arms}ELSE {others} END)",
        resource.singular
    )
}

/// Reads a page of a record's timeline, as the request's `limit` and `cursor` ask: every event that names the record,
/// newest first, as far as the caller may see what it is about.
///
/// # Errors
/// `not_found` unless the caller sees the record, `bad_parameter`.
pub async fn page(
    request: &HttpRequest,
    db: &Db,
    shared: &Shared,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
) -> AppResult<Page> {
    let cursors = Cursors::of(request, &shared.auth.secrets, ctx);
    let window = Window::<Uuid>::read(request, &cursors)?;
    db.read(async |conn| store::require_visible(conn, ctx, resource, id).await)
        .await?;
    let owned = request
        .app_data::<web::Data<Owned>>()
        .ok_or_else(|| AppError::internal("the owned resources are not registered"))?;
    let absorbed = db
        .read(async |conn| merged::absorbed(conn, ctx, resource, id).await)
        .await?;
    let ids = [vec![id], absorbed].concat();
    let sql = statement(ctx, &owned.0, resource, &ids, &window);
    let mut rows: Vec<EventRow> = db
        .read_at_length(async |conn| Ok(sql.clone().query().load(conn).await?))
        .await?;
    let next = window.cut(&mut rows, &cursors, |row| row.id.to_string());
    Ok(Page {
        events: rows.into_iter().map(|row| row.view(ctx)).collect(),
        next,
    })
}

/// The events on the timeline of a record; with what was merged into it, each once.
fn about(sql: &mut Sql, resource: &Resource, ids: &[Uuid]) -> String {
    let kind = resource.singular;
    match ids {
        [one] => {
            let id = sql.place(Bind::Id(*one));
            format!(
                "(SELECT event_id FROM event_subjects WHERE tenant_id = $1 AND subject_kind = '{kind}' AND subject_id = {id})"
            )
        }
        several => {
            let ids = sql.place(Bind::Ids(several.to_vec()));
            format!(
                "(SELECT DISTINCT event_id FROM event_subjects WHERE tenant_id = $1 AND subject_kind = '{kind}' AND subject_id = ANY({ids}))"
            )
        }
    }
}

fn statement(
    ctx: &Ctx,
    owned: &[&'static Resource],
    resource: &Resource,
    ids: &[Uuid],
    window: &Window<Uuid>,
) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let about = about(&mut sql, resource, ids);
    let all = sql.place(Bind::Ids(ids.to_vec()));
    let shown = shown(&mut sql, ctx, owned, resource, &all);
    sql.push(&format!(
        "SELECT {COLUMNS} FROM {about} s JOIN events e ON e.tenant_id = $1 AND e.id = s.event_id \
         LEFT JOIN event_positions p ON p.tenant_id = $1 AND p.event_id = e.id \
         LEFT JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
         WHERE {shown}"
    ));
    if let Some(before) = window.after {
        sql.push(" AND s.event_id < ").bind(Bind::Id(before));
    }
    sql.push(" ORDER BY s.event_id DESC LIMIT ")
        .bind(Bind::Long(window.limit + 1));
    sql
}

/// Answers a page of a record's timeline.
///
/// # Errors
/// Those of [`page`].
pub async fn answer(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
    id: Uuid,
) -> AppResult<Reply> {
    let page = page(&request, &db, &shared, &ctx, resource, id).await?;
    Ok(page_reply(&request, page.events, page.next, None)?.with_weak_tag())
}
