//! Assignment rules as they are kept: validated when saved, compiled when read.

use super::choose::Strategy;
use super::settings::warning_fault;
use crate::crm::lead_states::Status;
use crate::crm::resources::LEAD;
use crate::crm::scoring::document::expression_faults;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::expression::{Expression, Kind, Truth, Vocabulary};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Act, Change, custom, vocabulary};
use diesel::sql_types::{Array, Bool, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// At which moment of a lead a rule is asked.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    strum::VariantNames,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(example = "created")]
pub enum Trigger {
    /// It arrived, was imported or entered, without an owner.
    Created,
    MarketingQualified,
    SalesQualified,
}

impl Trigger {
    /// The moment that a lead reaches with a status.
    pub fn reached(status: Status) -> Option<Trigger> {
        match status {
            Status::MarketingQualified => Some(Trigger::MarketingQualified),
            Status::SalesQualified => Some(Trigger::SalesQualified),
            _ => None,
        }
    }

    /// The moments that a lead of that status has reached, the latest first: by whose rules it is given anew.
    pub fn up_to(status: Status) -> Vec<Trigger> {
        let all = [
            Trigger::SalesQualified,
            Trigger::MarketingQualified,
            Trigger::Created,
        ];
        let latest = Trigger::reached(status).unwrap_or(Trigger::Created);
        all.into_iter().filter(|trigger| *trigger <= latest).collect()
    }
}

/// What a rule does when it is met and nobody can take the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, strum::VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum WhenNobody {
    Pool,
    NextRule,
}

/// Whom a rule names: one person, the people of a team, or those with a role.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    #[serde(default)]
    pub user_id: Option<Uuid>,
    #[serde(default)]
    pub team_id: Option<Uuid>,
    #[serde(default)]
    pub role_id: Option<Uuid>,
    #[serde(default = "one")]
    pub weight: i64,
}

fn one() -> i64 {
    1
}

/// A rule, ready to be asked.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: Uuid,
    pub name: String,
    pub trigger: Trigger,
    pub condition: Condition,
    pub named: Vec<Named>,
    pub strategy: Strategy,
    pub when_nobody: WhenNobody,
    pub takes_owned: bool,
    pub terms: Terms,
}

/// When a rule is met.
#[derive(Debug, Clone)]
pub enum Condition {
    Always,
    When(Expression),
    /// It compiled when it was saved, and no longer does: a field that it reads is gone.
    Broken,
}

/// What a rule says about the first response, in place of the company's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    pub rule_id: Option<Uuid>,
    pub response_minutes: Option<i32>,
    pub warning_minutes: Option<i32>,
    pub goal: Option<String>,
}

impl Terms {
    /// These, or those of the rule asked before where none says anything now.
    pub fn or(self, before: Terms) -> Terms {
        if self.rule_id.is_some() { self } else { before }
    }
}

impl Condition {
    pub fn evaluate(&self, facts: &Value) -> Truth {
        match self {
            Condition::Always => Truth::Met,
            Condition::When(expression) => expression.evaluate(facts),
            Condition::Broken => Truth::Failed {
                reason: say(
                    "it can no longer be read: save the rule anew",
                    "条件已无法读取,请重新保存规则",
                ),
            },
        }
    }
}

#[derive(QueryableByName)]
struct RuleRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    trigger: String,
    #[diesel(sql_type = Nullable<Text>)]
    condition: Option<String>,
    #[diesel(sql_type = Jsonb)]
    candidates: Value,
    #[diesel(sql_type = Text)]
    strategy: String,
    #[diesel(sql_type = Text)]
    when_nobody: String,
    #[diesel(sql_type = Bool)]
    takes_owned: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    response_minutes: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    warning_minutes: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    goal: Option<String>,
}

/// The company's enabled rules of these moments: by moment in the order given, then as the company ordered them.
///
/// # Errors
/// Database errors.
pub async fn load(conn: &mut &AsyncPgConnection, tenant: Uuid, triggers: &[Trigger]) -> AppResult<Vec<Rule>> {
    let names = triggers
        .iter()
        .map(|trigger| <&'static str>::from(*trigger))
        .collect::<Vec<_>>();
    let query = sql_query(
        "SELECT id, name, trigger, condition, candidates, strategy, when_nobody, takes_owned, response_minutes, \
            warning_minutes, goal FROM assignment_rules \
         WHERE tenant_id = $1 AND trigger = ANY($2) AND is_enabled AND archived_at IS NULL \
         ORDER BY array_position($2, trigger), position, id",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<Text>, _>(names);
    let rows: Vec<RuleRow> = Cached(query).load(conn).await?;
    let mut rules = Vec::with_capacity(rows.len());
    for row in rows {
        rules.push(rule(conn, tenant, row).await?);
    }
    Ok(rules)
}

#[derive(QueryableByName)]
struct TermsRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<Integer>)]
    response_minutes: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    warning_minutes: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    goal: Option<String>,
}

