//! The handlers of all declared resources. One set, whatever the resource.

use super::fields::Fields;
use super::merged;
use super::paging::PageRow;
pub use super::paging::{Records, page_of, page_reply};
use super::query::{self, ListRequest};
use super::spec::{Access, Act, Resource};
use super::sql::{self, Sql};
use super::store::{self, Target, Written};
use super::together::Page;
use super::tree::{Mode, Terms};
use super::{batch, search};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Command, Platform, Sent, Shared, path_id};
use crate::platform::reply::{Reply, add_warnings};
use actix_web::{HttpRequest, guard, web};
use diesel::QueryableByName;
use diesel::pg::Pg;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Where a resource's collection stands.
pub fn collection(resource: &Resource) -> String {
    match resource.access {
        Access::Part { parent, .. } => format!("/v1/{}/{{id}}/{}", parent.plural, resource.plural),
        _ => format!("/v1/{}", resource.plural),
    }
}

/// Name of the id in the path of one record.
pub fn id_name(resource: &Resource) -> &'static str {
    if matches!(resource.access, Access::Part { .. }) {
        "part_id"
    } else {
        "id"
    }
}

/// Registers a resource's operations.
pub fn routes(resource: &'static Resource, config: &mut web::ServiceConfig) {
    let collection_path = collection(resource);
    let one = format!("{collection_path}/{{{}}}", id_name(resource));
    let mut many = web::resource(collection_path)
        .route(web::get().to(move |request, db, shared, ctx| list(resource, request, db, shared, ctx)));
    if resource.verbs.create {
        many = many.route(web::post().to(move |request, db, sent| create(resource, request, db, sent)));
    }
    config.service(many);
    // Before the single record's path, and for POST alone: `GET …/search` is the record of that id, which is none.
    config.service(
        web::resource(format!("{}/search", collection(resource)))
            .guard(guard::Post())
            .route(web::post().to(move |request, db, shared, command| {
                search::search(resource, request, db, shared, command)
            })),
    );
    if resource.has_writes() {
        config.service(
            web::resource(format!("{}/batch", collection(resource)))
                .guard(guard::Post())
                .route(web::post().to(move |request, db, shared, command| {
                    batch::batch(resource, request, db, shared, command)
                })),
        );
    }
    if resource.has_archive() {
        let route = if resource.is_restore_told() {
            web::post()
                .to(move |request, db, shared, command| restore(resource, request, db, shared, command))
        } else {
            web::post()
                .to(move |request, db, shared, ctx| archive(resource, Act::Restore, request, db, shared, ctx))
        };
        config.service(web::resource(format!("{one}/restore")).route(route));
    }
    let mut single = web::resource(one)
        .route(web::get().to(move |request, db, shared, ctx| get(resource, request, db, shared, ctx)));
    if resource.verbs.update {
        single = single.route(
            web::patch().to(move |request, db, shared, sent| update(resource, request, db, shared, sent)),
        );
    }
    if resource.has_archive() {
        single =
            single.route(web::delete().to(move |request, db, shared, ctx| {
                archive(resource, Act::Archive, request, db, shared, ctx)
            }));
    }
    config.service(single);
}

/// The parent's id and the record's own, as the path has them.
fn ids(resource: &Resource, request: &HttpRequest) -> AppResult<(Option<Uuid>, Uuid)> {
    let parent = parent_id(resource, request)?;
    Ok((parent, path_id(request, id_name(resource))?))
}

pub(super) fn parent_id(resource: &Resource, request: &HttpRequest) -> AppResult<Option<Uuid>> {
    match resource.access {
        Access::Part { .. } => path_id(request, "id").map(Some),
        _ => Ok(None),
    }
}

#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// A page of a resource's list, for a route of one's own.
///
/// # Errors
/// `bad_parameter` with all faults; `not_found` when the caller does not see the parent.
pub async fn list(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    let parent = parent_id(resource, &request)?;
    let of = parent.map_or(Of::All, Of::One);
    list_under(resource, of, request, db, shared, ctx).await
}

