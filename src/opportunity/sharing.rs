//! Participants and external ids of opportunities.

use crate::crm::sharing::shared_record;

shared_record!(
    opportunities,
    crate::opportunity::resources::OPPORTUNITY,
    tag = "opportunities",
    read = "opportunity.read",
    write = "opportunity.write",
    participants = [
        "/v1/opportunities/{id}/participants",
        "/v1/opportunities/{id}/participants/{part_id}",
        "list_opportunity_participants",
        "add_opportunity_participant",
        "remove_opportunity_participant"
    ],
    external_ids = [
        "/v1/opportunities/{id}/external-ids",
        "/v1/opportunities/{id}/external-ids/{part_id}",
        "list_opportunity_external_ids",
        "add_opportunity_external_id",
        "remove_opportunity_external_id"
    ]
);
