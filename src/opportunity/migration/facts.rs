//! Many deals at once, as far as a migration asks: their rows, and whatever the gates left and entered look at. One
//! statement for the deals, one for their approvals, however many they are.

use super::plan::{self, Plan, Visit};
use super::wire::{DealPlan, PlacedStage, VisitView};
use super::{Course, Terms};
use crate::approval::definition::SubjectKind;
use crate::approval::service::{self as approvals, Standing as Asked};
use crate::approval::state::RequestState;
use crate::crm::resources::ACCOUNT;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::opportunity::facts::{ANSWERS, GivenAnswer, rate_sql, records_sql};
use crate::opportunity::resources::OPPORTUNITY;
use crate::opportunity::standing::{self, Head};
use crate::pipeline::gate::{Answer, GateState, GateStateView, Needs, Standing, Verdict};
use crate::pipeline::service::Definition;
use crate::platform::records::sql::{self, Bind, Sql};
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A deal with everything that its gates look at.
pub struct DealFacts {
    pub head: Head,
    /// The whole record in wire form.
    pub record: Map<String, Value>,
    pub version: i32,
    account: Value,
    rate: Option<String>,
    answers: Vec<GivenAnswer>,
    records: BTreeMap<String, Vec<Value>>,
    asked: Vec<Asked>,
    /// The deal as approvals see it.
    subject: Value,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Nullable<Text>)]
    account: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    rate: Option<String>,
    #[diesel(sql_type = Text)]
    answers: String,
    #[diesel(sql_type = Text)]
    records: String,
}

/// Reads these deals, in the order of their ids. What is gone is left out.
///
/// # Errors
/// Database errors.
pub async fn read(
    conn: &mut &AsyncPgConnection,
    ctx: &Ctx,
    ids: &[Uuid],
    needs: &Needs,
) -> AppResult<Vec<DealFacts>> {
    let rows: Vec<Row> = facts_sql(ctx, ids, needs).query().load(conn).await?;
    let mut deals = rows
        .into_iter()
        .map(DealFacts::of)
        .collect::<AppResult<Vec<_>>>()?;
    let visits = deals.iter().map(|deal| (deal.head.id, deal.head.visit_id));
    let visits = visits.collect::<Vec<_>>();
    let kind = SubjectKind::Opportunity;
    let mut asked = approvals::standings_of_many(conn, ctx.tenant, kind, &visits).await?;
    for deal in &mut deals {
        deal.asked = asked.remove(&deal.head.id).unwrap_or_default();
    }
    Ok(deals)
}

fn facts_sql(ctx: &Ctx, ids: &[Uuid], needs: &Needs) -> Sql {
    let mut sql = Sql::of(ctx.tenant);
    let ids = sql.place(Bind::Ids(ids.to_vec()));
    let document = sql::whole_document(&OPPORTUNITY);
    let account = match needs.reads_account {
        true => format!(
            "(SELECT {} FROM accounts t WHERE t.tenant_id = $1 AND t.id = o.account_id)",
            sql::whole_document(&ACCOUNT)
        ),
        false => String::from("NULL::text"),
    };
    let records = records_sql(needs);
    let rate = rate_sql(&mut sql, ctx, needs);
    sql.push(&format!(
        "SELECT {document} AS doc, t.version, {account} AS account, {rate} AS rate, ({ANSWERS})::text AS answers, ({records})::text AS records \
         FROM opportunities t CROSS JOIN LATERAL (SELECT t.id, t.visit_id, t.account_id, t.currency) o \
         WHERE t.tenant_id = $1 AND t.id = ANY({ids}) ORDER BY t.id"
    ));
    sql
}

/// What the gates of these versions look at, taken together.
pub fn needs_of<'a>(definitions: impl Iterator<Item = &'a Definition>) -> Needs {
    let mut whole = Needs::default();
    for definition in definitions {
        let stages = definition.course.steps().iter();
        for stage in stages.filter_map(|step| definition.stage(step.id)) {
            let needs = stage.gate.needs();
            whole.answers |= needs.answers;
            whole.reads_account |= needs.reads_account;
            whole.members.extend(needs.members.iter().cloned());
            whole.records.extend(needs.records.iter().cloned());
            let approvals = needs.approvals.iter();
            let approvals = approvals.map(|(key, process)| (key.clone(), process.clone()));
            whole.approvals.extend(approvals);
        }
    }
    whole
}

