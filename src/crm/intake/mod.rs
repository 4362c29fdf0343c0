//! Signed intake: a delivery is verified over its bytes, kept raw, and read into a lead. What cannot be read waits as a
//! rejected intake; the same delivery twice makes one lead.

pub mod arrival;
pub mod desk;
pub mod mapping;
mod replaying;
mod rotation;
pub mod signature;
pub mod source;

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::kernel::text::{Lang, say};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Shared, too_large};
use crate::platform::input;
use crate::platform::problem::Asked;
use crate::platform::reply::Reply;
use actix_web::{HttpMessage, HttpRequest, post, web};
use bytes::Bytes;
use diesel::sql_types::{Binary, Integer, Json, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use signature::Signed;
use source::{Address, SignedBy, Source};
use std::cell::Cell;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// Largest delivery, in bytes, after decompression.
const MOST_BYTES: usize = 256 * 1024;
/// Longest delivery id.
const MOST_ID: usize = 255;
/// How often a delivery is begun again because its source changed under it.
const MOST_TRIES: u32 = 3;

pub fn routes(config: &mut ServiceConfig) {
    config.service(receive);
    desk::routes(config);
    rotation::routes(config);
    replaying::routes(config);
}

/// What became of a delivery.
#[derive(serde::Serialize, ToSchema)]
struct IntakeOutcome {
    /// The intake under which the delivery is kept.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    intake_id: Uuid,
    /// `accepted`, or `rejected`: kept, to be corrected and replayed.
    #[schema(example = "accepted")]
    status: String,
    /// The lead that an accepted delivery made, or was attached to.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    lead_id: Option<Uuid>,
    /// Why a delivery was rejected.
    errors: Option<Vec<crate::platform::problem::ProblemFault>>,
    /// Reservations: about the lead, or that the sender still signs with the secret before.
    warnings: Option<Vec<crate::platform::problem::ProblemFault>>,
}

/// Deliver a lead
///
/// Takes a sender's JSON, signed as the Standard Webhooks specification says with the source's secret. Whatever arrives with
/// a good signature is kept raw. When it can be read into a lead, the answer is 201 with the lead's id; when it cannot, 202
/// with the faults, and it waits to be corrected and replayed. The same `webhook-id` again answers 200 with the same lead:
/// within seven days whatever it brings, later when it brings the same bytes. So does a delivery whose phone or e-mail an
/// open lead has, in any spelling: it is noted on that lead's timeline. A source that was closed or archived answers 404 and
/// keeps nothing; what was answered with 2xx before stays.
#[utoipa::path(tag = "leads", operation_id = "deliver_lead", security(()),
    params(
        ("source" = String, Path, description = "The source's address: the last segment of its `intake_path`.", example = "0197c9a05d3e7c119e610c6a1c8e4b2a.0197c9a05d3e7c119e610c6a1c8e4b2b"),
        ("webhook-id" = String, Header, description = "The delivery's id, 1 to 255 characters; a repetition sends the same.", example = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
        ("webhook-timestamp" = String, Header, description = "When it was signed, in seconds since 1970; at most five minutes off.", example = "1674087231"),
        ("webhook-signature" = String, Header, description = "Up to ten signatures `v1,…` separated by spaces; one must be good.", example = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=")
    ),
    request_body(content = Object, description = "The sender's JSON, at most 256 KiB; read by the source's mapping, or in our member names when it has none.", example = json!({"name": "王芳", "company": "制造有限公司", "phone": "+86 139 0013 9000", "need": "生产线设备数据监控"})),
    responses(
        (status = 201, description = "A lead was made", body = IntakeOutcome),
        (status = 200, description = "It was delivered before, or an open lead has the same phone or e-mail: that lead", body = IntakeOutcome),
        (status = 202, description = "It is kept, but could not be read into a lead", body = IntakeOutcome)
    ))]
#[post("/v1/intake/{source}")]
async fn receive(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    body: Result<Bytes, actix_web::Error>,
) -> AppResult<Reply> {
    let address = Address::parse(request.match_info().get("source").unwrap_or_default()).or_not_found()?;
    let lang = request
        .extensions()
        .get::<Asked>()
        .map(|asked| asked.lang)
        .unwrap_or_default();
    let secrets = &shared.auth.secrets;
    let mut source = Source::at(&db, secrets, address).await?;
    let body = body.map_err(too_large)?;
    if body.len() > MOST_BYTES {
        return Err(AppError::refuse(
            Code::TooLarge,
            say("A delivery has at most 256 KiB", "投递内容最多 256 KiB"),
        ));
    }
    let signed = signed(&request)?;
    let now = crate::platform::clock::real_now();
    let mut signed_by = source.signed_by(signed, &body, now);
    if signed_by.is_none() && source.is_old() {
        source = Source::fresh(&db, secrets, address).await?;
        signed_by = source.signed_by(signed, &body, now);
    }
    for _ in 0..MOST_TRIES {
        let delivery = Delivery {
            source: &source,
            id: signed.id,
            body: &body,
            hash: Sha256::digest(&body).to_vec(),
            signed_by: signed_by.ok_or_else(bad_signature)?,
            lang,
        };
        if let Some(reply) = delivery.take(&db).await? {
            return Ok(reply);
        }
        source = Source::fresh(&db, secrets, address).await?;
        signed_by = source.signed_by(signed, &body, now);
    }
    signed_by.ok_or_else(bad_signature)?;
    Err(AppError::refuse(
        Code::Unavailable,
        say("The source is being changed", "来源正在变更"),
    )
    .retry_after(1))
}

fn bad_signature() -> AppError {
    AppError::refuse(
        Code::BadSignature,
        say("The delivery's signature does not verify", "投递的签名验证失败"),
    )
}

fn signed(request: &HttpRequest) -> AppResult<Signed<'_>> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let (Some(id), Some(timestamp), Some(signatures)) = (
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
    ) else {
        return Err(bad_signature());
    };
    if id.is_empty() || id.len() > MOST_ID {
        return Err(AppError::refuse(
            Code::BadHeader,
            say(
                "webhook-id takes 1 to 255 characters",
                "webhook-id 须为 1 至 255 个字符",
            ),
        ));
    }
    Ok(Signed {
        id,
        timestamp,
        signatures,
    })
}

