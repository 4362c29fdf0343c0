//! Gives leads to people as the rules say: the one way in which that is written, for one lead or for many.

use super::bench::{Bench, Count};
use super::decide::{Asking, Subject, Verdict, decide};
use super::rules::{self, Rule, Terms, Trigger};
use super::{pool, settings};
use crate::crm::pool::stays::{self, Ended};
use crate::crm::pool::{Kind, reschedule};
use crate::crm::resources::LEAD;
use crate::crm::scoring::model::AsOf;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::expression::Truth;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::entry;
use crate::platform::records::sql::{self, Bind, Sql};
use chrono::SecondsFormat;
use diesel::sql_types::{Integer, Jsonb, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How leads are to be given.
#[derive(Debug, Clone)]
pub struct Order {
    pub asking: Asking,
    /// Whether the owner that they have is their maker only, for want of another.
    pub ignores_owner: bool,
    /// By lead: who is not to get it.
    pub barred: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// Whether it is a change of the lead in its own right; else it is part of the write that is going on.
    pub is_own_change: bool,
    /// Whether what is decided is written here; else the caller does, and only turns are taken.
    pub is_written: bool,
    /// What the history says of it: `rule`, `hand_over`.
    pub how: &'static str,
}

impl Order {
    /// Of leads that the write which is going on brought to a moment at which rules are asked.
    pub fn reached(trigger: Trigger, ignores_owner: bool) -> Order {
        Order {
            asking: Asking::Reached(trigger),
            ignores_owner,
            barred: BTreeMap::new(),
            is_own_change: false,
            is_written: true,
            how: "rule",
        }
    }
}

/// What became of one lead.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub lead: Subject,
    pub verdict: Verdict,
    pub before: Option<Uuid>,
    pub after: Option<Uuid>,
    /// What the rule says about the first response.
    pub terms: Terms,
    /// What the history says of it.
    pub note: Value,
}

impl Outcome {
    /// Whether anything is to be written: a lead that nobody had, and nobody can take, goes to the pool all the same.
    fn is_change(&self) -> bool {
        self.after != self.before || (self.after.is_none() && matches!(self.verdict, Verdict::Nobody { .. }))
    }
}

#[derive(QueryableByName)]
struct SubjectRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Nullable<Text>)]
    source_key: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    source_channel: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    profile_key: Option<String>,
    #[diesel(sql_type = Nullable<Numeric>)]
    profile_match: Option<Decimal>,
}

/// Open leads with what conditions read, in the order of their ids; locked to be given, else as they are.
///
/// # Errors
/// Database errors.
pub async fn subjects(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    leads: Vec<Uuid>,
    is_locked: bool,
) -> AppResult<Vec<Subject>> {
    let mut query = Sql::of(ctx.tenant);
    let ids = query.place(Bind::Ids(leads));
    let document = sql::whole_document(&LEAD);
    let lock = if is_locked { " FOR NO KEY UPDATE OF t" } else { "" };
    query.push(&format!(
        "SELECT t.id, {document} AS doc, t.version, s.key AS source_key, s.channel AS source_channel, p.key AS profile_key, \
            c.profile_match \
         FROM leads t LEFT JOIN lead_sources s ON s.tenant_id = $1 AND s.id = t.source_id \
         LEFT JOIN lead_scores c ON c.tenant_id = $1 AND c.lead_id = t.id \
         LEFT JOIN customer_profiles p ON p.tenant_id = $1 AND p.id = c.profile_id \
         WHERE t.tenant_id = $1 AND t.id = ANY({ids}) AND t.archived_at IS NULL AND t.status <> 'converted' ORDER BY t.id{lock}"
    ));
    let rows: Vec<SubjectRow> = query.query().load(conn).await?;
    rows.into_iter().map(|row| subject(ctx, row)).collect()
}