impl DealFacts {
    fn of(row: Row) -> AppResult<DealFacts> {
        let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
        let head = Head::deserialize(&record).map_err(AppError::internal)?;
        let account = row.account.as_deref().map(serde_json::from_str).transpose();
        let records: BTreeMap<String, Vec<Value>> =
            serde_json::from_str(&row.records).map_err(AppError::internal)?;
        let subject = standing::subject(&record, &records);
        Ok(DealFacts {
            head,
            record,
            version: row.version,
            account: account.map_err(AppError::internal)?.unwrap_or_default(),
            rate: row.rate,
            answers: serde_json::from_str(&row.answers).map_err(AppError::internal)?,
            records,
            asked: Vec::new(),
            subject,
        })
    }

    /// Whether it was archived.
    pub fn is_archived(&self) -> bool {
        self.record.get("archived_at").is_some_and(|at| !at.is_null())
    }

    /// The deal as the plan takes it.
    pub fn deal(&self) -> plan::Deal {
        let requests = self.asked.iter().map(|asked| plan::Request {
            id: asked.request_id,
            criterion_id: asked.criterion_id,
            process_key: asked.process_key.clone(),
            standing: match asked.state {
                RequestState::Pending => plan::RequestStanding::Pending,
                RequestState::Approved if asked.covers(&self.subject) => plan::RequestStanding::Granted,
                _ => plan::RequestStanding::Void,
            },
        });
        plan::Deal {
            stage_id: self.head.stage_id,
            answered: self.answers.iter().map(|answer| answer.criterion_id).collect(),
            requests: requests.collect(),
        }
    }

    /// The gate of the stage in which it is.
    ///
    /// # Errors
    /// When its stage is not in its version: a bug.
    pub fn gate_before(&self, ctx: &Ctx, from: &Definition) -> AppResult<Verdict> {
        let stage_id = self.head.stage_id;
        let criteria = criteria(from, stage_id)?;
        let pairs = self.answers.iter().filter_map(|answer| {
            let key = criteria.iter().find(|(_, id)| **id == answer.criterion_id)?.0;
            Some((key.clone(), answer.clone().given().1))
        });
        let entered_at = self.head.stage_entered_at;
        self.verdict(ctx, from, stage_id, entered_at, pairs.collect(), true)
    }

    /// The gate of the stage to which it goes, as it will stand there.
    ///
    /// # Errors
    /// When that stage is not in the version entered: a bug.
    pub fn gate_after(&self, ctx: &Ctx, to: &Definition, plan: &Plan) -> AppResult<Verdict> {
        let answers = plan.carried.iter().filter_map(|carried| {
            let mut answers = self.answers.iter();
            let answer = answers.find(|answer| answer.criterion_id == carried.from)?;
            Some((carried.key.clone(), answer.clone().given().1))
        });
        let is_kept = plan.visit == Visit::Kept;
        let entered_at = match is_kept {
            true => self.head.stage_entered_at,
            false => ctx.now,
        };
        self.verdict(ctx, to, plan.to_stage_id, entered_at, answers.collect(), is_kept)
    }

    fn verdict(
        &self,
        ctx: &Ctx,
        definition: &Definition,
        stage_id: Uuid,
        entered_at: DateTime<Utc>,
        answers: BTreeMap<String, Answer>,
        with_approvals: bool,
    ) -> AppResult<Verdict> {
        let stage = definition.stage(stage_id).ok_or_else(no_stage)?;
        let approvals = self.asked.iter().filter(|_| with_approvals).filter_map(|asked| {
            let criterion = asked.criterion_id?;
            let key = stage.criteria.iter().find(|(_, id)| **id == criterion)?.0;
            let process = stage.gate.needs().approvals.get(key)?;
            let is_meant = *process == asked.process_key;
            is_meant.then(|| (key.clone(), standing::approval(asked.clone(), &self.subject)))
        });
        // Of thousands of deals, what a gate does not look at is not copied.
        let needs = stage.gate.needs();
        let foreign = standing::foreign_amount(ctx, &self.record, self.rate.as_deref());
        let facts = match needs.members.is_empty() && needs.records.is_empty() {
            true => Value::Null,
            false => standing::members(
                ctx,
                stage_id,
                &self.record,
                definition,
                self.account.clone(),
                foreign.as_ref(),
            ),
        };
        let records = self
            .records
            .iter()
            .filter(|(kind, _)| needs.records.contains(*kind));
        let records = records.map(|(kind, records)| (kind.clone(), records.clone()));
        Ok(stage.gate.evaluate(&Standing {
            opportunity_id: self.head.id,
            account_id: Some(self.head.account_id),
            hides_account: false,
            approval_target: None,
            facts,
            foreign,
            entered_at,
            answers,
            records: records.collect(),
            approvals: approvals.collect(),
        }))
    }

