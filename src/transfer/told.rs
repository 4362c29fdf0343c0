//! What a job tells of a row: why it was refused, and of what it warns where the row was taken.

use super::draft::Draft;
use super::plan::Plan;
use crate::jobs::RowError;
use crate::kernel::error::Refusal;
use crate::kernel::fault::{Fault, Warning};
use serde_json::Value;

/// What a refusal says: its faults, or itself where it names none.
pub fn faults(refusal: &Refusal) -> Vec<Fault> {
    if refusal.faults.is_empty() {
        vec![Fault::new("", refusal.code.as_str(), refusal.detail.clone())]
    } else {
        refusal.faults.clone()
    }
}

/// A refusal as the errors of a row: one for each fault, with heading, cell and the row as it came.
pub fn errors(plan: &Plan, draft: &Draft, refusal: &Refusal) -> Vec<RowError> {
    let faults = faults(refusal).into_iter();
    faults.map(|fault| of_row(plan, draft, fault, false)).collect()
}

/// The warnings of a row that was taken.
pub fn warnings<'a>(
    plan: &'a Plan,
    draft: &'a Draft,
    warnings: &'a [Warning],
) -> impl Iterator<Item = RowError> + 'a {
    warnings
        .iter()
        .map(|warning| of_row(plan, draft, warning.clone(), true))
}

fn of_row(plan: &Plan, draft: &Draft, fault: Fault, is_warning: bool) -> RowError {
    let target = fault.pointer.trim_start_matches('/').replace('/', ".");
    let heading = plan.heading(&target);
    let cell = heading.and_then(|heading| draft.row.cells.get(heading));
    RowError {
        is_warning,
        row: Some(draft.row.number),
        subject: None,
        pointer: fault.pointer,
        heading: heading.map(str::to_owned),
        value: cell.map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)),
        code: fault.code.to_owned(),
        message: fault.message,
        original: Some(Value::Object(draft.row.cells.clone())),
    }
}
