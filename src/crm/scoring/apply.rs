//! Scores leads and does what follows: the one way in which scores are written, for one lead or for a batch of them.

use super::model::AsOf;
use super::rules::{self, Passage, Score, Standing, points_text};
use super::standing::{self, Known, Scorer};
use crate::crm::assignment::follow;
use crate::crm::lead_states::Status;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::sql::{self, Bind, DocRow, Sql};
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::str::FromStr;
use uuid::Uuid;

/// On what occasion leads are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The record is being written: its version counts already, and its event takes in what the score adds.
    Written,
    /// Something about the lead happened that is told by this event: a changed score is a change of the lead.
    Happened(&'static str),
    /// Only time passed, or the model changed: a score that moved leaves no event and no version; a step of the lead does.
    Refreshed,
}

/// What scoring did to one lead.
#[derive(Debug, Clone)]
pub struct Moved {
    pub lead_id: Uuid,
    pub before: Option<Decimal>,
    pub after: Option<Decimal>,
    pub status_before: Status,
    pub status: Status,
    pub opens_review: bool,
}

impl Moved {
    fn has_step(&self) -> bool {
        self.status != self.status_before
    }

    fn has_changed(&self) -> bool {
        self.has_step() || self.before != self.after
    }
}

/// A lead that is being scored.
struct Subject {
    by_hand: Option<Decimal>,
    review_id: Option<Uuid>,
    score: Option<Score>,
    profile: Option<(Uuid, Decimal)>,
    passage: Passage,
    moved: Moved,
}

/// Locks leads that can still move and gives them in wire form, in the order of their ids. For batches: whoever locks
/// several leads goes by that order.
///
/// # Errors
/// Database errors.
pub async fn lock(tx: &mut Tx, tenant: Uuid, leads: Vec<Uuid>) -> AppResult<Vec<Map<String, Value>>> {
    let mut query = Sql::of(tenant);
    let ids = query.place(Bind::Ids(leads.clone()));
    query.push(&format!(
        "SELECT t.id FROM leads t WHERE t.tenant_id = $1 AND t.id = ANY({ids}) ORDER BY t.id FOR NO KEY UPDATE OF t"
    ));
    query.query().execute(&mut **tx).await?;
    // Read once they are held: what stands beside a lead would else be seen as it was before the wait.
    let mut query = Sql::of(tenant);
    let ids = query.place(Bind::Ids(leads));
    let document = sql::whole_document(&LEAD);
    query.push(&format!(
        "SELECT {document} AS doc, t.version FROM leads t WHERE t.tenant_id = $1 AND t.id = ANY({ids}) \
         AND t.archived_at IS NULL AND t.status <> 'converted' ORDER BY t.id"
    ));
    let rows: Vec<DocRow> = query.query().load(&mut **tx).await?;
    let records = rows.iter().map(|row| serde_json::from_str(&row.doc));
    records.collect::<Result<Vec<_>, _>>().map_err(AppError::internal)
}

/// Scores locked leads by the company's published model and writes what follows. `leads`: in wire form, as they stand in
/// the database. A constant number of statements, however many they are; answers one entry for each lead.
///
/// # Errors
/// Database errors.
pub async fn apply(
    tx: &mut Tx,
    ctx: &Ctx,
    leads: &[Map<String, Value>],
    occasion: Occasion,
) -> AppResult<Vec<Moved>> {
    let (scorer, subjects) = survey(tx, ctx, leads, None).await?;
    let scorer = scorer.as_ref();
    write(tx, ctx, scorer, &subjects, occasion).await?;
    reviews(tx, ctx, scorer, &subjects).await?;
    for subject in &subjects {
        tell(tx, scorer, subject, occasion);
    }
    let moved = subjects
        .into_iter()
        .map(|subject| subject.moved)
        .collect::<Vec<_>>();
    // A lead that is being written is followed once it is.
    if occasion != Occasion::Written {
        follow::stepped(tx, ctx, &moved).await?;
    }
    Ok(moved)
}