/// What the rule says by which somebody came to the lead that they have, if it was by a rule: the lead's last change of
/// owner knows it.
///
/// # Errors
/// Database errors.
pub async fn terms_of_gift(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    lead: Uuid,
    owner: Uuid,
) -> AppResult<Option<Terms>> {
    let query = sql_query(
        "SELECT r.id, r.response_minutes, r.warning_minutes, r.goal FROM ( \
            SELECT d.data #>> '{changes,owner_id,after}' AS owner_id, d.data -> 'assignment' AS given \
            FROM events e JOIN event_payloads d ON d.tenant_id = $1 AND d.event_id = e.id \
            WHERE e.tenant_id = $1 AND e.subject_kind = 'lead' AND e.subject_id = $2 \
            AND d.data #> '{changes,owner_id}' IS NOT NULL ORDER BY e.id DESC LIMIT 1 \
         ) c JOIN assignment_rules r ON r.tenant_id = $1 AND r.id = (c.given ->> 'rule_id')::uuid \
         WHERE c.owner_id = $3::text AND c.given ->> 'how' IN ('rule', 'hand_over')",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(lead)
    .bind::<SqlUuid, _>(owner);
    let row: Option<TermsRow> = Cached(query).get_result(conn).await.optional()?;
    Ok(row.map(|row| Terms {
        rule_id: Some(row.id),
        response_minutes: row.response_minutes,
        warning_minutes: row.warning_minutes,
        goal: row.goal,
    }))
}

async fn rule(conn: &mut &AsyncPgConnection, tenant: Uuid, row: RuleRow) -> AppResult<Rule> {
    let read = |text: &str| Value::from(text);
    Ok(Rule {
        id: row.id,
        name: row.name,
        trigger: serde_json::from_value(read(&row.trigger)).map_err(AppError::internal)?,
        condition: match row.condition {
            Some(source) => compiled(conn, tenant, source).await?,
            None => Condition::Always,
        },
        named: serde_json::from_value(row.candidates).map_err(AppError::internal)?,
        strategy: serde_json::from_value(read(&row.strategy)).map_err(AppError::internal)?,
        when_nobody: serde_json::from_value(read(&row.when_nobody)).map_err(AppError::internal)?,
        takes_owned: row.takes_owned,
        terms: Terms {
            rule_id: Some(row.id),
            response_minutes: row.response_minutes,
            warning_minutes: row.warning_minutes,
            goal: row.goal,
        },
    })
}

/// Compiled conditions by their text. Kept for a while only, so that one over a custom field that comes back works again.
static CONDITIONS: LazyLock<Cache<(Uuid, String), Condition>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(10_000)
        .time_to_live(Duration::from_secs(600))
        .build()
});

async fn compiled(conn: &mut &AsyncPgConnection, tenant: Uuid, source: String) -> AppResult<Condition> {
    let key = (tenant, source);
    if let Some(found) = CONDITIONS.get(&key) {
        return Ok(found);
    }
    let known = known(conn, tenant).await?;
    let condition = match Expression::compile(&key.1, &known) {
        Ok(expression) => Condition::When(expression),
        Err(_) => Condition::Broken,
    };
    if matches!(condition, Condition::When(_)) {
        CONDITIONS.insert(key, condition.clone());
    }
    Ok(condition)
}

/// Members of a lead that rules do not read: who owns it is what they decide, and the rest is history.
const UNREAD: [&str; 9] = [
    "owner_id",
    "reopen_status",
    "disqualified_reason",
    "nurture_until",
    "converted_account_id",
    "converted_contact_id",
    "converted_opportunity_id",
    "converted_at",
    "version",
];

/// What the conditions of assignment rules may read, with the company's own fields as they are now.
///
/// # Errors
/// Database errors.
pub async fn known(conn: &mut &AsyncPgConnection, tenant: Uuid) -> AppResult<Vocabulary> {
    let definitions = custom::definitions(conn, tenant, LEAD.singular).await?;
    Ok(readable(vocabulary::custom(&definitions)))
}

