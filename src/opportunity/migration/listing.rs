//! The deals of a migration: what became of each that the caller sees.

use super::resource::MIGRATION;
use super::wire::{DealOutcome, MigratedDeal, MigratedDealPage};
use crate::event::feed::read;
use crate::event::window::{Cursors, read_limit, unknown_parameter};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::opportunity::resources::OPPORTUNITY;
use crate::platform::db::Db;
use crate::platform::gatekeeper::Shared;
use crate::platform::records::http::page_reply;
use crate::platform::records::query::{DEFAULT_LIMIT, bad_parameters, pairs};
use crate::platform::records::sql::{self, Bind, Intent, Sql};
use crate::platform::records::store;
use crate::platform::reply::Reply;
use actix_web::HttpRequest;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use utoipa::IntoParams;
use uuid::Uuid;

/// The parameters of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
pub(super) struct DealParameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before; good only for the same filters.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Whether to count all that match.
    #[param(example = false)]
    with_total: Option<bool>,
    /// Only those with this outcome.
    #[param(inline, example = "moved")]
    outcome: Option<DealOutcome>,
}

/// Size and place of a page.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub limit: i64,
    pub cursor: Option<String>,
    with_total: bool,
    outcome: Option<DealOutcome>,
    filters: String,
}

impl Wanted {
    /// Reads a query string in which these parameters may stand.
    ///
    /// # Errors
    /// `bad_parameter` with all faults.
    pub fn read(query: &str, known: &str) -> AppResult<Wanted> {
        let mut faults: Vec<Fault> = Vec::new();
        let mut wanted = Wanted {
            limit: DEFAULT_LIMIT,
            ..Wanted::default()
        };
        for (name, value) in pairs(query, &mut faults) {
            if !known.split(", ").any(|known| known == name) {
                faults.push(unknown_parameter(&name, known));
                continue;
            }
            match name.as_str() {
                "limit" => wanted.limit = read_limit(&value, &mut faults),
                "cursor" => wanted.cursor = Some(value),
                "with_total" => wanted.with_total = read(&name, &value, &mut faults).unwrap_or(false),
                _ => {
                    wanted.outcome = read(&name, &value, &mut faults);
                    wanted.filters = value;
                }
            }
        }
        if faults.is_empty() {
            Ok(wanted)
        } else {
            Err(bad_parameters(faults))
        }
    }
}

#[derive(QueryableByName)]
struct DealRow {
    #[diesel(sql_type = Text)]
    doc: String,
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

const FROM: &str =
    "pipeline_migration_deals d JOIN opportunities t ON t.tenant_id = $1 AND t.id = d.opportunity_id";

const DEAL: &str = "\
json_build_object('opportunity_id', d.opportunity_id, 'name', t.name, 'outcome', d.outcome, 'why', d.why, 'plan', d.plan, \
'transition_id', d.transition_id, 'back_transition_id', d.back_transition_id)::text";

/// A page of the deals of a migration.
///
/// # Errors
/// `bad_parameter`; `not_found` when there is no such migration of this pipeline.
pub(super) async fn list(
    request: &HttpRequest,
    db: &Db,
    shared: &Shared,
    ctx: &Ctx,
    pipeline: Uuid,
    migration: Uuid,
) -> AppResult<Reply> {
    let wanted = Wanted::read(request.query_string(), "limit, cursor, with_total, outcome")?;
    let cursors = Cursors {
        secrets: &shared.auth.secrets,
        ctx,
        path: request.path(),
        filters: &wanted.filters,
    };
    let after = wanted.cursor.as_ref();
    let after = after.map(|cursor| cursors.open::<Uuid>(cursor)).transpose()?;
    let page = db.snapshot(async |conn| {
        let conn = &mut &*conn;
        store::find(conn, ctx, &MIGRATION, migration, Some(pipeline)).await?;
        let mut sql = Sql::of(ctx.tenant);
        let within = within(&mut sql, ctx, migration, &wanted);
        let after = sql.place(Bind::Id(after.unwrap_or_default()));
        let most = sql.place(Bind::Long(wanted.limit + 1));
        sql.push(&format!(
            "SELECT {DEAL} AS doc FROM {FROM} WHERE {within} AND d.opportunity_id > {after} ORDER BY d.opportunity_id LIMIT {most}"
        ));
        let rows: Vec<DealRow> = sql.query().load(conn).await?;
        if !wanted.with_total {
            return Ok((rows, None));
        }
        let mut sql = Sql::of(ctx.tenant);
        let within = self::within(&mut sql, ctx, migration, &wanted);
        sql.push(&format!("SELECT count(*) AS total FROM {FROM} WHERE {within}"));
        let total: Total = sql.query().get_result(conn).await?;
        Ok((rows, Some(total.total)))
    });
    let (rows, total) = page.await?;
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    let deals = rows
        .into_iter()
        .take(limit)
        .map(|row| serde_json::from_str(&row.doc).map_err(AppError::internal))
        .collect::<AppResult<Vec<MigratedDeal>>>()?;
    let last = deals.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursors.sign(&last.opportunity_id.to_string()));
    let page = MigratedDealPage {
        data: deals,
        next_cursor,
        total,
    };
    Ok(page_reply(request, page.data, page.next_cursor, page.total)?.with_weak_tag())
}

fn within(sql: &mut Sql, ctx: &Ctx, migration: Uuid, wanted: &Wanted) -> String {
    let migration = sql.place(Bind::Id(migration));
    let seen = sql::scope(sql, &OPPORTUNITY, "t", ctx, Intent::Read);
    let mut within = format!("d.tenant_id = $1 AND d.migration_id = {migration} AND {seen}");
    if let Some(outcome) = wanted.outcome {
        let outcome: &'static str = outcome.into();
        let outcome = sql.place(Bind::Text(outcome.to_owned()));
        within.push_str(&format!(" AND d.outcome = {outcome}"));
    }
    within
}
