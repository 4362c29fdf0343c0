//! Room 5: running deals, their parts, their moves.

pub mod advance;
pub mod bring_in;
pub mod closing;
pub mod convert;
pub mod criteria;
pub mod cycles;
mod facts;
mod follow;
pub mod hand_over;
pub mod history;
pub mod holding;
mod hooks;
mod lapse;
pub mod merging;
pub mod migration;
pub mod moves;
pub mod overdue;
pub mod owners;
mod part_hooks;
pub mod parts;
mod repricing;
pub mod resources;
pub mod result_sheets;
pub mod sharing;
pub mod standing;
pub mod timeline;
pub mod views;

use crate::approval;
use crate::approval::definition::SubjectKind;
use crate::approval::subjects::Subject;
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
pub const PARTS: &[&Resource] = &[
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

/// What can be approved: the deal with its lines, the lead that is to become one, the sheet that ends a negotiation.
pub const APPROVAL_SUBJECTS: approval::subjects::Subjects = approval::subjects::Subjects(&[
    Subject {
        kind: SubjectKind::Opportunity,
        resource: &resources::OPPORTUNITY,
        parts: &[("lines", &parts::LINE)],
        decided: Some(advance::service::decided),
    },
    Subject {
        kind: SubjectKind::Lead,
        resource: &crate::crm::resources::LEAD,
        parts: &[],
        decided: None,
    },
    Subject {
        kind: SubjectKind::ResultSheet,
        resource: &parts::RESULT_SHEET,
        parts: &[],
        decided: Some(result_sheets::decided),
    },
]);

/// What is asked most.
pub fn hot(config: &mut ServiceConfig) {
    config
        .service(advance::http::advance_opportunity)
        .service(criteria::get_opportunity_gate);
}

/// The other commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    sharing::opportunities::routes(config);
    migration::routes(config);
    config
        .service(advance::http::regress_opportunity)
        .service(advance::http::skip_opportunity_stages)
        .service(advance::http::override_opportunity_gate)
        .service(advance::http::ask_opportunity_approval)
        .service(result_sheets::ask_result_sheet_approval)
        .service(closing::lose_opportunity)
        .service(closing::restart_opportunity)
        .service(closing::reopen_opportunity)
        .service(closing::assign_opportunity)
        .service(criteria::answer_criterion)
        .service(criteria::withdraw_answer)
        .service(history::list_opportunity_transitions)
        .service(history::list_opportunity_cycles)
        .service(convert::convert_lead);
    config
        .service(timeline::list_opportunity_timeline)
        .service(owners::list_opportunity_owners);
}
