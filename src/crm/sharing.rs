//! The operations on participants and external ids, made for each main record by one macro.

/// Defines a module with the operations on the participants and external ids of one resource, and its `routes`.
macro_rules! shared_record {
    ($module:ident, $resource:path, tag = $tag:tt, read = $read:tt, write = $write:tt,
     participants = [$people:tt, $person:tt, $list_people:tt, $add_person:tt, $remove_person:tt],
     external_ids = [$ids:tt, $one_id:tt, $list_ids:tt, $add_id:tt, $remove_id:tt]) => {
        pub mod $module {
            use $crate::crm::external_ids::{self, ExternalId, ExternalIdInput, ExternalIdList};
            use $crate::crm::participants::{self, Participant, ParticipantInput, ParticipantList};
            use $crate::kernel::ctx::Ctx;
            use $crate::kernel::error::AppResult;
            use $crate::platform::db::Db;
            use $crate::platform::gatekeeper::{Command, Id, path_id};
            use $crate::platform::records::query;
            use $crate::platform::reply::Reply;
            use actix_web::{HttpRequest, delete, get, post, web};
            use utoipa_actix_web::service_config::ServiceConfig;

            pub fn routes(config: &mut ServiceConfig) {
                config
                    .service(list_participants)
                    .service(add_participant)
                    .service(remove_participant)
                    .service(list_external_ids)
                    .service(add_external_id)
                    .service(remove_external_id);
            }

            /// List a record's participants
            ///
            /// Everybody besides the owner who supports the record, on one page.
            #[utoipa::path(tag = $tag, operation_id = $list_people, security(("bearer" = [$read])), responses((status = 200, description = "The participants", body = ParticipantList)))]
            #[get($people)]
            async fn list_participants(db: web::Data<Db>, ctx: Ctx, id: Id, request: HttpRequest) -> AppResult<Reply> {
                query::none(request.query_string())?;
                participants::list(&db, &ctx, &$resource, id.0).await
            }

            /// Invite a participant
            ///
            /// Lets somebody read or edit the record, whatever their scope, at once. Inviting them again changes what they may
            /// do. Needs the record within the scope of your permission: participants do not invite others.
            #[utoipa::path(tag = $tag, operation_id = $add_person, security(("bearer" = [$write])), request_body = ParticipantInput,
                responses((status = 201, description = "The participant", body = Participant), (status = 200, description = "The participant, whose access changed", body = Participant)))]
            #[post($people)]
            async fn add_participant(db: web::Data<Db>, id: Id, command: Command<ParticipantInput>) -> AppResult<Reply> {
                participants::add(&db, &command.ctx, &$resource, id.0, command.input).await
            }

            /// Remove a participant
            ///
            /// Ends the participation at once.
            #[utoipa::path(tag = $tag, operation_id = $remove_person, security(("bearer" = [$write])), responses((status = 204, description = "Removed")))]
            #[delete($person)]
            async fn remove_participant(db: web::Data<Db>, ctx: Ctx, id: Id, request: HttpRequest) -> AppResult<Reply> {
                let participation = path_id(&request, "part_id")?;
                participants::remove(&db, &ctx, &$resource, id.0, participation).await
            }

            /// List a record's external ids
            ///
            /// By what other systems know the record, on one page.
            #[utoipa::path(tag = $tag, operation_id = $list_ids, security(("bearer" = [$read])), responses((status = 200, description = "The external ids", body = ExternalIdList)))]
            #[get($ids)]
            async fn list_external_ids(db: web::Data<Db>, ctx: Ctx, id: Id, request: HttpRequest) -> AppResult<Reply> {
                query::none(request.query_string())?;
                external_ids::list(&db, &ctx, &$resource, id.0).await
            }

            /// Note an external id
            ///
            /// Notes by what another system knows the record. One id of one system names one record of a kind.
            #[utoipa::path(tag = $tag, operation_id = $add_id, security(("bearer" = [$write])), request_body = ExternalIdInput,
                responses((status = 201, description = "The external id", body = ExternalId)))]
            #[post($ids)]
            async fn add_external_id(db: web::Data<Db>, id: Id, command: Command<ExternalIdInput>) -> AppResult<Reply> {
                external_ids::add(&db, &command.ctx, &$resource, id.0, command.input).await
            }

            /// Forget an external id
            ///
            /// The other system's id is free for another record.
            #[utoipa::path(tag = $tag, operation_id = $remove_id, security(("bearer" = [$write])), responses((status = 204, description = "Forgotten")))]
            #[delete($one_id)]
            async fn remove_external_id(db: web::Data<Db>, ctx: Ctx, id: Id, request: HttpRequest) -> AppResult<Reply> {
                let entry = path_id(&request, "part_id")?;
                external_ids::remove(&db, &ctx, &$resource, id.0, entry).await
            }
        }
    };
}
pub(crate) use shared_record;

shared_record!(
    accounts,
    crate::crm::resources::ACCOUNT,
    tag = "accounts",
    read = "account.read",
    write = "account.write",
    participants = [
        "/v1/accounts/{id}/participants",
        "/v1/accounts/{id}/participants/{part_id}",
        "list_account_participants",
        "add_account_participant",
        "remove_account_participant"
    ],
    external_ids = [
        "/v1/accounts/{id}/external-ids",
        "/v1/accounts/{id}/external-ids/{part_id}",
        "list_account_external_ids",
        "add_account_external_id",
        "remove_account_external_id"
    ]
);
shared_record!(
    contacts,
    crate::crm::resources::CONTACT,
    tag = "accounts",
    read = "contact.read",
    write = "contact.write",
    participants = [
        "/v1/contacts/{id}/participants",
        "/v1/contacts/{id}/participants/{part_id}",
        "list_contact_participants",
        "add_contact_participant",
        "remove_contact_participant"
    ],
    external_ids = [
        "/v1/contacts/{id}/external-ids",
        "/v1/contacts/{id}/external-ids/{part_id}",
        "list_contact_external_ids",
        "add_contact_external_id",
        "remove_contact_external_id"
    ]
);
shared_record!(
    leads,
    crate::crm::resources::LEAD,
    tag = "leads",
    read = "lead.read",
    write = "lead.write",
    participants = [
        "/v1/leads/{id}/participants",
        "/v1/leads/{id}/participants/{part_id}",
        "list_lead_participants",
        "add_lead_participant",
        "remove_lead_participant"
    ],
    external_ids = [
        "/v1/leads/{id}/external-ids",
        "/v1/leads/{id}/external-ids/{part_id}",
        "list_lead_external_ids",
        "add_lead_external_id",
        "remove_lead_external_id"
    ]
);
