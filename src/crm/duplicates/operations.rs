//! The operations on duplicates, made for each main record by one macro.

macro_rules! duplicates_of {
    ($module:ident, $resource:path, tag = $tag:tt, read = $read:tt, input = $input:tt,
     check = [$check:tt, $check_id:tt], list = [$list:tt, $list_id:tt]) => {
        pub mod $module {
            use crate::crm::duplicates::http::{self, DuplicateHits};
            use crate::kernel::ctx::Ctx;
            use crate::kernel::error::AppResult;
            use crate::platform::db::Db;
            use crate::platform::gatekeeper::{Command, Id};
            use crate::platform::reply::Reply;
            use actix_web::{get, post, web};
            use serde_json::{Map, Value};
            use utoipa_actix_web::service_config::ServiceConfig;

            pub fn routes(config: &mut ServiceConfig) {
                config.service(check).service(list);
            }

            /// Look for duplicates before saving
            ///
            /// Takes what a new record would be made of and answers the records that may be the same, surest first: by exact
            /// keys (phone, e-mail, tax number) and by likeness of names, rule by rule. Leads are compared with leads, contacts
            /// and accounts. Nothing is stored. Of a record outside your scope you learn its owner and how its name begins; by a
            /// personal phone that you may not read you find nobody.
            #[utoipa::path(tag = $tag, operation_id = $check_id, security(("bearer" = [$read])),
                request_body(content = ref($input)), responses((status = 200, description = "What may be the same", body = DuplicateHits)))]
            #[post($check)]
            async fn check(db: web::Data<Db>, command: Command<Map<String, Value>>) -> AppResult<Reply> {
                http::of_input(&db, &command.ctx, &$resource, &command.input).await
            }

            /// List a record's duplicates
            ///
            /// The records that may be the same, surest first, archived and converted ones too.
            #[utoipa::path(tag = $tag, operation_id = $list_id, security(("bearer" = [$read])), responses((status = 200, description = "What may be the same", body = DuplicateHits)))]
            #[get($list)]
            async fn list(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
                http::of_record(&db, &ctx, &$resource, id.0).await
            }
        }
    };
}

duplicates_of!(
    accounts,
    crate::crm::resources::ACCOUNT,
    tag = "accounts",
    read = "account.read",
    input = "#/components/schemas/AccountInput",
    check = ["/v1/accounts/duplicates", "check_account_duplicates"],
    list = ["/v1/accounts/{id}/duplicates", "list_account_duplicates"]
);

duplicates_of!(
    contacts,
    crate::crm::resources::CONTACT,
    tag = "accounts",
    read = "contact.read",
    input = "#/components/schemas/ContactInput",
    check = ["/v1/contacts/duplicates", "check_contact_duplicates"],
    list = ["/v1/contacts/{id}/duplicates", "list_contact_duplicates"]
);

duplicates_of!(
    leads,
    crate::crm::resources::LEAD,
    tag = "leads",
    read = "lead.read",
    input = "#/components/schemas/LeadInput",
    check = ["/v1/leads/duplicates", "check_lead_duplicates"],
    list = ["/v1/leads/{id}/duplicates", "list_lead_duplicates"]
);
