//! Signed intake: a delivery is verified over its bytes, kept raw, and read into a lead. What cannot be read waits as a
//! rejected intake; the same delivery twice makes one lead.

pub mod arrival;
mod delivery;
pub mod desk;
pub mod mapping;
mod raw;
mod replaying;
pub mod resealing;
pub mod resources;
mod rotation;
pub mod signature;
pub mod source;
pub mod together;
mod touch;

use crate::crm::campaigns;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::problem::Code;
use crate::kernel::text::{Lang, say};
use crate::platform::db::Db;
use crate::platform::gatekeeper::{Shared, too_large};
use crate::platform::input;
use crate::platform::problem::Asked;
use crate::platform::reply::Reply;
use actix_web::{HttpMessage, HttpRequest, post, web};
use bytes::Bytes;
use delivery::Delivery;
use diesel_async::AsyncPgConnection;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use signature::Signed;
use source::{Address, Source};
use std::rc::Rc;
use std::sync::Arc;
use together::Convoy;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// Largest delivery, in bytes, after decompression.
const MOST_BYTES: usize = 256 * 1024;
/// Longest delivery id.
const MOST_ID: usize = 255;
/// How often a delivery is begun again because its source changed under it.
const MOST_TRIES: u32 = 3;

/// What is asked most.
pub fn hot(config: &mut ServiceConfig) {
    config.service(receive);
}

/// The other commands of this area.
pub fn routes(config: &mut ServiceConfig) {
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
/// open lead has, in any spelling: it fills what is empty on that lead, its owner is told what it says anew, and it is noted
/// on the timeline. A source that was closed or archived answers 404 and
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
    convoy: web::Data<Convoy>,
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
        let delivery = Rc::new(Delivery {
            source: Arc::clone(&source),
            id: signed.id.to_owned(),
            body: body.clone(),
            hash: Sha256::digest(&body).to_vec(),
            signed_by: signed_by.ok_or_else(bad_signature)?,
            lang,
        });
        if let Some(reply) = delivery.take(&db, &convoy).await? {
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

/// Reads a delivery's bytes into a lead; with faults, what could be read of it.
fn read(body: &[u8], reading: &mapping::Reading) -> (Map<String, Value>, Vec<Fault>) {
    let payload = input::parse(body).map_err(|error| match error {
        AppError::Refused(refusal) => vec![Fault::new("", "malformed", refusal.detail)],
        AppError::Internal(_) => vec![Fault::invalid("", "cannot be read", "无法读取")],
    });
    match payload {
        Ok(payload) => mapping::interpret(reading, payload),
        Err(faults) => (Map::new(), faults),
    }
}

/// The faults of a delivery that has some, with those that only the database knows: whoever corrects it learns all at once.
async fn all_faults(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    lead: &Map<String, Value>,
    mut faults: Vec<Fault>,
) -> AppResult<Vec<Fault>> {
    faults.extend(campaigns::fault(conn, tenant, lead).await?);
    Ok(faults)
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
