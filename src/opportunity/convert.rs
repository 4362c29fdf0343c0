//! A lead becomes an account, a contact and an opportunity, in one transaction.

use super::resources::OPPORTUNITY;
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::Resource;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{Ref, RefOr, Schema};
use uuid::Uuid;

/// The schema that a declared resource gives, of this name.
fn declared(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

fn account_input() -> RefOr<Schema> {
    declared("AccountInput")
}

fn contact_input() -> RefOr<Schema> {
    declared("ContactInput")
}

/// What a lead becomes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// The account to link; else one is made.
    #[serde(default)]
    pub account_id: Option<Uuid>,
    /// The account to make; from the lead, when absent.
    #[serde(default)]
    #[schema(schema_with = account_input)]
    pub account: Option<Map<String, Value>>,
    /// The contact to link; else one is made.
    #[serde(default)]
    pub contact_id: Option<Uuid>,
    /// The contact to make; from the lead, when absent.
    #[serde(default)]
    #[schema(schema_with = contact_input)]
    pub contact: Option<Map<String, Value>>,
    /// The opportunity to make; what is absent comes from the lead.
    pub opportunity: ConvertOpportunity,
}

/// The opportunity that a lead becomes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvertOpportunity {
    /// Its name; the account's, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, examples("客户管理系统采购"))]
    pub name: Option<String>,
    /// The pipeline; the company's default one, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<Uuid>,
    /// Expected amount; the lead's budget, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        format = "decimal",
        pattern = r"^(0|[1-9]\d{0,15})(\.\d{1,4})?$",
        examples("220000.00")
    )]
    pub amount: Option<String>,
    /// Currency of the amount; the company's, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z]{3}$", examples("CNY"))]
    pub currency: Option<String>,
    /// Expected day of closing; when absent, the last day on which they decide, else the day on which the lead needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_close_on: Option<chrono::NaiveDate>,
    /// What comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, examples("预约需求访谈"))]
    pub next_step: Option<String>,
    /// When it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step_on: Option<chrono::NaiveDate>,
}

/// What a lead became.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConvertedView {
    pub lead_id: Uuid,
    pub account_id: Uuid,
    pub contact_id: Uuid,
    pub opportunity_id: Uuid,
}

#[derive(Deserialize)]
struct Lead {
    name: String,
    company: Option<String>,
    job_title: Option<String>,
    phone: Option<String>,
    email: Option<String>,
    industry: Option<String>,
    region: Option<String>,
    need: Option<String>,
    budget_amount: Option<String>,
    currency: Option<String>,
    expected_need_on: Option<String>,
    decision_until: Option<String>,
    source_id: Option<Uuid>,
    owner_id: Option<Uuid>,
    status: String,
    converted_account_id: Option<Uuid>,
    converted_contact_id: Option<Uuid>,
    converted_opportunity_id: Option<Uuid>,
}

/// Convert a lead
///
/// Makes or links an account and a contact, makes an opportunity and marks the lead converted, all or nothing. A second
/// call answers what the first one made.
#[utoipa::path(tag = "leads", operation_id = "convert_lead", security(("bearer" = ["lead.convert"])), request_body = Convert,
    responses((status = 200, description = "What the lead became", body = ConvertedView)))]
#[post("/v1/leads/{id}/convert")]
pub async fn convert_lead(db: web::Data<Db>, id: Id, command: Command<Convert>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| convert(tx, &ctx, id.0, input.clone()).await)
        .await
}

async fn convert(tx: &mut Tx, ctx: &Ctx, id: Uuid, input: Convert) -> AppResult<Reply> {
    let locked = store::lock(tx, ctx, &LEAD, id, For::Action("lead.convert")).await?;
    let record = locked.record()?;
    let lead: Lead = serde_json::from_value(Value::Object(record.clone())).map_err(AppError::internal)?;
    if let Some(done) = converted(id, &lead) {
        return Reply::ok(&done);
    }
    if lead.status == "disqualified" {
        return Err(AppError::refuse(
            Code::Conflict,
            say(
                "The lead is disqualified; reopen it first",
                "线索已判为无效，请先重新打开",
            ),
        ));
    }
    contradictions(&input)?;
    // What it becomes has its keys, and is no duplicate of it.
    tx.touch(id);
    let account_id = match input.account_id {
        Some(account) => linked(tx, ctx, &ACCOUNT, account, "/account_id").await?,
        None => {
            let account = account_of(&lead, input.account);
            make(tx, ctx, &ACCOUNT, &lead, account, "/account").await?
        }
    };
    let contact_id = match input.contact_id {
        Some(contact) => linked(tx, ctx, &CONTACT, contact, "/contact_id").await?,
        None => {
            let contact = contact_of(&lead, input.contact, account_id);
            make(tx, ctx, &CONTACT, &lead, contact, "/contact").await?
        }
    };
    let deal = deal_of(&lead, &input.opportunity, account_id)?;
    let opportunity_id = make(tx, ctx, &OPPORTUNITY, &lead, deal, "/opportunity").await?;
    let done = ConvertedView {
        lead_id: id,
        account_id,
        contact_id,
        opportunity_id,
    };
    let mut after = record;
    let now = ctx.now.to_rfc3339_opts(SecondsFormat::Micros, true);
    after.insert("status".to_owned(), json!("converted"));
    after.insert("converted_account_id".to_owned(), json!(account_id));
    after.insert("converted_contact_id".to_owned(), json!(contact_id));
    after.insert("converted_opportunity_id".to_owned(), json!(opportunity_id));
    after.insert("converted_at".to_owned(), json!(now));
    store::save(tx, ctx, &LEAD, id, &locked, after).await?;
    Reply::ok(&done)
}