fn subject(ctx: &Ctx, row: SubjectRow) -> AppResult<Subject> {
    let mut facts: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let status = facts.get("status").cloned().unwrap_or(Value::Null);
    let owner = facts.get("owner_id").and_then(Value::as_str);
    let owner = owner.and_then(|id| Uuid::parse_str(id).ok());
    let at = AsOf::of(ctx);
    let now = at.now.to_rfc3339_opts(SecondsFormat::Micros, true);
    let share = row.profile_match.map(|share| share.to_string());
    facts.insert(
        "source".to_owned(),
        json!({ "key": row.source_key, "channel": row.source_channel }),
    );
    facts.insert(
        "profile".to_owned(),
        json!({ "key": row.profile_key, "match": share }),
    );
    facts.insert("today".to_owned(), json!(at.today));
    facts.insert("now".to_owned(), now.into());
    Ok(Subject {
        id: row.id,
        version: row.version,
        status: serde_json::from_value(status).map_err(AppError::internal)?,
        owner,
        facts: Value::Object(facts),
    })
}

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    version: i32,
}

/// A lead as it stands, whoever sees it: for who gave it away just now.
///
/// # Errors
/// Database errors.
pub async fn record(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    lead: Uuid,
) -> AppResult<(i32, Map<String, Value>)> {
    let mut query = Sql::of(ctx.tenant);
    let id = query.place(Bind::Id(lead));
    let document = sql::whole_document(&LEAD);
    query.push(&format!(
        "SELECT {document} AS doc, t.version FROM leads t WHERE t.tenant_id = $1 AND t.id = {id}"
    ));
    let row: RecordRow = query.query().get_result(conn).await?;
    let record = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    Ok((row.version, record))
}

/// The rules that could have a say.
///
/// # Errors
/// Database errors.
pub async fn rules_for(conn: &mut &AsyncPgConnection, tenant: Uuid, asking: Asking) -> AppResult<Vec<Rule>> {
    let triggers = match asking {
        Asking::Reached(trigger) => vec![trigger],
        Asking::Anew => vec![
            Trigger::SalesQualified,
            Trigger::MarketingQualified,
            Trigger::Created,
        ],
    };
    rules::load(conn, tenant, &triggers).await
}

/// Those of the rules that are met by any of the leads: only their people need be known.
pub fn met<'r>(rules: &'r [Rule], leads: &[Subject]) -> Vec<&'r Rule> {
    let is_met = |rule: &&Rule| -> bool {
        leads
            .iter()
            .any(|lead| rule.condition.evaluate(&lead.facts) == Truth::Met)
    };
    rules.iter().filter(is_met).collect()
}

/// Asks the rules about leads and writes what follows: owners, turns, one event a lead. A constant number of statements,
/// however many leads; one entry for each that is open, in the order of their ids. Whatever the leads' new owners bring
/// with them (hand-overs) is the caller's.
///
/// # Errors
/// Database errors.
pub async fn by_rules(tx: &mut Tx, ctx: &Ctx, leads: Vec<Uuid>, order: &Order) -> AppResult<Vec<Outcome>> {
    if leads.is_empty() {
        return Ok(Vec::new());
    }
    let rules = rules_for(&mut &**tx, ctx.tenant, order.asking).await?;
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let mut leads = subjects(&mut &**tx, ctx, leads, true).await?;
    let owners = leads.iter().map(|lead| lead.owner).collect::<Vec<_>>();
    if order.ignores_owner {
        leads.iter_mut().for_each(|lead| lead.owner = None);
    }
    let met = met(&rules, &leads);
    let mut bench = Bench::default();
    if !met.is_empty() {
        let settings = settings::lock(tx, ctx).await?;
        let count = Count::UpToCapacity(leads.len());
        bench = Bench::load(
            &mut &**tx,
            ctx.tenant,
            ctx.now,
            settings.lead_capacity,
            &met,
            count,
        )
        .await?;
    }
    let nobody = BTreeSet::new();
    let mut outcomes = Vec::with_capacity(leads.len());
    for (lead, before) in leads.into_iter().zip(owners) {
        let barred = order.barred.get(&lead.id).unwrap_or(&nobody);
        let decision = decide(&rules, &lead, &bench, order.asking, barred);
        let after = match decision.verdict {
            Verdict::Given { rule, user } => {
                take_turn(&mut bench, rules.get(rule), decision.considered, user, before);
                Some(user)
            }
            // What nobody can take goes to the pool where it is new to the moment; given anew, that is the caller's.
            Verdict::Nobody { .. } if order.asking != Asking::Anew => None,
            Verdict::Nobody { .. } | Verdict::Kept { .. } | Verdict::NoRule => before,
        };
        let rule = rule_of(&rules, decision.verdict);
        outcomes.push(Outcome {
            terms: rule.map(|rule| rule.terms.clone()).unwrap_or_default(),
            note: note(rule, order.how),
            lead,
            verdict: decision.verdict,
            before,
            after,
        });
    }
    bench.write(tx, ctx.tenant).await?;
    if order.is_written {
        write(tx, ctx, &outcomes, order.is_own_change).await?;
    }
    Ok(outcomes)
}