    /// What a migration means for it, as it is shown; and the plan itself, when it goes anywhere.
    ///
    /// # Errors
    /// When its stage is not in its version: a bug.
    pub fn planned(&self, ctx: &Ctx, course: &Course, terms: &Terms) -> AppResult<Planned> {
        let from = course.left(self.head.pipeline_version_id).ok_or_else(no_stage)?;
        let to = &course.to;
        let before = self.gate_before(ctx, from)?;
        let plan = plan::plan(&self.deal(), from, to, &terms.mapping, terms.answers);
        let after = match &plan {
            Some(plan) => Some(gate_state(&self.gate_after(ctx, to, plan)?.state)),
            None => None,
        };
        let text = |name: &str| self.record.get(name).and_then(Value::as_str);
        let is_probability_by_hand = text("probability_by_hand").is_some();
        let probability_before = text("probability").unwrap_or_default().to_owned();
        let entered = plan.as_ref().map(|plan| course.probability(plan.to_stage_id));
        let probability_after = match entered {
            Some(probability) if !is_probability_by_hand => probability,
            Some(_) | None => probability_before.clone(),
        };
        let some = plan.as_ref();
        let keys = |of: &dyn Fn(&Plan) -> Vec<String>| some.map(of).unwrap_or_default();
        let view = DealPlan {
            opportunity_id: self.head.id,
            name: text("name").unwrap_or_default().to_owned(),
            owner_id: self.head.owner_id,
            from: placed(from, self.head.stage_id)?,
            to: some.map(|plan| placed(to, plan.to_stage_id)).transpose()?,
            visit: some.map(|plan| match plan.visit {
                Visit::Kept => VisitView::Kept,
                Visit::Begun => VisitView::Begun,
            }),
            probability_before,
            probability_after,
            is_probability_by_hand,
            answers_carried: keys(&|plan| plan.carried.iter().map(|it| it.key.clone()).collect()),
            answers_dropped: keys(&|plan| plan.dropped.iter().map(|(_, key)| key.clone()).collect()),
            approvals_withdrawn: some.map(|plan| plan.withdrawn.clone()).unwrap_or_default(),
            grants_lost: some.map(|plan| plan.lost.clone()).unwrap_or_default(),
            gate_before: gate_state(&before.state),
            gate_after: after,
        };
        Ok(Planned { plan, view, before })
    }
}

/// A planned deal.
pub struct Planned {
    pub plan: Option<Plan>,
    pub view: DealPlan,
    /// The gate of the stage that it leaves, as it stood.
    pub before: Verdict,
}

fn criteria(definition: &Definition, stage: Uuid) -> AppResult<&BTreeMap<String, Uuid>> {
    definition
        .stage(stage)
        .map(|stage| &stage.criteria)
        .ok_or_else(no_stage)
}

pub(super) fn placed(definition: &Definition, stage: Uuid) -> AppResult<PlacedStage> {
    let step = definition.step(stage).ok_or_else(no_stage)?;
    Ok(PlacedStage {
        version: definition.number,
        stage_id: step.id,
        stage_key: step.key.clone(),
        stage_name: step.name.clone(),
        expected_dwell_seconds: step.expected_dwell_seconds,
    })
}

fn no_stage() -> AppError {
    AppError::internal("a stage that is not in its version")
}

fn gate_state(state: &GateState) -> GateStateView {
    match state {
        GateState::Open => GateStateView::Open,
        GateState::OnlyApprovalMissing { .. } => GateStateView::OnlyApprovalMissing,
        GateState::Closed => GateStateView::Closed,
    }
}
