//! The processes that every company starts with.

use super::definition::ProcessDocument;

/// 合同审批: the manager, legal at any amount, the general manager above 200,000 of the company's currency.
/// Source: DOMAIN.md, room 6, and the contract approval form (合同审批表) of the worked example.
const CONTRACT_APPROVAL: &str = include_str!("shipped/contract_approval.json");

/// 报价审批: the manager of whoever owns the deal. The shipped pipelines whose deals are quoted name it.
const QUOTE_APPROVAL: &str = include_str!("shipped/quote_approval.json");

/// The shipped processes.
///
/// # Errors
/// When a document that was compiled in cannot be read; a test proves that it can.
pub fn processes() -> Result<Vec<ProcessDocument>, serde_json::Error> {
    [CONTRACT_APPROVAL, QUOTE_APPROVAL]
        .into_iter()
        .map(serde_json::from_str)
        .collect()
}
