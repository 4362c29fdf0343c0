//! A version of a scoring model and the ideal customer profiles as leads are scored by them: compiled, and kept in the
//! process, since a published version never changes and a profile is known by its version.

use super::document::ScoringDocument;
use super::profiles::Profile;
use super::rules::{Limits, Occurrence, Rule};
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::expression::{Kind, Vocabulary};
use crate::platform::db::Cached;
use crate::platform::records::{custom, vocabulary};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use diesel::sql_types::{Bool, Integer, Jsonb, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use moka::sync::Cache;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

/// A version, ready to score.
#[derive(Debug)]
pub struct Model {
    pub version_id: Uuid,
    pub model_id: Uuid,
    pub number: i32,
    pub document: ScoringDocument,
    pub rules: Vec<Rule>,
    pub limits: Limits,
    /// Whether a score moves with time, or with the profiles, also where no behaviour decays.
    pub is_restless: bool,
}

/// Members of a lead that conditions do not read: what follows from the score itself, and what changes without the lead
/// being scored anew.
const UNREAD: [&str; 12] = [
    "score",
    "status",
    "reopen_status",
    "disqualified_reason",
    "nurture_until",
    "owner_id",
    "converted_account_id",
    "converted_contact_id",
    "converted_opportunity_id",
    "converted_at",
    "updated_at",
    "version",
];

/// What the conditions of a scoring model may read.
pub fn readable(custom_fields: Vocabulary) -> Vocabulary {
    let lead = vocabulary::vocabulary(&LEAD);
    let members = lead.names().filter(|name| !UNREAD.contains(name));
    let behaviour = Vocabulary::new()
        .with("kind", Kind::Text)
        .with("occurred_at", Kind::Instant);
    let profile = Vocabulary::new()
        .with("match", Kind::Decimal)
        .with("key", Kind::Text);
    members
        .fold(Vocabulary::new(), |vocabulary, name| match lead.get(name) {
            Some(kind) => vocabulary.with(name, kind.clone()),
            None => vocabulary,
        })
        .with_record("custom", custom_fields)
        .with_records("behaviours", behaviour)
        .with_record("profile", profile)
}

/// [`readable`] with the company's custom fields as they are now.
///
/// # Errors
/// Database errors.
pub async fn known(conn: &mut &AsyncPgConnection, tenant: Uuid) -> AppResult<Vocabulary> {
    let definitions = custom::definitions(conn, tenant, LEAD.singular).await?;
    Ok(readable(vocabulary::custom(&definitions)))
}

impl Model {
    fn new(
        version_id: Uuid,
        model_id: Uuid,
        number: i32,
        document: ScoringDocument,
        known: &Vocabulary,
    ) -> Model {
        let rules = document.rules(known);
        let is_restless = rules.iter().any(Rule::is_restless);
        Model {
            version_id,
            model_id,
            number,
            limits: document.limits(),
            rules,
            document,
            is_restless,
        }
    }
}

impl Rule {
    fn is_restless(&self) -> bool {
        let super::rules::Test::Condition(Some(condition)) = &self.test else {
            return false;
        };
        let moves = |member: &str| matches!(member, "today" | "now") || member.starts_with("profile");
        condition.members().iter().any(|member| moves(member))
    }
}

/// Kept for a while only, so that conditions over a custom field that comes back work again without a restart.
static MODELS: LazyLock<Cache<(Uuid, Uuid), Arc<Model>>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(10_000)
        .time_to_live(Duration::from_secs(600))
        .build()
});

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = SqlUuid)]
    model_id: Uuid,
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Jsonb)]
    document: Value,
    #[diesel(sql_type = Bool)]
    is_lasting: bool,
}

