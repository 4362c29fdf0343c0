//! Keeps for each owned record the local day at whose beginning it is to be looked at. What is kept is a lower bound: deals
//! are asked about only when the day has come, and nothing that happens to a deal can make a record due sooner.

use super::clock::{self, Due, History, Rule, Traits};
use super::{DealsOf, Kind, rules};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::sql_types::{Array, Bool, Date, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use uuid::Uuid;

/// A record with its clock, as the database has them.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Tended {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub owner_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    grade: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    segment: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    source_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Date>)]
    rests_until: Option<NaiveDate>,
    /// Whether it lives and is not done with.
    #[diesel(sql_type = Bool)]
    is_open: bool,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    has_clock: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    clock_owner_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    owned_since: Option<DateTime<Utc>>,
    /// By its events, where no clock was kept for its owner.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    given_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub followed_up_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Date>)]
    pub warned_on: Option<NaiveDate>,
}

impl Tended {
    /// Since when its owner has it: as its clock says, or else its events. Where they do not know the owner yet, this very
    /// change gave it.
    pub(super) fn owned_since(&self) -> DateTime<Utc> {
        let kept = self.owned_since.filter(|_| self.clock_owner_id == self.owner_id);
        kept.or(self.given_at).unwrap_or(self.updated_at)
    }

    fn traits(&self) -> Traits {
        Traits {
            grade: self.grade.clone(),
            segment: self.segment.clone(),
            source_id: self.source_id,
        }
    }

    fn history(&self, ctx: &Ctx, deals: Option<&DealsOf>) -> History {
        let zone = ctx.principal.company.time_zone;
        let day = |at| clock::day_of(at, zone);
        History {
            owned_on: day(self.owned_since()),
            followed_up_on: self.followed_up_at.map(day),
            rests_until: self.rests_until,
            deal_on: deals.and_then(|deals| deals.last_at).map(day),
            held_today: deals.filter(|deals| deals.has_open).map(|_| ctx.today()),
        }
    }

    /// The rule that decides about it, and when it goes by that.
    pub(super) fn judged<'r>(
        &self,
        ctx: &Ctx,
        rules: &'r [Rule],
        deals: Option<&DealsOf>,
    ) -> Option<(&'r Rule, Option<Due>)> {
        if !self.is_open || self.owner_id.is_none() {
            return None;
        }
        let rule = clock::first(rules, &self.traits())?;
        Some((rule, rule.due(&self.history(ctx, deals), self.warned_on)))
    }
}

const ACCOUNTS: &str = "SELECT t.id, t.owner_id, t.grade, t.segment, t.source_id, NULL::date AS rests_until, \
    t.archived_at IS NULL AS is_open, t.updated_at, c.record_id IS NOT NULL AS has_clock, c.owner_id AS clock_owner_id, \
    c.owned_since, CASE WHEN h.owner = t.owner_id::text THEN h.at END AS given_at, c.followed_up_at, c.warned_on FROM accounts t \
    LEFT JOIN pool_clocks c ON c.tenant_id = $1 AND c.record_kind = 'account' AND c.record_id = t.id \
    LEFT JOIN LATERAL (SELECT d.data #>> '{changes,owner_id,after}' AS owner, e.occurred_at AS at FROM events e \
        JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
        WHERE c.owner_id IS DISTINCT FROM t.owner_id AND e.tenant_id = $1 AND e.subject_kind = 'account' AND e.subject_id = t.id \
        AND d.data #> '{changes,owner_id}' IS NOT NULL ORDER BY e.id DESC LIMIT 1) h ON true \
    WHERE t.tenant_id = $1 AND t.id = ANY($2) ORDER BY t.id";

const LEADS: &str = "SELECT t.id, t.owner_id, NULL::text AS grade, NULL::text AS segment, t.source_id, \
    CASE WHEN t.status = 'nurturing' THEN t.nurture_until END AS rests_until, \
    t.archived_at IS NULL AND t.status NOT IN ('converted', 'disqualified') AS is_open, t.updated_at, \
    c.record_id IS NOT NULL AS has_clock, c.owner_id AS clock_owner_id, c.owned_since, \
    CASE WHEN h.owner = t.owner_id::text THEN h.at END AS given_at, c.followed_up_at, c.warned_on FROM leads t \
    LEFT JOIN pool_clocks c ON c.tenant_id = $1 AND c.record_kind = 'lead' AND c.record_id = t.id \
    LEFT JOIN LATERAL (SELECT d.data #>> '{changes,owner_id,after}' AS owner, e.occurred_at AS at FROM events e \
        JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
        WHERE c.owner_id IS DISTINCT FROM t.owner_id AND e.tenant_id = $1 AND e.subject_kind = 'lead' AND e.subject_id = t.id \
        AND d.data #> '{changes,owner_id}' IS NOT NULL ORDER BY e.id DESC LIMIT 1) h ON true \
    WHERE t.tenant_id = $1 AND t.id = ANY($2) ORDER BY t.id";

