//! The operations of the pool, made for leads and accounts by one macro.

/// Defines a module with the pool's operations on one kind of record, and its `routes`.
macro_rules! pooled {
    ($module:ident, $kind:expr, $write:tt, $read:tt, $tag:tt,
     claim = [$claim:tt, $claim_id:tt], claim_many = [$many:tt, $many_id:tt], assign = [$assign:tt, $assign_id:tt],
     undo = [$undo:tt, $undo_id:tt], release = [$release:tt, $release_id:tt], follow_up = [$follow:tt, $follow_id:tt],
     standing = [$standing:tt, $standing_id:tt]) => {
        pub mod $module {
            use crate::crm::pool::claims::{self, ClaimMany, ClaimedMany, PoolAssign, PoolTaken};
            use crate::crm::pool::follow_ups::{self, FollowUp};
            use crate::crm::pool::releases::{self, Release, Released};
            use crate::crm::pool::standing::{self, PoolStanding};
            use crate::crm::pool::{Deals, Kind};
            use crate::kernel::ctx::Ctx;
            use crate::kernel::error::AppResult;
            use crate::platform::db::Db;
            use crate::platform::gatekeeper::{Command, Id};
            use crate::platform::reply::Reply;
            use actix_web::{get, post, web};
            use utoipa_actix_web::service_config::ServiceConfig;

            const KIND: Kind = $kind;

            pub fn routes(config: &mut ServiceConfig) {
                config
                    .service(claim)
                    .service(claim_many)
                    .service(assign)
                    .service(undo)
                    .service(release)
                    .service(follow_up)
                    .service(read_standing);
            }

            /// Claim it from the pool
            ///
            /// It is yours, and can be read whole. Of many who ask at once one gets it; the others are told that it is no
            /// longer there (`not_in_pool`). Refused when you hold or claimed as many as the company allows
            /// (`quota_reached`), or had it until lately (`cooling_down`); a lead also when you hold as many open leads as
            /// you may (`over_capacity`). An account brings its contacts that nobody owns.
            #[utoipa::path(tag = "pool", operation_id = $claim_id, security(("bearer" = ["pool.claim"])), responses((status = 200, description = "Yours now", body = PoolTaken)))]
            #[post($claim)]
            async fn claim(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
                claims::claim(&db, &ctx, KIND, id.0).await
            }

            /// Claim several from the pool
            ///
            /// Each by itself, in the order given, with the answer that claiming it alone would have had.
            #[utoipa::path(tag = "pool", operation_id = $many_id, security(("bearer" = ["pool.claim"])), request_body = ClaimMany, responses((status = 200, description = "What became of each", body = ClaimedMany)))]
            #[post($many)]
            async fn claim_many(db: web::Data<Db>, command: Command<ClaimMany>) -> AppResult<Reply> {
                claims::claim_many(&db, &command.ctx, KIND, &command.input.ids).await
            }

            /// Give it from the pool to somebody
            ///
            /// By whoever may assign, to somebody within their reach. It is no claim: neither quota nor cool-down stand in
            /// the way. A lead goes to somebody who holds as many open leads as they may only with `override_capacity`
            /// (`over_capacity`).
            #[utoipa::path(tag = "pool", operation_id = $assign_id, security(("bearer" = ["pool.assign"])), request_body = PoolAssign, responses((status = 200, description = "Whose it is now", body = PoolTaken)))]
            #[post($assign)]
            async fn assign(db: web::Data<Db>, id: Id, command: Command<PoolAssign>) -> AppResult<Reply> {
                claims::assign(&db, &command.ctx, KIND, id.0, &command.input).await
            }

            /// Give it back to whoever had it last
            ///
            /// While it is still in the pool: you take your own release back; what a rule took, or somebody else released,
            /// needs the right to assign to the last owner. What that one cannot claim for a while is theirs again.
            #[utoipa::path(tag = "pool", operation_id = $undo_id, security(("bearer" = ["pool.read"])), responses((status = 200, description = "Whose it is again", body = PoolTaken)))]
            #[post($undo)]
            async fn undo(db: web::Data<Db>, ctx: Ctx, id: Id) -> AppResult<Reply> {
                releases::undo(&db, &ctx, KIND, id.0).await
            }

            /// Release it to the pool
            ///
            /// By its owner, or whoever's right to change it reaches that one. Whoever had it cannot claim it for the days
            /// that the company sets. Refused while an open opportunity is with the account (`in_use`), and for a converted
            /// lead. The contacts that the owner kept at an account go with it.
            #[utoipa::path(tag = $tag, operation_id = $release_id, security(("bearer" = [$write])), request_body = Release, responses((status = 200, description = "In the pool", body = Released)))]
            #[post($release)]
            async fn release(
                db: web::Data<Db>,
                deals: web::Data<Deals>,
                id: Id,
                command: Command<Release>,
            ) -> AppResult<Reply> {
                releases::release(&db, &command.ctx, **deals, KIND, id.0, &command.input).await
            }

            /// Note a follow-up
            ///
            /// The note stands on the timeline, and the days without a follow-up count anew.
            #[utoipa::path(tag = $tag, operation_id = $follow_id, security(("bearer" = [$write])), request_body = FollowUp, responses((status = 200, description = "How it stands with the pool now", body = PoolStanding)))]
            #[post($follow)]
            async fn follow_up(
                db: web::Data<Db>,
                deals: web::Data<Deals>,
                id: Id,
                command: Command<FollowUp>,
            ) -> AppResult<Reply> {
                follow_ups::note(&db, &command.ctx, **deals, KIND, id.0, &command.input).await
            }

            /// How it stands with the pool
            ///
            /// Whether it is there, and if not: which rule decides about it, what that goes by, when it would be taken, how
            /// many days are left, and what puts that off.
            #[utoipa::path(tag = $tag, operation_id = $standing_id, security(("bearer" = [$read])), responses((status = 200, description = "How it stands", body = PoolStanding)))]
            #[get($standing)]
            async fn read_standing(
                db: web::Data<Db>,
                deals: web::Data<Deals>,
                ctx: Ctx,
                id: Id,
            ) -> AppResult<Reply> {
                standing::read(&db, &ctx, **deals, KIND, id.0).await
            }
        }
    };
}

pooled!(
    leads,
    Kind::Lead,
    "lead.write",
    "lead.read",
    "leads",
    claim = ["/v1/pool/leads/{id}/claim", "claim_pool_lead"],
    claim_many = ["/v1/pool/leads/claim", "claim_pool_leads"],
    assign = ["/v1/pool/leads/{id}/assign", "assign_pool_lead"],
    undo = ["/v1/pool/leads/{id}/undo", "undo_lead_release"],
    release = ["/v1/leads/{id}/release", "release_lead"],
    follow_up = ["/v1/leads/{id}/follow-up", "follow_up_lead"],
    standing = ["/v1/leads/{id}/pool-standing", "get_lead_pool_standing"]
);
pooled!(
    accounts,
    Kind::Account,
    "account.write",
    "account.read",
    "accounts",
    claim = ["/v1/pool/accounts/{id}/claim", "claim_pool_account"],
    claim_many = ["/v1/pool/accounts/claim", "claim_pool_accounts"],
    assign = ["/v1/pool/accounts/{id}/assign", "assign_pool_account"],
    undo = ["/v1/pool/accounts/{id}/undo", "undo_account_release"],
    release = ["/v1/accounts/{id}/release", "release_account"],
    follow_up = ["/v1/accounts/{id}/follow-up", "follow_up_account"],
    standing = ["/v1/accounts/{id}/pool-standing", "get_account_pool_standing"]
);
