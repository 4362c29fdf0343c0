//! The course of a pipeline version: its stages by id, in order, with the edges between them.

use super::definition::{ForecastCategory, PipelineDocument};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The stages of a version, ready to be asked where a deal may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub is_regress_allowed: bool,
    steps: Vec<Step>,
}

/// One stage of a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub id: Uuid,
    /// Counts from 0.
    pub position: usize,
    pub key: String,
    pub name: String,
    /// Chance of finally winning from here, a share 0–1.
    pub probability: Decimal,
    pub forecast_category: ForecastCategory,
    pub expected_dwell_seconds: Option<i64>,
    pub asks_approval_by_itself: bool,
    pub advances_when_approved: bool,
    edges: Vec<usize>,
}

impl Step {
    /// Whether an advance out of this stage wins the deal.
    pub fn is_final(&self) -> bool {
        self.edges.is_empty()
    }
}

impl Course {
    /// Lays out a document whose stages have these ids, by key; `None` when one has none.
    pub fn new(document: &PipelineDocument, ids: &BTreeMap<String, Uuid>) -> Option<Course> {
        let stages = document.stages.iter().enumerate();
        let steps = stages.map(|(position, stage)| {
            Some(Step {
                id: *ids.get(&stage.key)?,
                position,
                key: stage.key.clone(),
                name: stage.name.clone(),
                probability: stage.probability.0,
                forecast_category: stage.forecast_category,
                expected_dwell_seconds: stage.expected_dwell_seconds,
                asks_approval_by_itself: stage.asks_approval_by_itself,
                advances_when_approved: stage.advances_when_approved,
                edges: document
                    .edges(position)
                    .into_iter()
                    .filter(|to| *to > position)
                    .collect(),
            })
        });
        Some(Course {
            is_regress_allowed: document.is_regress_allowed,
            steps: steps.collect::<Option<Vec<_>>>()?,
        })
    }

    /// All stages in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The stage that deals enter.
    pub fn first(&self) -> Option<&Step> {
        self.steps.first()
    }

    pub fn step(&self, id: Uuid) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// Where an advance out of this stage may lead; empty out of a final one, which wins.
    pub fn onward(&self, from: &Step) -> Vec<&Step> {
        from.edges
            .iter()
            .filter_map(|position| self.steps.get(*position))
            .collect()
    }

    /// The stages before this one, in order.
    pub fn before(&self, step: &Step) -> &[Step] {
        &self.steps[..step.position.min(self.steps.len())]
    }

    /// The stages after this one, in order.
    pub fn after(&self, step: &Step) -> &[Step] {
        self.steps.get(step.position + 1..).unwrap_or_default()
    }
}