/// A page of the parts of all parents that the caller sees, for a route of one's own.
///
/// # Errors
/// `bad_parameter` with all faults.
pub async fn list_of_all(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    list_under(resource, Of::All, request, db, shared, ctx).await
}

/// Like [`list_of_all`], of parents that are live only.
///
/// # Errors
/// As [`list_of_all`].
pub async fn list_of_live(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    list_under(resource, Of::Live, request, db, shared, ctx).await
}

/// Whose parts are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Live,
    One(Uuid),
}

async fn list_under(
    resource: &'static Resource,
    of: Of,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    let fields = own_fields(resource, &request, &db, &ctx).await?;
    let terms = Terms {
        ctx: &ctx,
        fields: &fields,
        mode: Mode::Asked,
    };
    let mut asked = query::parse(
        &terms,
        resource,
        request.query_string(),
        &store::expandable(resource),
    )?;
    asked.is_of_live = of == Of::Live;
    let parent = match of {
        Of::One(parent) => Some(parent),
        Of::All | Of::Live => None,
    };
    let position = query::read_cursor(&shared.auth.secrets, &ctx, request.path(), &asked)?;
    let place = Place {
        path: request.path(),
        parent,
    };
    let listed = listed(resource, &db, &shared, &ctx, place, &asked, position).await?;
    Ok(page_of(&request, listed.records, listed.next, listed.total)?.with_weak_tag())
}

/// The company's own fields, when the query string names one.
async fn own_fields(resource: &Resource, request: &HttpRequest, db: &Db, ctx: &Ctx) -> AppResult<Fields> {
    let named = query::pairs(request.query_string(), &mut Vec::new());
    if !named.iter().any(|(name, _)| name.starts_with("custom.")) {
        return Ok(Fields::default());
    }
    db.read(async |conn| Fields::of(conn, ctx.tenant, &[resource.singular]).await)
        .await
}

/// Where a list stands: the path that its cursors are bound to, and its parent.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub path: &'a str,
    pub parent: Option<Uuid>,
}

/// One page, read.
pub struct Listed {
    pub records: Records,
    pub next: Option<String>,
    pub total: Option<i64>,
}

/// Refuses when the caller does not see the parent of what is asked for.
///
/// # Errors
/// `not_found`.
pub(super) async fn require_parent(
    db: &Db,
    ctx: &Ctx,
    resource: &Resource,
    parent: Option<Uuid>,
) -> AppResult<()> {
    match (resource.access, parent) {
        (Access::Part { parent: owner, .. }, Some(id)) => {
            db.read(async |conn| store::require_visible(conn, ctx, owner, id).await)
                .await
        }
        _ => Ok(()),
    }
}

/// One page of what was asked for, from this position on.
///
/// # Errors
/// `not_found` when the caller does not see the parent.
pub async fn listed(
    resource: &'static Resource,
    db: &Db,
    shared: &Platform,
    ctx: &Ctx,
    place: Place<'_>,
    asked: &ListRequest,
    position: Option<Vec<String>>,
) -> AppResult<Listed> {
    require_parent(db, ctx, resource, place.parent).await?;
    read_page(resource, db, shared, ctx, place, asked, position).await
}

/// Like [`listed`], where the caller is known to see the parent.
async fn read_page(
    resource: &'static Resource,
    db: &Db,
    shared: &Platform,
    ctx: &Ctx,
    place: Place<'_>,
    asked: &ListRequest,
    position: Option<Vec<String>>,
) -> AppResult<Listed> {
    let parent = place.parent;
    let page = query::page(resource, ctx, asked, position.as_deref(), parent);
    let found = load_page(db, page, asked).await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let (rows, has_more) = match found.rows().get(..limit) {
        Some(rows) => (rows, found.rows().len() > limit),
        None => (found.rows(), false),
    };
    let last = rows.last().filter(|_| has_more);
    let last = last.map(PageRow::position).transpose()?;
    let next = last.map(|last| query::make_cursor(&shared.auth.secrets, ctx, place.path, asked, &last));
    let total = match asked.with_total {
        true => {
            let count = query::total(resource, ctx, asked, parent);
            let counted: Vec<TotalRow> = load(db, count, asked).await?;
            counted.into_iter().next().map(|row| row.total)
        }
        false => None,
    };
    let records = documents(resource, db, ctx, asked, rows).await?;
    Ok(Listed { records, next, total })
}

