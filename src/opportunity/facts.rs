//! What a gate looks at beside the deal's row: ticks and answers, the account, the parts that are counted. And what gates
//! are likely to look at, so that row and facts can be asked for in one flight.

use super::RESOURCES;
use super::standing::Head;
use crate::crm::resources::ACCOUNT;
use crate::kernel::ctx::{Ctx, Reach};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::pipeline::gate::{Answer, Needs, Person};
use crate::platform::db::Db;
use crate::platform::records::sql::{self, Bind, DocRow, Intent, Sql};
use crate::platform::records::together;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Bool, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, OnceLock, PoisonError};
use uuid::Uuid;

/// What was read beside the deal's row.
#[derive(Deserialize)]
pub(super) struct Facts {
    pub(super) visit_id: Uuid,
    pub(super) is_under_lock: bool,
    pub(super) account: Value,
    /// Whether the caller sees it, where conditions read it.
    pub(super) sees_account: bool,
    /// What one unit of the deal's currency is worth in the company's today, where conditions read the amount.
    pub(super) rate: Option<String>,
    pub(super) answers: Vec<GivenAnswer>,
    pub(super) records: BTreeMap<String, Vec<Value>>,
}

impl Facts {
    fn of(row: DocRow) -> AppResult<Facts> {
        serde_json::from_str(&row.doc).map_err(AppError::internal)
    }
}

/// The facts of the visit that the head names.
pub(super) fn of_visit(facts: Option<Facts>, head: &Head) -> AppResult<Facts> {
    let facts = facts.filter(|facts| facts.visit_id == head.visit_id);
    facts.ok_or_else(|| {
        // Only without a lock: it moved between two reads.
        AppError::refuse(
            Code::StageChanged,
            say("It moved just now; ask again", "商机刚刚发生变动，请重试"),
        )
    })
}

/// SQL of the ticks and answers of the present visit of the deal `o`, as JSON: a list of [`GivenAnswer`].
pub(super) const ANSWERS: &str = "\
(SELECT coalesce(json_agg(json_build_object('criterion_id', a.criterion_id, 'key', c.key, 'answer', a.answer, 'note', a.note, 'by', a.answered_by, 'name', u.name, 'at', instant_text(a.answered_at)) ORDER BY a.criterion_id), '[]')
FROM criterion_answers a
JOIN criteria c ON c.tenant_id = a.tenant_id AND c.id = a.criterion_id
LEFT JOIN users u ON u.tenant_id = a.tenant_id AND u.id = a.answered_by
WHERE a.tenant_id = $1 AND a.visit_id = o.visit_id)";

/// Whether this statement sees the row as our own transaction locked it.
const IS_UNDER_LOCK: &str =
    "coalesce(o.xmax::text::bigint = (pg_current_xact_id_if_assigned()::text::bigint & 4294967295), FALSE)";

/// The facts of a deal, read on this connection.
pub(super) async fn read_facts(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    id: Uuid,
    needs: &Needs,
) -> AppResult<Option<Facts>> {
    let statement = facts_sql(ctx, needs).with_last(vec![id]);
    let row: Option<DocRow> = statement.query().get_result(conn).await.optional()?;
    row.map(Facts::of).transpose()
}

#[derive(QueryableByName)]
struct FactsRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(embed)]
    row: DocRow,
}

/// A statement that reads the facts of as many deals as are given to it.
#[derive(PartialEq)]
pub(super) struct ReadingFacts(Sql);

impl ReadingFacts {
    pub(super) fn of(ctx: &Ctx, needs: &Needs) -> ReadingFacts {
        ReadingFacts(facts_sql(ctx, needs))
    }

    /// # Errors
    /// Database errors.
    pub(super) async fn read(
        &self,
        conn: &mut &AsyncPgConnection,
        ids: Vec<Uuid>,
    ) -> AppResult<HashMap<Uuid, Facts>> {
        let rows: Vec<FactsRow> = self.0.clone().with_last(ids).query().load(conn).await?;
        let rows = rows.into_iter();
        rows.map(|FactsRow { id, row }| Ok((id, Facts::of(row)?)))
            .collect()
    }
}

/// The facts of a deal, read together with what others ask for.
pub(super) async fn find_facts(db: &Db, ctx: &Ctx, id: Uuid, needs: &Needs) -> AppResult<Option<Facts>> {
    let row = db.find(facts_sql(ctx, needs), id).await?;
    row.map(Facts::of).transpose()
}

/// One statement, whatever the gate needs. The deals' ids are its last placeholder.
fn facts_sql(ctx: &Ctx, needs: &Needs) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let rate = rate_sql(&mut sql, ctx, needs);
    let sees_account = match needs.reads_account {
        true => sees_account_sql(&mut sql, ctx),
        false => String::from("TRUE"),
    };
    let ids = sql.place(Bind::Ids(Vec::new()));
    let sought = together::one_of("o.id", &ids);
    let account = match needs.reads_account {
        true => format!(
            "(SELECT {} FROM accounts t WHERE t.tenant_id = $1 AND t.id = o.account_id)",
            sql::whole_json(&ACCOUNT)
        ),
        false => String::from("NULL"),
    };
    let answers = if needs.answers { ANSWERS } else { "'[]'::json" };
    let records = records_sql(needs);
    sql.push(&format!(
        "SELECT o.id, json_build_object('visit_id', o.visit_id, 'is_under_lock', {IS_UNDER_LOCK}, 'account', {account}, 'sees_account', {sees_account}, 'rate', {rate}, \
         'answers', {answers}, 'records', {records})::text AS doc, o.version \
         FROM opportunities o WHERE o.tenant_id = $1 AND {sought}"
    ));
    sql
}