/// What scoring by that version, a draft too, would do to these leads. Writes nothing.
///
/// # Errors
/// `not_found` when there is no such version; database errors.
pub async fn preview(
    tx: &mut Tx,
    ctx: &Ctx,
    leads: &[Map<String, Value>],
    version: Uuid,
) -> AppResult<Vec<Moved>> {
    let (_, subjects) = survey(tx, ctx, leads, Some(version)).await?;
    Ok(subjects.into_iter().map(|subject| subject.moved).collect())
}

/// Scores leads by a version, the published one when none is named.
async fn survey(
    tx: &mut Tx,
    ctx: &Ctx,
    leads: &[Map<String, Value>],
    version: Option<Uuid>,
) -> AppResult<(Option<Scorer>, Vec<Subject>)> {
    let ids = leads.iter().map(id_of).collect::<AppResult<Vec<_>>>()?;
    if ids.is_empty() {
        return Ok((None, Vec::new()));
    }
    let known = standing::known(&mut &**tx, ctx.tenant, &ids).await?;
    let first = known.as_slice().first();
    let scorer = match version.or(first.and_then(|known| known.version_id)) {
        Some(version) => {
            let stamp = first.and_then(|known| known.profiles.as_deref());
            Some(Scorer::load(&mut &**tx, ctx.tenant, version, stamp).await?)
        }
        None => None,
    };
    let known = known
        .iter()
        .map(|known| (known.lead_id, known))
        .collect::<HashMap<_, _>>();
    let at = AsOf::of(ctx);
    let mut subjects = Vec::with_capacity(leads.len());
    for (lead, id) in leads.iter().zip(&ids) {
        if let Some(known) = known.get(id) {
            subjects.push(subject(lead, known, scorer.as_ref(), at)?);
        }
    }
    Ok((scorer, subjects))
}

fn id_of(lead: &Map<String, Value>) -> AppResult<Uuid> {
    let id = lead.get("id").and_then(Value::as_str).unwrap_or_default();
    Uuid::parse_str(id).map_err(AppError::internal)
}

/// A decimal member of a record.
pub fn decimal(record: &Map<String, Value>, member: &str) -> Option<Decimal> {
    let text = record.get(member).and_then(Value::as_str)?;
    Decimal::from_str(text).ok()
}

fn subject(
    lead: &Map<String, Value>,
    known: &Known,
    scorer: Option<&Scorer>,
    at: AsOf,
) -> AppResult<Subject> {
    let status = lead.get("status").cloned().unwrap_or(Value::Null);
    let status: Status = serde_json::from_value(status).map_err(AppError::internal)?;
    let before = decimal(lead, "score");
    let scored = match scorer {
        Some(scorer) => Some(scorer.score(lead, &known.occurrences()?, at)),
        None => None,
    };
    let profile = scored.as_ref().and_then(|scored| scored.best.as_ref());
    let profile = profile.map(|best| (best.profile.id, best.share));
    let score = scored.map(|scored| scored.score);
    let after = known.by_hand.or(score.as_ref().map(|score| score.total));
    let standing = Standing {
        status,
        score: before,
        has_open_review: known.review_id.is_some(),
        rejected: known.rejected,
    };
    let passage = match scorer {
        Some(scorer) => rules::pass(&scorer.model.limits, standing, after, at.today)?,
        None => Passage {
            status,
            opens_review: false,
            withdraws_review: standing.has_open_review && status != Status::MarketingQualified,
        },
    };
    let moved = Moved {
        lead_id: known.lead_id,
        before,
        after,
        status_before: status,
        status: passage.status,
        opens_review: passage.opens_review,
    };
    Ok(Subject {
        by_hand: known.by_hand,
        review_id: known.review_id,
        score,
        profile,
        passage,
        moved,
    })
}