/// One verified delivery.
struct Delivery<'a> {
    source: &'a Arc<Source>,
    id: &'a str,
    body: &'a Bytes,
    /// Of its bytes.
    hash: Vec<u8>,
    signed_by: SignedBy,
    lang: Lang,
}

/// Why the first attempt made no lead.
enum Setback {
    Faults(Vec<Fault>),
    /// It was delivered before, or the source changed.
    NotTaken,
}

impl Delivery<'_> {
    /// Keeps the delivery and makes its lead. `None` when the source changed since it was read.
    async fn take(&self, db: &Db) -> AppResult<Option<Reply>> {
        let ctx = self.source.terms(db).await?;
        let setback = match read(self.body, &self.source.reading) {
            Ok(lead) => match self.accept(db, &ctx, lead).await? {
                Ok(reply) => return Ok(Some(reply)),
                Err(setback) => setback,
            },
            Err(faults) => Setback::Faults(faults),
        };
        if let Setback::Faults(faults) = setback
            && let Some(reply) = self.reject(db, &ctx, &faults).await?
        {
            return Ok(Some(reply));
        }
        self.as_before(db).await
    }

    /// Lead and intake in one transaction. The lead goes first, since the intake names it; a twin waits at the intake's
    /// unique index, finds it taken, and gives its own lead up.
    async fn accept(
        &self,
        db: &Db,
        ctx: &Ctx,
        lead: Map<String, Value>,
    ) -> AppResult<Result<Reply, Setback>> {
        let lead = self.source.addressed(lead);
        let is_not_taken = Cell::new(false);
        let outcome = db
            .write(ctx, async |tx| {
                is_not_taken.set(false);
                let arrived = arrival::arrive(tx, ctx, &lead).await?;
                let intake = Uuid::now_v7();
                if !self.keep(tx, ctx, intake, Some(arrived.lead()), &[]).await? {
                    is_not_taken.set(true);
                    return Err(AppError::internal("the delivery is not taken"));
                }
                arrived.told(tx, intake, self.source.address.id);
                let status = if arrived.is_new() { 201 } else { 200 };
                outcome(
                    status,
                    intake,
                    Some(arrived.lead()),
                    &json!([]),
                    &self.warnings(arrived.warnings()),
                    self.lang,
                )
            })
            .await;
        match outcome {
            Ok(reply) => Ok(Ok(reply)),
            Err(_) if is_not_taken.get() => Ok(Err(Setback::NotTaken)),
            Err(error) => rejection(error).map(|faults| Err(Setback::Faults(faults))),
        }
    }

    /// Keeps a delivery that makes no lead. `None` when it was kept before, or the source changed.
    async fn reject(&self, db: &Db, ctx: &Ctx, faults: &[Fault]) -> AppResult<Option<Reply>> {
        let is_not_taken = Cell::new(false);
        let written = db
            .write(ctx, async |tx| {
                is_not_taken.set(false);
                let intake = Uuid::now_v7();
                if !self.keep(tx, ctx, intake, None, faults).await? {
                    is_not_taken.set(true);
                    return Err(AppError::internal("the delivery is not taken"));
                }
                let warnings = self.warnings(Vec::new());
                outcome(202, intake, None, &mapping::kept(faults), &warnings, self.lang)
            })
            .await;
        match written {
            Err(_) if is_not_taken.get() => Ok(None),
            written => written.map(Some),
        }
    }

    /// Writes the raw delivery with what became of it, unless it was delivered before or the source is no longer the one
    /// that was read.
    async fn keep(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        intake: Uuid,
        lead: Option<Uuid>,
        faults: &[Fault],
    ) -> AppResult<bool> {
        let status = if lead.is_some() { "accepted" } else { "rejected" };
        let query = sql_query(
            "INSERT INTO intakes (tenant_id, id, source_id, delivery_id, body, status, faults, lead_id, received_at, created_at, updated_at, body_hash) \
             SELECT $1, $2, s.id, $5, $6, $7, $8, $9, $10, $11, $11, $12 FROM lead_sources s \
             WHERE s.tenant_id = $1 AND s.id = $3 AND s.version = $4 AND s.is_intake_open AND s.archived_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM intakes f WHERE f.tenant_id = $1 AND f.source_id = $3 AND f.delivery_id = $5 \
                AND NOT f.is_remembered AND f.body_hash = $12) \
             ON CONFLICT (tenant_id, source_id, delivery_id) WHERE is_remembered DO NOTHING",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(intake)
        .bind::<SqlUuid, _>(self.source.address.id)
        .bind::<Integer, _>(self.source.version)
        .bind::<Text, _>(self.id)
        .bind::<Text, _>(raw_text(self.body))
        .bind::<Text, _>(status)
        .bind::<Jsonb, _>(mapping::kept(faults))
        .bind::<Nullable<SqlUuid>, _>(lead)
        .bind::<Timestamptz, _>(ctx.recorded_at)
        .bind::<Timestamptz, _>(ctx.now)
        .bind::<Binary, _>(self.hash.as_slice());
        let is_kept = Cached(query).execute(&mut **tx).await? == 1;
        if is_kept {
            let about = json!({ "source_id": self.source.address.id, "lead_id": lead });
            tx.record(Event::new(format!("intake.{status}"), "intake", intake, about).and_on("lead", lead));
        }
        Ok(is_kept)
    }

    /// What the same delivery was answered before.
    async fn as_before(&self, db: &Db) -> AppResult<Option<Reply>> {
        let address = self.source.address;
        let kept: Option<Kept> = db
            .read(async |conn| {
                let query = sql_query(
                    "SELECT id, lead_id, faults::json AS faults FROM intakes WHERE tenant_id = $1 AND source_id = $2 AND delivery_id = $3 \
                     AND (is_remembered OR body_hash = $4) ORDER BY is_remembered DESC, id DESC LIMIT 1",
                )
                .bind::<SqlUuid, _>(address.tenant)
                .bind::<SqlUuid, _>(address.id)
                .bind::<Text, _>(self.id)
                .bind::<Binary, _>(self.hash.as_slice());
                Ok(Cached(query).get_result(conn).await.optional()?)
            })
            .await?;
        kept.map(|kept| {
            let status = if kept.lead_id.is_some() { 200 } else { 202 };
            let warnings = self.warnings(Vec::new());
            outcome(status, kept.id, kept.lead_id, &kept.faults, &warnings, self.lang)
        })
        .transpose()
    }

    /// What there is to say, with that the sender still signs with the secret before.
    fn warnings(&self, mut warnings: Vec<Warning>) -> Vec<Warning> {
        if let SignedBy::Previous(until) = self.signed_by {
            warnings.push(Fault::new(
                "",
                "previous_secret",
                say(
                    format!("signed with the previous secret, which is good until {until}"),
                    format!("使用旧密钥签名,旧密钥有效期至 {until}"),
                ),
            ));
        }
        warnings
    }
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    lead_id: Option<Uuid>,
    #[diesel(sql_type = Json)]
    faults: Value,
}