fn converted(id: Uuid, lead: &Lead) -> Option<ConvertedView> {
    if lead.status != "converted" {
        return None;
    }
    Some(ConvertedView {
        lead_id: id,
        account_id: lead.converted_account_id?,
        contact_id: lead.converted_contact_id?,
        opportunity_id: lead.converted_opportunity_id?,
    })
}

/// Either linked or made.
fn contradictions(input: &Convert) -> AppResult<()> {
    let both = [
        ("/account", input.account_id.is_some() && input.account.is_some()),
        ("/contact", input.contact_id.is_some() && input.contact.is_some()),
    ];
    let faults = both
        .iter()
        .filter(|(_, is_both)| *is_both)
        .map(|(pointer, _)| {
            Fault::invalid(
                *pointer,
                "cannot stand beside the id of one",
                "不能与其 id 同时给出",
            )
        })
        .collect::<Vec<_>>();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

async fn linked(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Uuid,
    pointer: &str,
) -> AppResult<Uuid> {
    let none = || AppError::invalid(vec![Fault::not_found(pointer)]);
    let found = store::find(&mut &**tx, ctx, resource, id, None).await;
    let row = found.map_err(|error| match error.code() {
        Code::NotFound => none(),
        _ => error,
    })?;
    let record: Map<String, Value> = serde_json::from_str(&row.doc).map_err(AppError::internal)?;
    let is_live = record.get("archived_at").is_none_or(Value::is_null);
    is_live.then_some(id).ok_or_else(none)
}

/// Makes a record for the lead's owner; its faults point into the part of the body that it came from.
async fn make(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    lead: &Lead,
    mut record: Map<String, Value>,
    at: &str,
) -> AppResult<Uuid> {
    if !record.contains_key("owner_id") && lead.owner_id.is_some() {
        record.insert("owner_id".to_owned(), json!(lead.owner_id));
    }
    let made = store::create(tx, ctx, resource, None, record).await;
    made.map(|made| made.id).map_err(|error| within(error, at))
}

fn within(mut error: AppError, at: &str) -> AppError {
    if let AppError::Refused(refusal) = &mut error {
        for fault in &mut refusal.faults {
            fault.pointer = format!("{at}{}", fault.pointer);
        }
    }
    error
}

/// What was given, completed by what the lead says.
fn completed(given: Option<Map<String, Value>>, known: Vec<(&str, Value)>) -> Map<String, Value> {
    let mut record = given.unwrap_or_default();
    for (name, value) in known {
        if !value.is_null() && !record.contains_key(name) {
            record.insert(name.to_owned(), value);
        }
    }
    record
}

fn account_of(lead: &Lead, given: Option<Map<String, Value>>) -> Map<String, Value> {
    let name = lead.company.as_ref().unwrap_or(&lead.name);
    completed(
        given,
        vec![
            ("name", json!(name)),
            ("industry", json!(lead.industry)),
            ("region", json!(lead.region)),
            ("source_id", json!(lead.source_id)),
            ("expected_need_on", json!(lead.expected_need_on)),
        ],
    )
}

fn contact_of(lead: &Lead, given: Option<Map<String, Value>>, account: Uuid) -> Map<String, Value> {
    completed(
        given,
        vec![
            ("name", json!(lead.name)),
            ("account_id", json!(account)),
            ("job_title", json!(lead.job_title)),
            ("phone", json!(lead.phone)),
            ("email", json!(lead.email)),
        ],
    )
}

fn deal_of(lead: &Lead, given: &ConvertOpportunity, account: Uuid) -> AppResult<Map<String, Value>> {
    let given = serde_json::to_value(given).map_err(AppError::internal)?;
    let given = given.as_object().cloned().unwrap_or_default();
    let closes_on = lead.decision_until.as_ref().or(lead.expected_need_on.as_ref());
    let mut known = vec![
        ("name", json!(lead.company.as_ref().unwrap_or(&lead.name))),
        ("account_id", json!(account)),
        ("source_id", json!(lead.source_id)),
        ("expected_close_on", json!(closes_on)),
        ("description", json!(lead.need)),
    ];
    if !given.contains_key("amount") && lead.budget_amount.is_some() && !given.contains_key("currency") {
        known.push(("amount", json!(lead.budget_amount)));
        known.push(("currency", json!(lead.currency)));
    }
    Ok(completed(Some(given), known))
}