const WRITE: &str = "\
WITH x AS (
    SELECT * FROM jsonb_to_recordset($2) AS x (lead_id uuid, version_id uuid, score numeric, status text, bump integer,
        total numeric, demographic numeric, behavioural numeric, fit numeric, intent numeric, is_decaying boolean,
        profile_id uuid, profile_match numeric)
), kept AS (
    INSERT INTO lead_scores (tenant_id, lead_id, model_version_id, total, demographic, behavioural, fit, intent, is_decaying,
        profile_id, profile_match, computed_at)
    SELECT $1, x.lead_id, x.version_id, x.total, x.demographic, x.behavioural, x.fit, x.intent, x.is_decaying,
        x.profile_id, x.profile_match, $3 FROM x WHERE x.version_id IS NOT NULL
    ON CONFLICT (tenant_id, lead_id) DO UPDATE SET model_version_id = EXCLUDED.model_version_id, total = EXCLUDED.total,
        demographic = EXCLUDED.demographic, behavioural = EXCLUDED.behavioural, fit = EXCLUDED.fit, intent = EXCLUDED.intent,
        is_decaying = EXCLUDED.is_decaying, profile_id = EXCLUDED.profile_id, profile_match = EXCLUDED.profile_match,
        computed_at = EXCLUDED.computed_at
)
UPDATE leads t SET score = x.score, status = x.status, version = t.version + x.bump,
    updated_at = CASE WHEN x.bump > 0 THEN $3 ELSE t.updated_at END
FROM x WHERE t.tenant_id = $1 AND t.id = x.lead_id AND (t.score IS DISTINCT FROM x.score OR t.status <> x.status)";