/// These records with their clocks, in the order of their ids.
pub(super) async fn tended(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    kind: Kind,
    ids: &[Uuid],
) -> AppResult<Vec<Tended>> {
    let sql = match kind {
        Kind::Account => ACCOUNTS,
        Kind::Lead => LEADS,
    };
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(tenant)
        .bind::<Array<SqlUuid>, _>(ids);
    Ok(Cached(query).load(conn).await?)
}

/// Finds out anew when these records go to the pool: after their owner, grade, segment, source or state changed, or they
/// were followed up. The caller has them locked. Where there are no rules, it only forgets since when they were their former
/// owners'.
///
/// # Errors
/// Database errors.
pub async fn reschedule(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rules = rules::active(&mut &**tx, ctx.tenant, kind).await?;
    if rules.is_empty() {
        return forget_former(tx, ctx, kind, ids).await;
    }
    schedule(tx, ctx, kind, ids, &rules).await
}

/// [`reschedule`] for records that are new, and so have no clock yet.
///
/// # Errors
/// Database errors.
pub(super) async fn begin(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<()> {
    let rules = rules::active(&mut &**tx, ctx.tenant, kind).await?;
    if rules.is_empty() {
        return Ok(());
    }
    schedule(tx, ctx, kind, ids, &rules).await
}

/// Clocks that were kept for owners who no longer have these records say nothing: such an owner who gets one back later has it
/// since then.
async fn forget_former(tx: &mut Tx, ctx: &Ctx, kind: Kind, ids: &[Uuid]) -> AppResult<()> {
    let sql = match kind {
        Kind::Account => {
            "UPDATE pool_clocks c SET owner_id = NULL, owned_since = NULL, rule_id = NULL, due_on = NULL, warned_on = NULL, look_on = NULL \
             FROM accounts t WHERE c.tenant_id = $1 AND c.record_kind = 'account' AND c.record_id = ANY($2) AND c.owner_id IS NOT NULL \
                AND t.tenant_id = $1 AND t.id = c.record_id AND t.owner_id IS DISTINCT FROM c.owner_id"
        }
        Kind::Lead => {
            "UPDATE pool_clocks c SET owner_id = NULL, owned_since = NULL, rule_id = NULL, due_on = NULL, warned_on = NULL, look_on = NULL \
             FROM leads t WHERE c.tenant_id = $1 AND c.record_kind = 'lead' AND c.record_id = ANY($2) AND c.owner_id IS NOT NULL \
                AND t.tenant_id = $1 AND t.id = c.record_id AND t.owner_id IS DISTINCT FROM c.owner_id"
        }
    };
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SqlUuid>, _>(ids);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// [`reschedule`] by rules that are known, also by none.
pub(super) async fn schedule(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: Kind,
    ids: &[Uuid],
    rules: &[Rule],
) -> AppResult<()> {
    let tended = tended(&mut &**tx, ctx.tenant, kind, ids).await?;
    let entries = tended.iter().filter_map(|record| {
        let judged = record.judged(ctx, rules, None);
        (record.has_clock || judged.is_some()).then(|| entry(record, judged))
    });
    let entries = entries.collect::<Vec<_>>();
    write(tx, ctx, kind, entries).await
}

/// The clock of a record by what was found out.
pub(super) fn entry(record: &Tended, judged: Option<(&Rule, Option<Due>)>) -> Value {
    let due = judged.and_then(|(_, due)| due);
    let owner = record.owner_id;
    json!({
        "record_id": record.id,
        "owner_id": owner,
        "owned_since": owner.map(|_| record.owned_since()),
        "rule_id": judged.map(|(rule, _)| rule.id),
        "due_on": due.map(|due| due.due_on),
        "warned_on": due.filter(|due| due.is_warned).and(record.warned_on),
        "look_on": due.map(|due| due.look_on()),
    })
}

/// Writes clocks in one statement; what was followed up stays.
pub(super) async fn write(tx: &mut Tx, ctx: &Ctx, kind: Kind, entries: Vec<Value>) -> AppResult<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let query = sql_query(
        "INSERT INTO pool_clocks (tenant_id, record_kind, record_id, owner_id, owned_since, rule_id, due_on, warned_on, look_on) \
         SELECT $1, $2, e.record_id, e.owner_id, e.owned_since, e.rule_id, e.due_on, e.warned_on, e.look_on \
         FROM jsonb_to_recordset($3) AS e (record_id uuid, owner_id uuid, owned_since timestamptz, rule_id uuid, due_on date, warned_on date, look_on date) \
         ON CONFLICT (tenant_id, record_kind, record_id) DO UPDATE SET owner_id = EXCLUDED.owner_id, owned_since = EXCLUDED.owned_since, \
         rule_id = EXCLUDED.rule_id, due_on = EXCLUDED.due_on, warned_on = EXCLUDED.warned_on, look_on = EXCLUDED.look_on",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<Jsonb, _>(Value::Array(entries));
    Cached(query).execute(&mut **tx).await.map_err(AppError::from)?;
    Ok(())
}