/// Whether a list's statement is one of few; else the caller's tree shaped it, or its text decides how it is best run, and it
/// is prepared for this one time.
fn is_common(asked: &ListRequest) -> bool {
    asked.trees.is_empty() && !asked.is_searched
}

/// Runs a list's statement; a common one once for all who ask it at this moment.
async fn load_page(db: &Db, sql: Sql, asked: &ListRequest) -> AppResult<Page> {
    if is_common(asked) {
        return db.page(sql).await;
    }
    Ok(Page::of(load(db, sql, asked).await?))
}

async fn load<T>(db: &Db, sql: Sql, asked: &ListRequest) -> AppResult<Vec<T>>
where
    T: QueryableByName<Pg> + Send + 'static,
{
    if is_common(asked) {
        return db
            .read_at_length(async |conn| Ok(sql.clone().query().load(conn).await?))
            .await;
    }
    db.report(async |db| {
        db.read_at_length(async |conn| Ok(sql.clone().once().load(conn).await?))
            .await
    })
    .await
}

/// The page's records, with what was asked to be embedded.
async fn documents(
    resource: &'static Resource,
    db: &Db,
    ctx: &Ctx,
    asked: &ListRequest,
    rows: &[PageRow],
) -> AppResult<Records> {
    let records = Records::of_rows(rows);
    if asked.expand.is_empty() {
        return Ok(records);
    }
    let records: Vec<Map<String, Value>> =
        serde_json::from_slice(records.array()).map_err(AppError::internal)?;
    let records = db
        .read(async |conn| {
            let mut records = records.clone();
            store::expand(conn, ctx, resource, &asked.expand, &mut records).await?;
            Ok(records)
        })
        .await?;
    Records::of(&records)
}

async fn get(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    let (parent, id) = ids(resource, &request)?;
    let expand = expand_of(resource, &request)?;
    let row = store::read(&db, &ctx, resource, id, parent).await?;
    // `archived_at` stands last in a record, so a live one ends like this.
    if merged::is_mergeable(resource) && !row.doc.ends_with(":null}") {
        let survivor = db
            .read(async |conn| merged::survivor(conn, &ctx, resource, id).await)
            .await?;
        if let Some(survivor) = survivor {
            return merged::redirect(resource, survivor);
        }
    }
    if expand.is_empty() {
        let reply = Reply::raw(200, row.doc);
        return Ok(if sql::is_masked(resource, &ctx) {
            reply.with_weak_tag()
        } else {
            reply.with_version(row.version)
        });
    }
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let mut record = db
        .read(async |conn| {
            let mut records = [record.clone()];
            store::expand(conn, &ctx, resource, &expand, &mut records).await?;
            let [mut record] = records;
            store::embed(conn, &ctx, resource, &expand, id, &mut record).await?;
            Ok(record)
        })
        .await?;
    embed_parts(resource, &db, &shared, &ctx, &expand, id, &mut record).await?;
    Ok(Reply::ok(&record)?.with_weak_tag())
}

/// The first pages of those of its parts that were asked for, in a record that the caller may see.
async fn embed_parts(
    resource: &'static Resource,
    db: &Db,
    shared: &Platform,
    ctx: &Ctx,
    names: &[String],
    id: Uuid,
    record: &mut Map<String, Value>,
) -> AppResult<()> {
    let terms = Terms {
        ctx,
        fields: &Fields::default(),
        mode: Mode::Asked,
    };
    for part in (resource.hooks.parts)() {
        let name = part.embedded_name();
        if !names.contains(&name) {
            continue;
        }
        let asked = query::parse(&terms, part, "", &[])?;
        let path = collection(part).replace("{id}", &id.to_string());
        let place = Place {
            path: &path,
            parent: Some(id),
        };
        let page = read_page(part, db, shared, ctx, place, &asked, None).await?;
        let data: Value = serde_json::from_slice(page.records.array()).map_err(AppError::internal)?;
        record.insert(name, json!({ "data": data, "next_cursor": page.next }));
    }
    Ok(())
}

