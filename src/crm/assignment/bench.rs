//! The people whom rules name, with what they hold and whose turn it is.

use super::choose::{self, Candidate, Strategy};
use super::rules::{Named, Rule};
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Somebody who can get leads.
#[derive(Debug, Clone, QueryableByName)]
pub struct Person {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    team_id: Option<Uuid>,
    #[diesel(sql_type = Array<SqlUuid>)]
    role_ids: Vec<Uuid>,
    #[diesel(sql_type = Bool)]
    pub is_active: bool,
    #[diesel(sql_type = Bool)]
    pub is_absent: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    pub capacity: Option<i32>,
    #[diesel(sql_type = BigInt)]
    pub open_leads: i64,
}

#[derive(QueryableByName)]
struct TurnRow {
    #[diesel(sql_type = SqlUuid)]
    rule_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = BigInt)]
    last_turn: i64,
    #[diesel(sql_type = BigInt)]
    credit: i64,
}

/// Where somebody stands at a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Turn {
    last: i64,
    credit: i64,
}

/// The people of some rules. What is given is noted here first and written once, however many leads it is about.
#[derive(Debug, Default)]
pub struct Bench {
    people: BTreeMap<Uuid, Person>,
    turns: HashMap<(Uuid, Uuid), Turn>,
    moved: BTreeSet<(Uuid, Uuid)>,
}

/// How far somebody's open leads are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// All of them.
    All,
    /// Where they have a capacity, up to it and so many more, as far as that says whether they are full once so many went
    /// from them; else none.
    UpToCapacity(usize),
}

impl Count {
    /// How many beyond the capacity; none: all there are.
    fn beyond(self) -> Option<i64> {
        match self {
            Count::All => None,
            Count::UpToCapacity(more) => Some(i64::try_from(more).unwrap_or(i64::MAX / 2)),
        }
    }
}

/// `$2` is the instant, `$3` the company's capacity, `$4` how far beyond somebody's capacity their leads are counted: NULL
/// for all of everybody.
const PERSON: &str = "\
SELECT u.id, u.name, u.team_id, u.is_active, coalesce(u.lead_capacity, $3) AS capacity,
    coalesce((SELECT array_agg(ur.role_id) FROM user_roles ur WHERE ur.tenant_id = $1 AND ur.user_id = u.id), '{}') AS role_ids,
    ((u.away_from IS NOT NULL OR u.away_until IS NOT NULL) AND (u.away_from IS NULL OR u.away_from <= $2)
            AND (u.away_until IS NULL OR $2 < u.away_until))
        OR EXISTS (SELECT 1 FROM user_absences a WHERE a.tenant_id = $1 AND a.owner_id = u.id AND a.archived_at IS NULL
            AND a.starts_at <= $2 AND $2 < a.ends_at) AS is_absent,
    (SELECT count(*) FROM (SELECT 1 FROM leads l WHERE l.tenant_id = $1 AND l.owner_id = u.id AND l.archived_at IS NULL
        AND l.status IN ('new', 'working', 'marketing_qualified', 'sales_qualified')
        LIMIT CASE WHEN $4 IS NOT NULL THEN coalesce(coalesce(u.lead_capacity, $3) + $4, 0) END) o) AS open_leads
FROM users u WHERE u.tenant_id = $1";

/// One person as assignment sees them.
///
/// # Errors
/// Database errors.
pub async fn person(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    now: DateTime<Utc>,
    capacity: Option<i32>,
    id: Uuid,
) -> AppResult<Option<Person>> {
    let query = sql_query(format!("{PERSON} AND u.id = $5"))
        .bind::<SqlUuid, _>(tenant)
        .bind::<Timestamptz, _>(now)
        .bind::<Nullable<Integer>, _>(capacity)
        .bind::<Nullable<BigInt>, _>(Count::All.beyond())
        .bind::<SqlUuid, _>(id);
    let found: Vec<Person> = Cached(query).load(conn).await?;
    Ok(found.into_iter().next())
}

