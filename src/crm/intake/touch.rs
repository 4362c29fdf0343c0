//! A delivery about somebody who is known: what it says anew fills what stands empty on their lead, and its owner is told.

use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use crate::platform::records::store::{self, For};
use crate::platform::records::{Kind, rules};
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Members of a delivery that the source decides, or that are no word about the lead.
const NOT_SAID: [&str; 4] = [
    "owner_id",
    "source_id",
    "override_duplicates",
    "override_capacity",
];

/// A lead that a delivery was noted on.
pub struct Touched {
    pub lead: Uuid,
    owner: Option<Uuid>,
    /// As it stands; a delivery moves nobody's lead.
    status: String,
    nurture_until: Value,
    reopen_status: Value,
    /// What the delivery says otherwise than the lead did.
    said: Map<String, Value>,
}

/// Notes a delivery on a lead that the caller has locked: members that are empty take what it says, as any change of them
/// would; what stands is never overwritten.
///
/// # Errors
/// Database errors.
pub async fn touch(tx: &mut Tx, ctx: &Ctx, lead: Uuid, told: &Map<String, Value>) -> AppResult<Touched> {
    let record = store::lock(tx, ctx, &LEAD, lead, For::Write).await?.record()?;
    let said = said(&record, told);
    fill(tx, ctx, lead, empty(&record, &said)).await?;
    let owner = record.get("owner_id").and_then(Value::as_str);
    let member = |name: &str| record.get(name).cloned().unwrap_or_default();
    Ok(Touched {
        lead,
        owner: owner.and_then(|id| Uuid::parse_str(id).ok()),
        status: member("status").as_str().unwrap_or_default().to_owned(),
        nurture_until: member("nurture_until"),
        reopen_status: member("reopen_status"),
        said,
    })
}

impl Touched {
    pub fn status(&self) -> &str {
        &self.status
    }

