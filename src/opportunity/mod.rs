//! Room 5: running deals, their parts, their moves.

pub mod advance;
pub mod hand_over;
pub mod parts;
pub mod resources;
pub mod sharing;

use crate::pipeline::vocabulary::Subjects;
use crate::platform::records::Resource;
use utoipa_actix_web::service_config::ServiceConfig;

/// The declared resources of this area.
pub const RESOURCES: &[&Resource] = &[
    &resources::OPPORTUNITY,
    &parts::LINE,
    &parts::DECISION_CHAIN_MEMBER,
    &parts::NEED_ANALYSIS,
    &parts::SOLUTION_CHECKLIST_ITEM,
    &parts::OBJECTION,
    &parts::NEGOTIATION_RECORD,
    &parts::COMPETITOR_MET,
    &parts::VALUE_LINE,
    &parts::RISK_LINE,
    &parts::CHANGE_REQUEST,
    &parts::NEGOTIATION_PLAN,
    &parts::NEGOTIATION_TEAM_MEMBER,
    &parts::RESULT_SHEET,
];

/// The parts of an opportunity.
const PARTS: &[&Resource] = &[
    &parts::LINE,
    &parts::DECISION_CHAIN_MEMBER,
    &parts::NEED_ANALYSIS,
    &parts::SOLUTION_CHECKLIST_ITEM,
    &parts::OBJECTION,
    &parts::NEGOTIATION_RECORD,
    &parts::COMPETITOR_MET,
    &parts::VALUE_LINE,
    &parts::RISK_LINE,
    &parts::CHANGE_REQUEST,
    &parts::NEGOTIATION_PLAN,
    &parts::NEGOTIATION_TEAM_MEMBER,
    &parts::RESULT_SHEET,
];

/// What gates are about: the deal, its account, and the parts that `record` criteria count.
pub static SUBJECTS: Subjects = Subjects {
    opportunity: &resources::OPPORTUNITY,
    account: &crate::crm::resources::ACCOUNT,
    records: PARTS,
};

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    sharing::opportunities::routes(config);
}