fn take_turn(
    bench: &mut Bench,
    rule: Option<&Rule>,
    considered: Vec<super::decide::Considered>,
    user: Uuid,
    from: Option<Uuid>,
) {
    let candidates = considered
        .into_iter()
        .next_back()
        .map(|last| last.candidates)
        .unwrap_or_default();
    let chosen = candidates.iter().position(|one| one.user_id == user);
    if let (Some(rule), Some(chosen)) = (rule, chosen) {
        bench.give(rule, candidates, chosen, from);
    }
}

fn rule_of(rules: &[Rule], verdict: Verdict) -> Option<&Rule> {
    match verdict {
        Verdict::Given { rule, .. } | Verdict::Kept { rule } | Verdict::Nobody { rule } => rules.get(rule),
        Verdict::NoRule => None,
    }
}

fn note(rule: Option<&Rule>, how: &str) -> Value {
    json!({
        "how": how, "rule_id": rule.map(|rule| rule.id), "rule": rule.map(|rule| rule.name.as_str()),
        "strategy": rule.map(|rule| <&'static str>::from(rule.strategy)),
    })
}

async fn write(tx: &mut Tx, ctx: &Ctx, outcomes: &[Outcome], is_own_change: bool) -> AppResult<()> {
    let mut given = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.is_change()) {
        let (lead, before, note) = (outcome.lead.id, outcome.before, outcome.note.clone());
        match outcome.after {
            Some(after) => given.push(Given {
                lead,
                before,
                after,
                note,
            }),
            None => {
                let leaving = pool::Leaving {
                    lead,
                    owner: before,
                    note,
                    is_own_change,
                };
                pool::release(tx, ctx, leaving).await?;
            }
        }
    }
    give(tx, ctx, &given, is_own_change).await
}

/// A lead on its way to somebody.
#[derive(Debug, Clone)]
pub struct Given {
    pub lead: Uuid,
    pub before: Option<Uuid>,
    pub after: Uuid,
    /// What the history says of it.
    pub note: Value,
}

/// Writes the new owners of locked leads, with one event for each.
///
/// # Errors
/// Database errors.
pub async fn give(tx: &mut Tx, ctx: &Ctx, given: &[Given], is_own_change: bool) -> AppResult<()> {
    if given.is_empty() {
        return Ok(());
    }
    let rows = given
        .iter()
        .map(|one| json!({ "id": one.lead, "owner_id": one.after }));
    let query = sql_query(
        "UPDATE leads t SET owner_id = x.owner_id, version = t.version + $3, \
            updated_at = CASE WHEN $3 > 0 THEN $4 ELSE t.updated_at END \
         FROM jsonb_to_recordset($2) AS x (id uuid, owner_id uuid) WHERE t.tenant_id = $1 AND t.id = x.id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Jsonb, _>(Value::Array(rows.collect()))
    .bind::<Integer, _>(i32::from(is_own_change))
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    let leads = given.iter().map(|one| one.lead).collect::<Vec<_>>();
    entry::follow_owners(tx, ctx.tenant, LEAD.singular, LEAD.table, &leads).await?;
    for one in given.iter().filter(|one| one.before.is_none()) {
        stays::end(tx, ctx, Kind::Lead, one.lead, Ended::Assigned, Some(one.after)).await?;
    }
    reschedule(tx, ctx, Kind::Lead, &leads).await?;
    for one in given {
        let data = json!({
            "changes": { "owner_id": { "before": one.before, "after": one.after } },
            "assignment": one.note,
        });
        tx.record(Event::new("lead.assigned", LEAD.singular, one.lead, data));
    }
    Ok(())
}
