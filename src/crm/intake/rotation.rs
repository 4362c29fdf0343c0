//! A source's secret, and its rotation: the one before stays good for a while, so that no delivery is lost meanwhile.

use super::signature;
use super::source::{self, Address};
use crate::crm::resources::LEAD_SOURCE;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Id, Shared};
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use crate::platform::tokens;
use actix_web::{post, web};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::sql_types::{Binary, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// For how long the secret before stays good unless it is said.
const OVERLAP_HOURS: i64 = 24;

pub fn routes(config: &mut ServiceConfig) {
    config.service(rotate_secret);
}

/// How a source gets a new secret.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateSecret {
    /// For how many hours the secret before stays good beside the new one; 24 when not given. With 0 it stops at once, as
    /// it must when it became known to others.
    #[schema(minimum = 0, maximum = 168, example = 24)]
    overlap_hours: Option<i64>,
}

/// A source's new secret.
#[derive(Serialize, ToSchema)]
struct SourceSecret {
    /// The signing secret, `whsec_` and base64; shown this once.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
    /// Where deliveries go.
    #[schema(example = "/v1/intake/0197c9a05d3e7c119e610c6a1c8e4b2a.0197c9a05d3e7c119e610c6a1c8e4b2b")]
    intake_path: String,
    /// Until when the secret before is good, by real time; null when there was none, or it stopped at once.
    #[schema(example = "2024-03-16T08:30:00Z")]
    previous_secret_until: Option<DateTime<Utc>>,
}

/// Give a source a new secret
///
/// Answers the new signing secret, which is shown this once. The one before stays good beside it for a set time (24 hours
/// unless said otherwise, 7 days at most); answers to deliveries that it signed say so. One that is older still stops at once.
/// A source needs a secret before its intake accepts deliveries. What a dry run shows is kept by nobody and signs nothing.
#[utoipa::path(tag = "leads", operation_id = "rotate_lead_source_secret", security(("bearer" = ["source.write"])), request_body = Option<RotateSecret>, responses((status = 200, description = "The new secret", body = SourceSecret)))]
#[post("/v1/lead-sources/{id}/rotate-secret")]
async fn rotate_secret(
    db: web::Data<Db>,
    shared: Shared,
    id: Id,
    command: Command<Option<RotateSecret>>,
) -> AppResult<Reply> {
    let (Command { ctx, input }, id) = (command, id.0);
    let hours = input.unwrap_or_default().overlap_hours.unwrap_or(OVERLAP_HOURS);
    let until = Some(ctx.recorded_at.trunc_subsecs(0) + TimeDelta::hours(hours)).filter(|_| hours > 0);
    let secret = signature::secret(&tokens::random_key().map_err(AppError::internal)?);
    let sealed = shared
        .auth
        .secrets
        .seal(id.as_bytes(), secret.as_bytes())
        .map_err(AppError::internal)?;
    let reply = db
        .write(&ctx, async |tx| {
            let locked = store::lock(tx, &ctx, &LEAD_SOURCE, id, For::Write).await?;
            let until = replace(tx, &ctx, id, &sealed, until).await?;
            let data = json!({ "previous_secret_until": until });
            tx.record(Event::new("lead_source.secret_rotated", "lead_source", id, data));
            let shown = SourceSecret {
                secret: secret.clone(),
                intake_path: locked.record()?["intake_path"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                previous_secret_until: until,
            };
            Ok(Reply::ok(&shown)?.with_secret())
        })
        .await;
    source::forget(Address {
        tenant: ctx.tenant,
        id,
    });
    reply
}

#[derive(QueryableByName)]
struct UntilRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    previous_secret_until: Option<DateTime<Utc>>,
}

/// Puts the new secret in place of the present one, which stays good until then; answers until when, if there was one.
async fn replace(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    sealed: &[u8],
    until: Option<DateTime<Utc>>,
) -> AppResult<Option<DateTime<Utc>>> {
    let query = sql_query(
        "UPDATE lead_sources SET sealed_previous_secret = CASE WHEN $5::timestamptz IS NOT NULL THEN sealed_secret END, \
         previous_secret_until = CASE WHEN sealed_secret IS NOT NULL THEN $5::timestamptz END, \
         sealed_secret = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2 RETURNING previous_secret_until",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(id)
    .bind::<Binary, _>(sealed)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Nullable<Timestamptz>, _>(until);
    let row: UntilRow = Cached(query).get_result(&mut **tx).await?;
    Ok(row.previous_secret_until)
}