fn readable(custom_fields: Vocabulary) -> Vocabulary {
    let lead = vocabulary::vocabulary(&LEAD);
    let source = Vocabulary::new()
        .with("key", Kind::Text)
        .with("channel", Kind::Text);
    let profile = Vocabulary::new()
        .with("key", Kind::Text)
        .with("match", Kind::Decimal);
    lead.names()
        .filter(|name| !UNREAD.contains(name))
        .fold(Vocabulary::new(), |vocabulary, name| match lead.get(name) {
            Some(kind) => vocabulary.with(name, kind.clone()),
            None => vocabulary,
        })
        .with_record("custom", custom_fields)
        .with_record("source", source)
        .with_record("profile", profile)
}

/// Rules: a condition that can be read, candidates that are there, a warning before its deadline.
pub fn before<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if matches!(change.act, Act::Archive | Act::Restore) {
            return Ok(());
        }
        let mut faults = candidate_faults(tx, ctx, change).await?;
        if let Some(condition) = change.text("condition") {
            custom::hold(tx, ctx.tenant, &[LEAD.singular]).await?;
            let known = known(&mut &**tx, ctx.tenant).await?;
            faults.extend(expression_faults("/condition", condition, &known));
        }
        let number = |member: &str| change.after.get(member).and_then(Value::as_i64);
        faults.extend(warning_fault(
            number("response_minutes"),
            number("warning_minutes"),
        ));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(AppError::invalid(faults))
        }
    })
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

async fn candidate_faults(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<Vec<Fault>> {
    let candidates = change.after.get("candidates").cloned().unwrap_or(Value::Null);
    let named: Vec<Named> = serde_json::from_value(candidates).unwrap_or_default();
    if named.is_empty() {
        return Ok(vec![Fault::required("/candidates")]);
    }
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    let mut ids = Vec::new();
    for (place, one) in named.iter().enumerate() {
        let given = [
            ("user_id", one.user_id),
            ("team_id", one.team_id),
            ("role_id", one.role_id),
        ];
        let given = given.into_iter().filter_map(|(member, id)| Some((member, id?)));
        match given.collect::<Vec<_>>().as_slice() {
            [(member, id)] if seen.insert(*id) => ids.push((place, *member, *id)),
            [(member, _)] => faults.push(Fault::duplicate(format!("/candidates/{place}/{member}"))),
            [] => faults.push(Fault::required(format!("/candidates/{place}/user_id"))),
            _ => faults.push(Fault::invalid(
                format!("/candidates/{place}"),
                "names exactly one of user_id, team_id and role_id",
                "须且仅须指定 user_id、team_id、role_id 之一",
            )),
        }
    }
    let query = sql_query(
        "SELECT id FROM users WHERE tenant_id = $1 AND id = ANY($2) AND is_active \
         UNION ALL SELECT id FROM teams WHERE tenant_id = $1 AND id = ANY($2) AND archived_at IS NULL \
         UNION ALL SELECT id FROM roles WHERE tenant_id = $1 AND id = ANY($2) AND archived_at IS NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Array<SqlUuid>, _>(ids.iter().map(|(_, _, id)| *id).collect::<Vec<_>>());
    let found: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    let found = found.into_iter().map(|row| row.id).collect::<BTreeSet<_>>();
    let missing = ids.iter().filter(|(_, _, id)| !found.contains(id));
    faults
        .extend(missing.map(|(place, member, _)| Fault::not_found(format!("/candidates/{place}/{member}"))));
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_given_anew_by_the_rules_of_the_latest_moment_that_it_reached() {
        use Trigger::{Created, MarketingQualified, SalesQualified};
        assert_eq!(
            Trigger::up_to(Status::SalesQualified),
            [SalesQualified, MarketingQualified, Created]
        );
        assert_eq!(
            Trigger::up_to(Status::MarketingQualified),
            [MarketingQualified, Created]
        );
        assert_eq!(Trigger::up_to(Status::New), [Created]);
    }

    #[test]
    fn rules_read_the_score_and_the_source_and_not_whom_they_decide_about() {
        let known = readable(Vocabulary::new());
        for good in [
            "score >= 60",
            "region == \"华东\" && industry != null",
            "source.channel == \"web\"",
            "status == \"new\"",
        ] {
            assert!(Expression::compile(good, &known).is_ok(), "{good}");
        }
        assert!(Expression::compile("owner_id == null", &known).is_err());
    }
}
