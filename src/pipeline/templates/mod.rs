//! The pipelines a company can start from.

use super::definition::PipelineDocument;
use crate::kernel::error::{AppError, AppResult};

/// A shipped pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub key: &'static str,
    pub name: String,
    pub description: String,
    /// The keys of the approval processes it names; a company without them cannot publish it.
    pub processes: Vec<String>,
    pub document: PipelineDocument,
}

const TEMPLATES: [(&str, &str); 4] = [
    ("five_stage_b2b", include_str!("five_stage_b2b.json")),
    ("eight_step_funnel", include_str!("eight_step_funnel.json")),
    ("lead_to_delivery", include_str!("lead_to_delivery.json")),
    ("six_phase", include_str!("six_phase.json")),
];

/// Every shipped pipeline.
///
/// # Errors
/// None that a test of this build lets through: each file reads as a document.
pub fn templates() -> AppResult<Vec<Template>> {
    TEMPLATES.iter().map(|(key, text)| read(key, text)).collect()
}

/// The shipped pipeline of that key.
///
/// # Errors
/// `not_found` for any other key.
pub fn template(key: &str) -> AppResult<Template> {
    let known = TEMPLATES.iter().find(|(known, _)| *known == key);
    let (key, text) = known.ok_or_else(AppError::not_found)?;
    read(key, text)
}

fn read(key: &'static str, text: &str) -> AppResult<Template> {
    let document: PipelineDocument = serde_json::from_str(text).map_err(AppError::internal)?;
    let mut processes = document
        .stages
        .iter()
        .flat_map(|stage| stage.criteria())
        .filter_map(|criterion| criterion.node.process())
        .map(str::to_owned)
        .collect::<Vec<_>>();
    processes.sort_unstable();
    processes.dedup();
    Ok(Template {
        key,
        name: document.name.clone(),
        description: document.description.clone().unwrap_or_default(),
        processes,
        document,
    })
}

#[cfg(test)]
mod tests;