/// The version of that id, a draft too. Costs no query when this process has it already.
///
/// # Errors
/// `not_found`; database errors.
pub async fn model(conn: &mut &AsyncPgConnection, tenant: Uuid, version_id: Uuid) -> AppResult<Arc<Model>> {
    let key = (tenant, version_id);
    if let Some(found) = MODELS.get(&key) {
        return Ok(found);
    }
    // What is a draft, or was written by the asking transaction itself, may still change.
    let query = sql_query(
        "SELECT v.model_id, v.number, v.document, \
            v.state <> 'draft' AND (v.xmin = pg_current_xact_id_if_assigned()::xid) IS NOT TRUE AS is_lasting \
         FROM scoring_model_versions v WHERE v.tenant_id = $1 AND v.id = $2",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<SqlUuid, _>(version_id);
    let row: VersionRow = Cached(query).get_result(conn).await.optional()?.or_not_found()?;
    let known = known(conn, tenant).await?;
    let document = serde_json::from_value(row.document).map_err(AppError::internal)?;
    let made = Arc::new(Model::new(version_id, row.model_id, row.number, document, &known));
    if row.is_lasting {
        MODELS.insert(key, Arc::clone(&made));
    }
    Ok(made)
}

type Profiles = Arc<Vec<Profile>>;

static PROFILES: LazyLock<Cache<(Uuid, String), Profiles>> =
    LazyLock::new(|| Cache::builder().max_capacity(10_000).build());

#[derive(QueryableByName)]
struct ProfileRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Jsonb)]
    criteria: Value,
    #[diesel(sql_type = Integer)]
    version: i32,
}

/// The company's live profiles. `stamp` names their ids and versions, as [`STAMP`] computes it: the same stamp, the same
/// profiles.
///
/// # Errors
/// Database errors.
pub async fn profiles(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    stamp: Option<&str>,
) -> AppResult<Profiles> {
    let key = (tenant, stamp.unwrap_or_default().to_owned());
    if key.1.is_empty() {
        return Ok(Arc::default());
    }
    if let Some(found) = PROFILES.get(&key) {
        return Ok(found);
    }
    let query = sql_query(
        "SELECT p.id, p.key, p.name, p.criteria, p.version FROM customer_profiles p \
         WHERE p.tenant_id = $1 AND p.archived_at IS NULL ORDER BY p.id",
    )
    .bind::<SqlUuid, _>(tenant);
    let rows: Vec<ProfileRow> = Cached(query).load(conn).await?;
    let read = rows
        .iter()
        .map(|row| format!("{}.{}", row.id, row.version))
        .collect::<Vec<_>>()
        .join(",");
    let made = rows
        .into_iter()
        .map(|row| Profile::new(row.id, row.key, row.name, row.criteria))
        .collect::<AppResult<Vec<_>>>()?;
    let made = Arc::new(made);
    // Changed since the stamp was computed: good for this once.
    if read == key.1 {
        PROFILES.insert(key, Arc::clone(&made));
    }
    Ok(made)
}

/// SQL of the stamp of a company's profiles; `$1` is the tenant.
pub const STAMP: &str = "SELECT string_agg(p.id || '.' || p.version, ',' ORDER BY p.id) FROM customer_profiles p \
     WHERE p.tenant_id = $1 AND p.archived_at IS NULL";

/// As of when something is computed.
#[derive(Debug, Clone, Copy)]
pub struct AsOf {
    pub now: DateTime<Utc>,
    /// The company's local day.
    pub today: NaiveDate,
}

impl AsOf {
    pub fn of(ctx: &Ctx) -> AsOf {
        AsOf {
            now: ctx.now,
            today: ctx.today(),
        }
    }
}

/// The facts that conditions read: the lead in wire form, with what is told apart from it.
pub fn facts(
    lead: &Map<String, Value>,
    occurrences: &[Occurrence],
    profile: Option<(&str, Decimal)>,
    at: AsOf,
) -> Value {
    let mut members = lead.clone();
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let behaviours = occurrences
        .iter()
        .map(|one| json!({ "kind": one.kind, "occurred_at": instant(one.occurred_at) }));
    members.insert("behaviours".to_owned(), behaviours.collect());
    let profile = match profile {
        Some((key, share)) => json!({ "key": key, "match": share.to_string() }),
        None => json!({ "key": null, "match": null }),
    };
    members.insert("profile".to_owned(), profile);
    members.insert("today".to_owned(), json!(at.today));
    members.insert("now".to_owned(), instant(at.now).into());
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_has_no_fault() {
        let document: ScoringDocument = serde_json::from_str(include_str!("templates/b2b.json")).unwrap();
        assert_eq!(document.faults("", &readable(Vocabulary::new())), []);
    }

    #[test]
    fn what_follows_from_the_score_cannot_be_read() {
        let known = readable(Vocabulary::new());
        for name in UNREAD {
            assert!(known.get(name).is_none(), "{name}");
        }
        assert!(known.get("region").is_some() && known.get("created_at").is_some());
    }
}