impl Bench {
    /// The people of these rules; to give leads, under the lock of the settings. `capacity`: the company's. `count`: how far
    /// the leads are counted of whoever no rule compares by their number.
    ///
    /// # Errors
    /// Database errors.
    pub async fn load(
        conn: &mut &AsyncPgConnection,
        tenant: Uuid,
        now: DateTime<Utc>,
        capacity: Option<i32>,
        rules: &[&Rule],
        count: Count,
    ) -> AppResult<Bench> {
        let by_load = |rule: &&Rule| rule.strategy == Strategy::LeastLoaded;
        let (compared, others): (Vec<&Rule>, Vec<&Rule>) = rules.iter().copied().partition(by_load);
        let mut people = BTreeMap::new();
        // Whoever both name is counted whole.
        for (rules, count) in [(others, count), (compared, Count::All)] {
            let named = people_of(conn, (tenant, now, capacity), &rules, count).await?;
            people.extend(named.into_iter().map(|person| (person.id, person)));
        }
        let query = sql_query(
            "SELECT rule_id, user_id, last_turn, credit FROM assignment_turns WHERE tenant_id = $1 AND rule_id = ANY($2)",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Array<SqlUuid>, _>(rules.iter().map(|rule| rule.id).collect::<Vec<_>>());
        let turns: Vec<TurnRow> = Cached(query).load(conn).await?;
        let turn = |row: TurnRow| {
            let turn = Turn {
                last: row.last_turn,
                credit: row.credit,
            };
            ((row.rule_id, row.user_id), turn)
        };
        Ok(Bench {
            people,
            turns: turns.into_iter().map(turn).collect(),
            moved: BTreeSet::new(),
        })
    }

    pub fn name(&self, user: Uuid) -> Option<&str> {
        self.people.get(&user).map(|person| person.name.as_str())
    }

    /// A rule's candidates in the order in which it names them, each once.
    pub fn candidates(&self, rule: &Rule, barred: &BTreeSet<Uuid>) -> Vec<Candidate> {
        let mut seen = BTreeSet::new();
        let mut candidates = Vec::new();
        for named in &rule.named {
            let meant = self.people.values().filter(|person| is_named(person, named));
            for person in meant {
                if seen.insert(person.id) {
                    candidates.push(self.candidate(rule, person, named.weight, barred));
                }
            }
        }
        candidates
    }

    fn candidate(&self, rule: &Rule, person: &Person, weight: i64, barred: &BTreeSet<Uuid>) -> Candidate {
        let turn = self.turns.get(&(rule.id, person.id)).copied().unwrap_or_default();
        Candidate {
            user_id: person.id,
            weight,
            is_active: person.is_active,
            is_absent: person.is_absent,
            open_leads: person.open_leads,
            capacity: person.capacity.map(i64::from),
            had_it_before: barred.contains(&person.id),
            last_turn: turn.last,
            credit: turn.credit,
        }
    }

    /// Notes that a rule's candidate gets a lead from somebody.
    pub fn give(&mut self, rule: &Rule, mut candidates: Vec<Candidate>, chosen: usize, from: Option<Uuid>) {
        choose::give(rule.strategy, &mut candidates, chosen);
        for one in candidates {
            let key = (rule.id, one.user_id);
            let turn = Turn {
                last: one.last_turn,
                credit: one.credit,
            };
            if self.turns.get(&key).copied().unwrap_or_default() != turn {
                self.turns.insert(key, turn);
                self.moved.insert(key);
            }
            if let Some(person) = self.people.get_mut(&one.user_id) {
                person.open_leads = one.open_leads;
            }
        }
        if let Some(person) = from.and_then(|from| self.people.get_mut(&from)) {
            person.open_leads -= 1;
        }
    }

    /// Writes whose turn it is by now.
    ///
    /// # Errors
    /// Database errors.
    pub async fn write(&self, tx: &mut Tx, tenant: Uuid) -> AppResult<()> {
        if self.moved.is_empty() {
            return Ok(());
        }
        let rows = self.moved.iter().filter_map(|key| {
            let turn = self.turns.get(key)?;
            Some(json!({ "rule_id": key.0, "user_id": key.1, "last_turn": turn.last, "credit": turn.credit }))
        });
        let query = sql_query(
            "INSERT INTO assignment_turns (tenant_id, rule_id, user_id, last_turn, credit) \
             SELECT $1, x.rule_id, x.user_id, x.last_turn, x.credit \
             FROM jsonb_to_recordset($2) AS x (rule_id uuid, user_id uuid, last_turn bigint, credit bigint) \
             ON CONFLICT (tenant_id, rule_id, user_id) DO UPDATE SET last_turn = EXCLUDED.last_turn, credit = EXCLUDED.credit",
        )
        .bind::<SqlUuid, _>(tenant)
        .bind::<Jsonb, _>(Value::Array(rows.collect()));
        Cached(query).execute(&mut **tx).await?;
        Ok(())
    }
}

async fn people_of(
    conn: &mut &AsyncPgConnection,
    (tenant, now, capacity): (Uuid, DateTime<Utc>, Option<i32>),
    rules: &[&Rule],
    count: Count,
) -> AppResult<Vec<Person>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let named = || rules.iter().flat_map(|rule| &rule.named);
    let query = sql_query(format!(
        "{PERSON} AND (u.id = ANY($5) OR (u.is_active AND (u.team_id = ANY($6) OR EXISTS (SELECT 1 FROM user_roles r \
         WHERE r.tenant_id = $1 AND r.user_id = u.id AND r.role_id = ANY($7)))))"
    ))
    .bind::<SqlUuid, _>(tenant)
    .bind::<Timestamptz, _>(now)
    .bind::<Nullable<Integer>, _>(capacity)
    .bind::<Nullable<BigInt>, _>(count.beyond())
    .bind::<Array<SqlUuid>, _>(named().filter_map(|one| one.user_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(named().filter_map(|one| one.team_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(named().filter_map(|one| one.role_id).collect::<Vec<_>>());
    Ok(Cached(query).load(conn).await?)
}

fn is_named(person: &Person, named: &Named) -> bool {
    let in_team = || named.team_id.is_some() && named.team_id == person.team_id && person.is_active;
    let has_role = || {
        named
            .role_id
            .is_some_and(|role| person.is_active && person.role_ids.contains(&role))
    };
    named.user_id == Some(person.id) || in_team() || has_role()
}