    pub fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Says it on the lead, and on its timeline to its owner. Who rests returns as on their day: whether there is a budget by
    /// now, only people know.
    ///
    /// # Errors
    /// Database errors.
    pub async fn told(&self, tx: &mut Tx, ctx: &Ctx, intake: Uuid, source: Uuid) -> AppResult<()> {
        let last = json!({ "intake_id": intake, "source_id": source, "said": self.said });
        let query = sql_query(
            "WITH told AS (INSERT INTO lead_signals (tenant_id, lead_id, last_inquired_at, last_inquiry) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (tenant_id, lead_id) DO UPDATE SET last_inquired_at = EXCLUDED.last_inquired_at, last_inquiry = EXCLUDED.last_inquiry) \
             UPDATE leads SET version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(self.lead)
        .bind::<Timestamptz, _>(ctx.now)
        .bind::<Jsonb, _>(last);
        Cached(query).execute(&mut **tx).await?;
        let mut data = json!({
            "intake_id": intake, "source_id": source, "said": self.said, "status": self.status, "owner_id": self.owner,
            "notify": { "to": Vec::from_iter(self.owner), "cc": [] },
        });
        let mut kind = "lead.touched";
        if self.status == "nurturing" {
            kind = "lead.return_due";
            data["nurture_until"] = self.nurture_until.clone();
            data["reopen_status"] = self.reopen_status.clone();
        }
        tx.record(Event::new(kind, LEAD.singular, self.lead, data).and_on("user", self.owner));
        Ok(())
    }
}

/// Writes what can be taken over: all of it, or each member by itself where something does not go with what stands there,
/// which is left out then. It is said all the same.
async fn fill(tx: &mut Tx, ctx: &Ctx, lead: Uuid, patch: Map<String, Value>) -> AppResult<()> {
    if patch.is_empty() || write(tx, ctx, lead, patch.clone()).await? {
        return Ok(());
    }
    for (name, value) in &patch {
        let mut one = Map::from_iter([(name.clone(), value.clone())]);
        match (name.as_str(), patch.get("currency")) {
            ("currency", _) => continue,
            ("budget_amount", Some(currency)) => {
                one.insert("currency".to_owned(), currency.clone());
            }
            _ => {}
        }
        write(tx, ctx, lead, one).await?;
    }
    Ok(())
}

/// Whether these members could be written.
async fn write(tx: &mut Tx, ctx: &Ctx, lead: Uuid, patch: Map<String, Value>) -> AppResult<bool> {
    let written = tx
        .apart(async |tx| store::update(tx, ctx, &LEAD, None, lead, patch).await)
        .await?;
    Ok(written.is_ok())
}

/// What a delivery says that the lead does not say already.
fn said(record: &Map<String, Value>, told: &Map<String, Value>) -> Map<String, Value> {
    let mut said = Map::new();
    for (name, value) in told {
        if is_empty(value) || NOT_SAID.contains(&name.as_str()) {
            continue;
        }
        let stands = record.get(name).unwrap_or(&Value::Null);
        if let (Value::Object(stands), Value::Object(told)) = (stands, value) {
            let mut own = told.clone();
            own.retain(|key, value| !is_empty(value) && stands.get(key) != Some(value));
            if !own.is_empty() {
                said.insert(name.clone(), Value::Object(own));
            }
        } else if !is_said_already(name, stands, value) {
            said.insert(name.clone(), value.clone());
        }
    }
    said
}

fn is_said_already(name: &str, stands: &Value, told: &Value) -> bool {
    let kind = LEAD.member(name).map_or(Kind::Text, |member| member.kind);
    if let (Value::Array(stands), Value::Array(told)) = (stands, told) {
        return told.iter().all(|one| stands.contains(one));
    }
    match (kind, stands.as_str(), told.as_str()) {
        (Kind::Phone, Some(stands), Some(told)) => {
            stands == told || rules::e164(told).is_some_and(|told| rules::e164(stands) == Some(told))
        }
        (Kind::Email, Some(stands), Some(told)) => stands.to_lowercase() == told.trim().to_lowercase(),
        _ => rules::is_same(kind, stands, told),
    }
}

/// Of what was said, what stands empty on the lead.
fn empty(record: &Map<String, Value>, said: &Map<String, Value>) -> Map<String, Value> {
    let stands = |name: &str| record.get(name).unwrap_or(&Value::Null);
    let mut patch = said.clone();
    patch.retain(|name, _| match name.as_str() {
        "custom" => true,
        // Without an amount the currency says nothing.
        "currency" => is_empty(stands("budget_amount")) && said.contains_key("budget_amount"),
        "campaign_key" => is_empty(stands("campaign_id")),
        name => is_empty(stands(name)),
    });
    if let Some(Value::Object(own)) = patch.get_mut("custom") {
        own.retain(|key, _| is_empty(stands("custom").get(key).unwrap_or(&Value::Null)));
        if own.is_empty() {
            patch.shift_remove("custom");
        }
    }
    patch
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_empty_is_filled_and_what_stands_stays() {
        let lead = members(json!({
            "name": "王芳", "phone": "139 0013 9000", "email": "wang@x.example", "need": null, "region": "华东", "tags": [],
            "budget_amount": null, "currency": "CNY", "custom": { "city": "上海" }
        }));
        let told = members(json!({
            "name": "王女士", "phone": "+86 13900139000", "email": "Wang@X.example", "need": "二百套", "region": "华东", "company": "",
            "tags": ["春季"], "budget_amount": "20", "currency": "USD", "custom": { "city": "北京", "floor": "3" }, "source_id": "x"
        }));
        let said = said(&lead, &told);
        let expected = json!({
            "name": "王女士", "need": "二百套", "tags": ["春季"], "budget_amount": "20", "currency": "USD",
            "custom": { "city": "北京", "floor": "3" }
        });
        assert_eq!(Value::Object(said.clone()), expected);
        let filled = json!({
            "need": "二百套", "tags": ["春季"], "budget_amount": "20", "currency": "USD", "custom": { "floor": "3" }
        });
        assert_eq!(Value::Object(empty(&lead, &said)), filled);
    }
}