/// SQL of whether the caller sees the account of the deal `o`.
pub(super) fn sees_account_sql(sql: &mut Sql, ctx: &Ctx) -> String {
    if ctx.reach(&ACCOUNT.read_permission()) == Reach::All {
        return String::from("TRUE");
    }
    let scope = sql::scope(sql, &ACCOUNT, "v", ctx, Intent::Read);
    format!("EXISTS (SELECT 1 FROM accounts v WHERE v.tenant_id = $1 AND v.id = o.account_id AND {scope})")
}

/// Whether the caller sees the account of a deal.
pub(super) async fn sees_account(conn: &mut &AsyncPgConnection, ctx: &Ctx, deal: Uuid) -> AppResult<bool> {
    if ctx.reach(&ACCOUNT.read_permission()) == Reach::All {
        return Ok(true);
    }
    let mut sql = Sql::of(ctx.tenant);
    let sees = sees_account_sql(&mut sql, ctx);
    sql.push(&format!(
        "SELECT {sees} AS is_so FROM opportunities o WHERE o.tenant_id = $1 AND o.id = "
    ))
    .bind(Bind::Id(deal));
    let found: Option<Seen> = sql.query().get_result(conn).await.optional()?;
    Ok(found.is_some_and(|found| found.is_so))
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = Bool)]
    is_so: bool,
}

/// SQL of the rate of the day into the company's currency for the deal `o`, as text; null where no gate reads an amount,
/// and in the company's own currency, of which there are no rates.
pub(super) fn rate_sql(sql: &mut Sql, ctx: &Ctx, needs: &Needs) -> String {
    if !needs.members.contains("amount") {
        return String::from("NULL::text");
    }
    let today = sql.place(Bind::Day(ctx.today()));
    format!(
        "(SELECT x.rate::text FROM exchange_rates x WHERE x.tenant_id = $1 AND x.currency = o.currency \
         AND x.rate_on <= {today} ORDER BY x.rate_on DESC LIMIT 1)"
    )
}

/// What approvals look at beside the deal itself.
pub(super) const LINES: &str = "line";

/// SQL of the live parts that a gate looks at, by kind, as JSON.
pub(super) fn records_sql(needs: &Needs) -> String {
    let kinds = RESOURCES.iter().filter(|part| {
        needs.records.contains(part.singular) || (part.singular == LINES && !needs.approvals.is_empty())
    });
    let members = kinds.map(|part| {
        format!(
            "'{}', (SELECT coalesce(json_agg({} ORDER BY t.created_at, t.id), '[]') FROM {} t \
             WHERE t.tenant_id = $1 AND t.opportunity_id = o.id AND t.archived_at IS NULL)",
            part.singular,
            sql::whole_json(part),
            part.table
        )
    });
    format!("json_build_object({})", members.collect::<Vec<_>>().join(", "))
}

/// A tick or answer as it was given.
#[derive(Clone, Deserialize)]
pub(super) struct GivenAnswer {
    pub(super) criterion_id: Uuid,
    key: String,
    answer: Value,
    note: Option<String>,
    by: Option<Uuid>,
    name: Option<String>,
    at: DateTime<Utc>,
}

impl GivenAnswer {
    /// The answer as the gate takes it, by the key of its criterion.
    pub(super) fn given(self) -> (String, Answer) {
        let by = self.by.zip(self.name).map(|(id, name)| Person { id, name });
        let answer = Answer {
            answer: self.answer,
            note: self.note,
            by,
            at: self.at,
        };
        (self.key, answer)
    }
}

/// What the gate of a stage needed when it was last looked at (and, without a stage, whichever gate of the company was
/// last explained), so that row and facts can be asked for in one flight. A guess: what does not fit is read again.
type Guesses = Mutex<HashMap<(Uuid, Option<Uuid>), Needs>>;

/// Most stages guessed about; then it starts anew.
const MOST_GUESSES: usize = 10_000;

fn guesses() -> &'static Guesses {
    static GUESSES: OnceLock<Guesses> = OnceLock::new();
    GUESSES.get_or_init(Guesses::default)
}

pub(super) fn likely(tenant: Uuid, stage: Option<Uuid>) -> Option<Needs> {
    let guesses = guesses().lock().unwrap_or_else(PoisonError::into_inner);
    guesses.get(&(tenant, stage)).cloned()
}

pub(super) fn expect_needs(tenant: Uuid, stage: Option<Uuid>, needs: &Needs) {
    let mut guesses = guesses().lock().unwrap_or_else(PoisonError::into_inner);
    if guesses.get(&(tenant, stage)) == Some(needs) {
        return;
    }
    if guesses.len() >= MOST_GUESSES {
        guesses.clear();
    }
    guesses.insert((tenant, stage), needs.clone());
}
