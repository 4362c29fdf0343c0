//! What the whole comes to, and which approvals alone would open it.

use super::standing::ApprovalState;
use super::verdict::{Evidence, Finding, GateState, State};

pub(super) fn gate_state(root: Option<&Finding>) -> GateState {
    let Some(root) = root.filter(|root| root.is_required && root.state != State::Met) else {
        return GateState::Open;
    };
    match approvals_needed(root) {
        None => GateState::Closed,
        Some(needed) => {
            let keys = |is_pending: bool| {
                let those = needed.iter().filter(|it| it.is_pending == is_pending);
                those.map(|it| it.key.to_owned()).collect::<Vec<_>>()
            };
            GateState::OnlyApprovalMissing {
                to_ask: keys(false),
                pending: keys(true),
            }
        }
    }
}

struct Needed<'a> {
    key: &'a str,
    is_pending: bool,
}

/// The approvals with which this node would hold, of alternatives those with the fewest new requests; `None` when
/// approvals alone cannot make it hold. A rejection is an answer: asking again is left to a person.
fn approvals_needed(finding: &Finding) -> Option<Vec<Needed<'_>>> {
    if !finding.is_required || finding.state == State::Met {
        return Some(Vec::new());
    }
    if finding.is_criterion() {
        let Some(Evidence::Approval { state, .. }) = &finding.evidence else {
            return None;
        };
        let is_pending = match state {
            ApprovalState::Pending => true,
            ApprovalState::NotAsked
            | ApprovalState::Returned
            | ApprovalState::Withdrawn
            | ApprovalState::Lapsed => false,
            ApprovalState::Approved | ApprovalState::Rejected => return None,
        };
        return Some(vec![Needed {
            key: &finding.key,
            is_pending,
        }]);
    }
    let counting = finding.of.iter().filter(|child| child.is_required);
    let wanted = match finding.kind {
        "any" => 1,
        "at_least" => finding.count.unwrap_or_default() as usize,
        _ => counting.clone().count(),
    };
    let mut ways: Vec<(usize, Vec<Needed<'_>>)> = counting
        .enumerate()
        .filter_map(|(place, child)| Some((place, approvals_needed(child)?)))
        .collect();
    if ways.len() < wanted {
        return None;
    }
    ways.sort_by_key(|(_, needed)| (needed.iter().filter(|it| !it.is_pending).count(), needed.len()));
    ways.truncate(wanted);
    ways.sort_by_key(|(place, _)| *place);
    Some(ways.into_iter().flat_map(|(_, needed)| needed).collect())
}
