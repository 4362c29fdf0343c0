//! The operation.

use super::hits::{SearchHit, hit};
use super::lookup::{Asked, Row, alike, found};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::Db;
use crate::platform::records::entry;
use crate::platform::records::query::{bad_parameters, pairs, unknown_parameter};
use crate::platform::reply::Reply;
use actix_web::{HttpRequest, get, web};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};

/// Hits that are answered when no other number is asked for, and the most.
const LIMIT: usize = 20;
const MOST: usize = 50;
/// With fewer hits than these, slips of the pen are looked for too.
const FEW: usize = 5;

/// What can be found.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SearchKind {
    Account,
    Contact,
    Lead,
    Opportunity,
}

/// The parameters of the search.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document's description of what is read by hand")]
struct SearchParameters {
    /// What to look for, at least two letters or digits. Chinese is found anywhere in a text, other words by their beginnings,
    /// phones by any four or more digits in any spelling, e-mails by their parts. Of several words each must be there.
    #[param(min_length = 2, max_length = 100, example = "恒信")]
    q: String,
    /// Only of this kind; repeatable.
    #[param(inline)]
    kind: Option<Vec<SearchKind>>,
    /// Most hits.
    #[param(minimum = 1, maximum = 50, default = 20)]
    limit: Option<i64>,
    /// Looks among archived records instead of live ones.
    archived: Option<bool>,
}

/// The hits of a search.
#[derive(Serialize, ToSchema)]
struct SearchHits {
    /// The hits, best first.
    data: Vec<SearchHit>,
    /// Always null: a search has one page. Say more of what you look for, or page through a list with `q`.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// Whether there are more hits than are shown.
    #[schema(example = false)]
    has_more: bool,
}

/// Search everywhere
///
/// Accounts, contacts, leads and opportunities that you may see, by names, phones, e-mails and notes, best first: a name that
/// is the text, one that begins with it (of both, accounts before what belongs to them), one that contains it, then phones
/// and e-mails, then notes. Where hardly anything is
/// found, names with a slip in them follow, marked `is_alike`. Of a text that very many records contain, the names that begin
/// with it and the newest records are judged, not all. Merged records are not found; what they became is. Kinds that you may
/// not read have no hits. There is one page, of at most 50 hits, and none behind it: where `has_more` says that they are not
/// all, say more of what you look for, or page through a list with `q`.
#[utoipa::path(tag = "search", operation_id = "search_records", params(SearchParameters), security(("bearer" = [])),
    responses((status = 200, description = "What was found", body = SearchHits)))]
#[get("/v1/search")]
pub async fn search_records(request: HttpRequest, db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    let asked = read(request.query_string())?;
    let mut rows = db.report(async |db| hits(db, &ctx, &asked).await).await?;
    let has_more = rows.len() > asked.limit;
    rows.truncate(asked.limit);
    let data = rows
        .iter()
        .filter_map(|row| hit(row, &asked.query))
        .collect::<Vec<_>>();
    let answer = SearchHits {
        data,
        next_cursor: None,
        has_more,
    };
    Ok(Reply::ok(&answer)?.with_weak_tag())
}

async fn hits(db: &Db, ctx: &Ctx, asked: &Asked) -> AppResult<Vec<Row>> {
    let mut rows = db
        .read_at_length(async |conn| found(conn, ctx, asked).await)
        .await?;
    if rows.len() < FEW && asked.forgives() {
        let more = db.snapshot(async |conn| alike(conn, ctx, asked).await).await?;
        let is_new = |id| !rows.iter().any(|known| known.id == id);
        let more = more.into_iter().filter(|row| is_new(row.id)).collect::<Vec<_>>();
        rows.extend(more);
    }
    Ok(rows)
}

fn read(query: &str) -> AppResult<Asked> {
    let mut faults = Vec::new();
    let mut typed = None;
    let mut kinds = Vec::new();
    let mut limit = LIMIT;
    let mut is_archived = false;
    for (name, value) in pairs(query, &mut faults) {
        match name.as_str() {
            "q" => typed = Some(value),
            "kind" => match SearchKind::from_str(&value) {
                Ok(kind) => kinds.push(kind.into()),
                Err(_) => faults.push(Fault::new(
                    "?kind",
                    "unknown_value",
                    say(
                        "allowed: account, contact, lead, opportunity",
                        "可用值:account, contact, lead, opportunity",
                    ),
                )),
            },
            "limit" => match value.parse() {
                Ok(number) if (1..=MOST).contains(&number) => limit = number,
                _ => faults.push(Fault::out_of_range(
                    "?limit",
                    "must be a number from 1 to 50",
                    "必须是 1 到 50 的整数",
                )),
            },
            "archived" => is_archived = value == "true",
            other => {
                let known = ["q", "kind", "limit", "archived"].map(str::to_owned);
                faults.push(unknown_parameter(other, &known));
            }
        }
    }
    let query = match typed.as_deref().map(entry::read) {
        Some(Ok(query)) => Some(query),
        Some(Err(unfit)) => {
            faults.push(entry::fault("?q", unfit));
            None
        }
        None => {
            faults.push(Fault::required("?q"));
            None
        }
    };
    match query {
        Some(query) if faults.is_empty() => Ok(Asked {
            query,
            kinds,
            limit,
            is_archived,
        }),
        _ => Err(bad_parameters(faults)),
    }
}