impl Source {
    /// The lead with what the source decides: where it came from, and who gets it.
    fn addressed(&self, lead: Map<String, Value>) -> Map<String, Value> {
        addressed(lead, self.address.id, self.default_owner)
    }
}

fn addressed(mut lead: Map<String, Value>, source: Uuid, owner: Option<Uuid>) -> Map<String, Value> {
    lead.insert("source_id".to_owned(), json!(source));
    if let Some(owner) = owner {
        lead.insert("owner_id".to_owned(), json!(owner));
    }
    lead
}

/// Reads a delivery's bytes into a lead.
fn read(body: &[u8], reading: &mapping::Reading) -> Result<Map<String, Value>, Vec<Fault>> {
    let payload = input::parse(body).map_err(|error| match error {
        AppError::Refused(refusal) => vec![Fault::new("", "malformed", refusal.detail)],
        AppError::Internal(_) => vec![Fault::invalid("", "cannot be read", "无法读取")],
    })?;
    let (lead, faults) = mapping::interpret(reading, payload);
    if faults.is_empty() { Ok(lead) } else { Err(faults) }
}

/// The faults for which a lead was refused; other errors are not the delivery's.
fn rejection(error: AppError) -> AppResult<Vec<Fault>> {
    match error {
        AppError::Refused(refusal) if matches!(refusal.code, Code::Invalid | Code::Duplicate) => {
            Ok(refusal.faults)
        }
        error => Err(error),
    }
}

/// The bytes as text that the database can keep: what is no UTF-8, and NUL, become replacement characters.
fn raw_text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', "\u{fffd}")
}

fn outcome(
    status: u16,
    intake: Uuid,
    lead: Option<Uuid>,
    faults: &Value,
    warnings: &[Warning],
    lang: Lang,
) -> AppResult<Reply> {
    let mut body = Map::new();
    body.insert("intake_id".to_owned(), json!(intake));
    match lead {
        Some(lead) => {
            body.insert("status".to_owned(), json!("accepted"));
            body.insert("lead_id".to_owned(), json!(lead));
        }
        None => {
            body.insert("status".to_owned(), json!("rejected"));
            body.insert("errors".to_owned(), mapping::told(faults, lang));
        }
    }
    crate::platform::reply::add_warnings(&mut body, warnings, lang);
    Reply::json(status, &body)
}
