//! Requests and answers about migrations of deals in flight.

use crate::pipeline::gate::GateStateView;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A migration to be made, or to be looked at beforehand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "to_version": 2, "stages": { "contact": "qualify" } }))]
pub struct MigrateDeals {
    /// Numbers of the versions to leave; all others on which there are open opportunities, when absent.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 200)]
    pub from_versions: Option<Vec<i32>>,
    /// Number of the version to go to, which must be the published one; that one, when absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub to_version: Option<i32>,
    /// Stage key left to stage key entered. What is not named goes to the stage of the same key; a stage with open
    /// opportunities of which the version entered has none must be named.
    #[serde(default)]
    pub stages: BTreeMap<String, String>,
    #[serde(default)]
    pub answers: AnswerRule,
    /// Why; kept with every move.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub reason: Option<String>,
}

/// What becomes of ticks and answers. `by_criterion`: they stay where the same criterion, of the same kind, is asked for;
/// so nothing goes along to another stage. `by_key`: they also go along to another stage, to its criterion of the same
/// key and kind. `drop`: none stays.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
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
#[schema(default = "by_criterion")]
pub enum AnswerRule {
    #[default]
    ByCriterion,
    ByKey,
    Drop,
}

/// Where a migration is. `stopped`: its job was cancelled or failed; what it did so far stands, and can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    Running,
    Done,
    Stopped,
    RollingBack,
    RolledBack,
}

/// A migration of deals in flight.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PipelineMigration {
    pub id: Uuid,
    pub pipeline_id: Uuid,
    /// Numbers of the versions left.
    #[schema(examples(json!([1])))]
    pub from_versions: Vec<i32>,
    /// Number of the version entered.
    #[schema(examples(2))]
    pub to_version: i32,
    /// Stage key left to stage key entered, of every stage of the versions left that leads somewhere.
    pub stages: BTreeMap<String, String>,
    pub answers: AnswerRule,
    #[schema(examples("新流程自三月起生效"))]
    pub reason: Option<String>,
    pub state: MigrationState,
    /// How many opportunities it set out with.
    #[schema(examples(120))]
    pub planned: i32,
    /// How many it moved.
    #[schema(examples(118))]
    pub moved: i32,
    /// How many it left alone, since they were closed or archived, or had gone to a stage that is not mapped.
    #[schema(examples(2))]
    pub skipped: i32,
    /// How many of those moved a roll-back took back.
    #[schema(examples(0))]
    pub returned: i32,
    /// How many of those moved a roll-back left where they are, since something later rests on them.
    #[schema(examples(0))]
    pub stayed: i32,
    pub requested_by: Option<Uuid>,
    /// The job that does it.
    pub job_id: Option<Uuid>,
    /// The job that takes it back.
    pub roll_back_job_id: Option<Uuid>,
    pub finished_at: Option<DateTime<Utc>>,
    pub rolled_back_at: Option<DateTime<Utc>>,
    /// Counts its changes.
    #[schema(examples(1))]
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Whether an opportunity stays in its visit (the stage is the same) or begins a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VisitView {
    Kept,
    Begun,
}

/// A stage of a version, with what it gives a deal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlacedStage {
    /// Number of the version.
    #[schema(examples(1))]
    pub version: i32,
    pub stage_id: Uuid,
    #[schema(examples("qualify"))]
    pub stage_key: String,
    #[schema(examples("资格审查"))]
    pub stage_name: String,
    #[schema(examples(604_800))]
    pub expected_dwell_seconds: Option<i64>,
}

/// What a migration means for one opportunity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DealPlan {
    pub opportunity_id: Uuid,
    #[schema(examples("客户管理系统采购"))]
    pub name: String,
    pub owner_id: Option<Uuid>,
    pub from: PlacedStage,
    /// Where it goes; null when its stage goes nowhere, and it is left alone.
    pub to: Option<PlacedStage>,
    pub visit: Option<VisitView>,
    /// The effective probability as it is.
    #[schema(examples("0.1000"))]
    pub probability_before: String,
    /// The effective probability afterwards; one set by hand stays.
    #[schema(examples("0.2000"))]
    pub probability_after: String,
    /// Whether it was set by hand.
    #[schema(examples(false))]
    pub is_probability_by_hand: bool,
    /// Keys of the criteria whose ticks or answers go along.
    #[schema(examples(json!(["intent_confirmed"])))]
    pub answers_carried: Vec<String>,
    /// Keys of the criteria whose ticks or answers do not.
    #[schema(examples(json!([])))]
    pub answers_dropped: Vec<String>,
    /// Pending approval requests that are withdrawn.
    pub approvals_withdrawn: Vec<Uuid>,
    /// Granted approval requests that count no longer.
    pub grants_lost: Vec<Uuid>,
    pub gate_before: GateStateView,
    /// Null when it is left alone.
    pub gate_after: Option<GateStateView>,
}