fn expand_of(resource: &Resource, request: &HttpRequest) -> AppResult<Vec<String>> {
    let names = store::expandable_singly(resource);
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    expand_among(&names, request)
}

/// What `expand` asks for, of these names; no other parameter is taken.
///
/// # Errors
/// `bad_parameter` with all faults.
pub fn expand_among(expandable: &[&str], request: &HttpRequest) -> AppResult<Vec<String>> {
    let mut faults = Vec::new();
    let mut names = Vec::new();
    for (name, value) in query::pairs(request.query_string(), &mut faults) {
        if name == "expand" {
            names.extend(query::read_expand(&value, expandable, &mut faults));
        } else {
            faults.push(crate::kernel::fault::Fault::new(
                format!("?{name}"),
                "unknown_parameter",
                crate::kernel::text::say("is not known here; known is expand", "未知参数;可用参数:expand"),
            ));
        }
    }
    if faults.is_empty() {
        Ok(names)
    } else {
        Err(query::bad_parameters(faults))
    }
}

/// The answer to a write of a record.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn written_reply(resource: &Resource, ctx: &Ctx, status: u16, mut written: Written) -> AppResult<Reply> {
    add_warnings(&mut written.body, &written.warnings, ctx.lang);
    let reply = Reply::json(status, &written.body)?;
    Ok(if sql::is_masked(resource, ctx) {
        reply.with_weak_tag()
    } else {
        reply.with_version(written.version)
    })
}

async fn create(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    sent: Sent,
) -> AppResult<Reply> {
    let parent = parent_id(resource, &request)?;
    let Sent { ctx, input, faults } = sent;
    let reply = db
        .write(&ctx, async |tx| {
            if !faults.is_empty() {
                let target = Target { parent, id: None };
                return Err(store::refused(tx, &ctx, resource, target, &input, &faults).await);
            }
            let written = store::create(tx, &ctx, resource, parent, input.clone()).await?;
            let location = format!("{}/{}", request.path(), written.id);
            Ok(written_reply(resource, &ctx, 201, written)?.with_location(location))
        })
        .await?;
    forget_rights(resource, request.app_data::<Shared>());
    Ok(reply)
}

async fn update(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    sent: Sent,
) -> AppResult<Reply> {
    let (parent, id) = ids(resource, &request)?;
    let Sent { ctx, input, faults } = sent;
    let reply = db
        .write(&ctx, async |tx| {
            if !faults.is_empty() {
                let target = Target { parent, id: Some(id) };
                return Err(store::refused(tx, &ctx, resource, target, &input, &faults).await);
            }
            let written = store::update(tx, &ctx, resource, parent, id, input.clone()).await?;
            written_reply(resource, &ctx, 200, written)
        })
        .await?;
    forget_rights(resource, Some(&shared));
    Ok(reply)
}

async fn archive(
    resource: &'static Resource,
    act: Act,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    let told = Map::new();
    archive_told(resource, act, request, db, shared, Command { ctx, input: told }).await
}

/// Restores a record of a kind whose restoring may be told something.
async fn restore(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<Option<Map<String, Value>>>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let input = input.unwrap_or_default();
    archive_told(
        resource,
        Act::Restore,
        request,
        db,
        shared,
        Command { ctx, input },
    )
    .await
}

async fn archive_told(
    resource: &'static Resource,
    act: Act,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<Map<String, Value>>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let (parent, id) = ids(resource, &request)?;
    let reply = db
        .write(&ctx, async |tx| {
            let written = store::archive(tx, &ctx, resource, parent, id, act, input.clone()).await?;
            written_reply(resource, &ctx, 200, written)
        })
        .await?;
    forget_rights(resource, Some(&shared));
    Ok(reply)
}

/// A changed user, team, role or key is felt on the next request.
pub(super) fn forget_rights(resource: &Resource, platform: Option<&web::Data<Platform>>) {
    let rights = ["user", "team", "role", "api_key"];
    if let Some(platform) = platform.filter(|_| rights.contains(&resource.singular)) {
        platform.auth.forget_principals();
    }
}