async fn write(
    tx: &mut Tx,
    ctx: &Ctx,
    scorer: Option<&Scorer>,
    subjects: &[Subject],
    occasion: Occasion,
) -> AppResult<()> {
    let version = scorer.map(|scorer| scorer.model.version_id);
    let rows = subjects
        .iter()
        .filter(|subject| version.is_some() || subject.moved.has_changed())
        .map(|subject| row(subject, version, occasion))
        .collect::<Vec<_>>();
    if rows.is_empty() {
        return Ok(());
    }
    let query = sql_query(WRITE)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Jsonb, _>(Value::Array(rows))
        .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

fn row(subject: &Subject, version: Option<Uuid>, occasion: Occasion) -> Value {
    let Subject { moved, profile, .. } = subject;
    let is_change = match occasion {
        Occasion::Written => false,
        Occasion::Happened(_) => moved.has_changed(),
        Occasion::Refreshed => moved.has_step(),
    };
    let status: &'static str = moved.status.into();
    let mut row = json!({
        "lead_id": moved.lead_id, "version_id": version, "score": moved.after, "status": status,
        "bump": i32::from(is_change), "is_decaying": false,
        "profile_id": profile.map(|(id, _)| id), "profile_match": profile.map(|(_, share)| share),
    });
    if let Some(score) = &subject.score {
        row["total"] = json!(score.total);
        row["demographic"] = json!(score.demographic);
        row["behavioural"] = json!(score.behavioural);
        row["fit"] = json!(score.fit);
        row["intent"] = json!(score.intent);
        row["is_decaying"] = json!(score.is_decaying);
    }
    row
}

/// What made the score up, for events and reviews: rules that gave nothing are left out.
fn evidence(scorer: Option<&Scorer>, subject: &Subject) -> Value {
    let Some((scorer, score)) = scorer.zip(subject.score.as_ref()) else {
        return json!({ "by_hand": subject.by_hand.map(points_text) });
    };
    let both = scorer.model.rules.iter().zip(&score.findings);
    let rules = both
        .filter(|(_, finding)| !finding.points.is_zero())
        .map(|(rule, finding)| json!({ "key": rule.key, "points": points_text(finding.points) }));
    json!({
        "model_version_id": scorer.model.version_id,
        "computed": points_text(score.total),
        "by_hand": subject.by_hand.map(points_text),
        "dimensions": {
            "demographic": points_text(score.demographic), "behavioural": points_text(score.behavioural),
            "fit": points_text(score.fit), "intent": points_text(score.intent),
        },
        "rules": rules.collect::<Vec<_>>(),
    })
}

const REVIEW: &str = "\
WITH x AS (
    SELECT * FROM jsonb_to_recordset($2) AS x (id uuid, lead_id uuid, score numeric, version_id uuid, evidence jsonb)
), gone AS (
    UPDATE lead_reviews r SET status = 'withdrawn', decided_at = $3, updated_at = $3, version = r.version + 1
    WHERE r.tenant_id = $1 AND r.status = 'open' AND r.id IN (SELECT (g.value #>> '{}')::uuid FROM jsonb_array_elements($4) AS g (value))
)
INSERT INTO lead_reviews (tenant_id, id, lead_id, score, model_version_id, evidence, created_at, updated_at)
SELECT $1, x.id, x.lead_id, x.score, x.version_id, x.evidence, $3, $3 FROM x";

/// Opens and withdraws reviews.
async fn reviews(tx: &mut Tx, ctx: &Ctx, scorer: Option<&Scorer>, subjects: &[Subject]) -> AppResult<()> {
    let opened = subjects
        .iter()
        .filter(|subject| subject.passage.opens_review)
        .map(|subject| {
            json!({
                "id": Uuid::now_v7(), "lead_id": subject.moved.lead_id, "score": subject.moved.after,
                "version_id": scorer.map(|scorer| scorer.model.version_id), "evidence": evidence(scorer, subject),
            })
        })
        .collect::<Vec<_>>();
    let withdrawn = subjects
        .iter()
        .filter(|subject| subject.passage.withdraws_review)
        .filter_map(|subject| subject.review_id.map(|review| (review, subject.moved.lead_id)))
        .collect::<Vec<_>>();
    if opened.is_empty() && withdrawn.is_empty() {
        return Ok(());
    }
    for review in &opened {
        let ids = ["id", "lead_id"].map(|member| review[member].as_str().map(Uuid::parse_str));
        let [Some(Ok(id)), Some(Ok(lead))] = ids else {
            continue;
        };
        let about = json!({ "lead_id": lead, "score": review["score"], "scoring": review["evidence"] });
        tx.record(Event::new("lead_review.opened", "lead_review", id, about).and_on("lead", Some(lead)));
    }
    for (review, lead) in &withdrawn {
        let changes = json!({ "changes": { "status": { "before": "open", "after": "withdrawn" } } });
        tx.record(
            Event::new("lead_review.withdrawn", "lead_review", *review, changes).and_on("lead", Some(*lead)),
        );
    }
    let gone = withdrawn.iter().map(|(review, _)| json!(review)).collect();
    let query = sql_query(REVIEW)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Jsonb, _>(Value::Array(opened))
        .bind::<Timestamptz, _>(ctx.now)
        .bind::<Jsonb, _>(Value::Array(gone));
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// The lead's event, with the evidence of the score at that instant.
fn tell(tx: &mut Tx, scorer: Option<&Scorer>, subject: &Subject, occasion: Occasion) {
    let moved = &subject.moved;
    let is_told = match occasion {
        Occasion::Written | Occasion::Happened(_) => moved.has_changed(),
        Occasion::Refreshed => moved.has_step(),
    };
    if !is_told {
        return;
    }
    let (before, after): (&'static str, &'static str) = (moved.status_before.into(), moved.status.into());
    let kind = match (moved.has_step(), occasion) {
        (true, _) => format!("lead.{after}"),
        (false, Occasion::Happened(kind)) => kind.to_owned(),
        (false, Occasion::Written | Occasion::Refreshed) => "lead.updated".to_owned(),
    };
    let mut changes = Map::new();
    if moved.before != moved.after {
        let text = |score: Option<Decimal>| score.map(points_text);
        changes.insert(
            "score".to_owned(),
            json!({ "before": text(moved.before), "after": text(moved.after) }),
        );
    }
    if moved.has_step() {
        changes.insert("status".to_owned(), json!({ "before": before, "after": after }));
    }
    let data = json!({ "changes": changes, "scoring": evidence(scorer, subject) });
    tx.record(Event::new(kind, LEAD.singular, moved.lead_id, data));
}