/// What became of an opportunity. `planned`: not yet reached; `moved`; `skipped`: left alone; `returned`: moved and taken
/// back; `stayed`: moved, and left there by a roll-back.
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
pub enum DealOutcome {
    Planned,
    Moved,
    Skipped,
    Returned,
    Stayed,
}

/// Why an opportunity was skipped, or not taken back. `closed`: won or lost; `archived`; `stage_not_mapped`: it had gone to
/// a stage that leads nowhere; `on_other_version`: it was on none of the versions left; `moved`: it has moved since;
/// `answers_changed`: ticked or answered since; `approvals_changed`: asked about, decided or lapsed since.
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
pub enum Why {
    Closed,
    Archived,
    StageNotMapped,
    OnOtherVersion,
    Moved,
    AnswersChanged,
    ApprovalsChanged,
}

/// An opportunity of a migration: what became of it, and what was planned when it was reached.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MigratedDeal {
    pub opportunity_id: Uuid,
    #[schema(examples("客户管理系统采购"))]
    pub name: String,
    pub outcome: DealOutcome,
    /// Of what was skipped or stayed.
    pub why: Option<Why>,
    /// As the preview shows it, decided under the lock of the opportunity; null before that, or when it was closed or
    /// archived by then.
    pub plan: Option<DealPlan>,
    /// The move.
    pub transition_id: Option<Uuid>,
    /// The move that took it back.
    pub back_transition_id: Option<Uuid>,
}

/// A page of the opportunities of a migration, in the order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct MigratedDealPage {
    pub data: Vec<MigratedDeal>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
    /// Number of all that match; only with `with_total=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub total: Option<i64>,
}

/// What a migration means for the opportunities of one stage of one version.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StageTotals {
    pub from: PlacedStage,
    pub to: Option<PlacedStage>,
    pub visit: Option<VisitView>,
    #[schema(examples(12))]
    pub count: i64,
    /// Null where the migration is about more than 10,000 opportunities: then only their number is told.
    pub of_each: Option<PlanTotals>,
}

/// What the opportunities of a stage come to, looked at one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanTotals {
    /// Ticks and answers that go along.
    #[schema(examples(30))]
    pub answers_carried: i64,
    #[schema(examples(2))]
    pub answers_dropped: i64,
    #[schema(examples(1))]
    pub approvals_withdrawn: i64,
    #[schema(examples(0))]
    pub grants_lost: i64,
    /// How many may leave their stage as they are.
    #[schema(examples(4))]
    pub gates_open_before: i64,
    /// How many may leave their stage afterwards.
    #[schema(examples(3))]
    pub gates_open_after: i64,
}

/// What a migration would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct MigrationPreview {
    /// Numbers of the versions left.
    #[schema(examples(json!([1])))]
    pub from_versions: Vec<i32>,
    /// Number of the version entered.
    #[schema(examples(2))]
    pub to_version: i32,
    /// Stage key left to stage key entered, of every stage of the versions left that leads somewhere.
    pub stages: BTreeMap<String, String>,
    /// How many opportunities it would set out with, those that you cannot see too.
    #[schema(examples(120))]
    pub total: i64,
    /// By version and stage left, over all of them; on the first page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub totals: Option<Vec<StageTotals>>,
    /// Those that you can see, in the order of their ids.
    pub data: Vec<DealPlan>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

/// A page of migrations.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes in the document what the list's statement renders"
)]
pub struct PipelineMigrationPage {
    data: Vec<PipelineMigration>,
    /// Where the next page begins; null on the last one.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// Number of all entries; only with `with_total=true`.
    #[schema(minimum = 0, nullable = false, example = 1)]
    total: Option<i64>,
}
