//! Custom fields: values checked as their definitions say, and a second, typed copy of the filterable ones.

use super::rules;
use super::spec::{Act, Change};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::nearest::nearest;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::input::escaped;
use chrono::NaiveDate;
use diesel::sql_types::{Array, Bool, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// One definition of a company's own field.
#[derive(QueryableByName, Debug, Clone)]
pub struct Definition {
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub label: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    pub choices: Option<Vec<String>>,
    #[diesel(sql_type = Bool)]
    pub is_required: bool,
    #[diesel(sql_type = Bool)]
    pub is_filterable: bool,
}

/// Keeps the live definitions of these resources as they are until the transaction ends. Whoever puts something in force
/// that may read a field calls it before they look at the definitions: whoever archives one locks it before they look for
/// what is in force, so that one of the two sees the other.
///
/// # Errors
/// Database errors.
pub async fn hold(tx: &mut Tx, tenant: Uuid, resources: &[&str]) -> AppResult<()> {
    let query = sql_query(
        "SELECT 1 FROM field_definitions WHERE tenant_id = $1 AND resource = ANY($2) AND archived_at IS NULL ORDER BY id FOR SHARE",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<Text>, _>(resources);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

/// The live definitions of a resource's custom fields.
///
/// # Errors
/// Database errors.
pub async fn definitions(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    resource: &str,
) -> AppResult<Vec<Definition>> {
    let query = sql_query(
        "SELECT key, label, kind, choices, is_required, is_filterable FROM field_definitions \
         WHERE tenant_id = $1 AND resource = $2 AND archived_at IS NULL ORDER BY key",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Text, _>(resource);
    Ok(Cached(query).load(conn).await?)
}

/// Whether a change touches what definitions rule: the values themselves, or the currency of those that are money.
pub fn is_concerned(ctx: &Ctx, change: &Change) -> bool {
    let is_same_money = rules::currency_of(ctx, &change.before) == rules::currency_of(ctx, &change.after);
    let has_values = values(&change.after).is_some_and(|values| !values.is_empty());
    change.act == Act::Create || change.changed("custom") || (!is_same_money && has_values)
}

/// The faults of `custom` of a change by the definitions; amounts come out padded. Values of archived fields may stay as
/// they are.
///
/// # Errors
/// Database errors.
pub async fn check(
    tx: &mut Tx,
    ctx: &Ctx,
    definitions: &[Definition],
    change: &mut Change,
) -> AppResult<Vec<Fault>> {
    let mut faults = money_faults(ctx, definitions, change);
    let empty = Map::new();
    let before = change
        .before
        .get("custom")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let after = change
        .after
        .get("custom")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    faults.extend(self::faults(definitions, before, after));
    let users = definitions
        .iter()
        .filter(|definition| definition.kind == "user")
        .filter_map(|definition| {
            let id = after
                .get(&definition.key)
                .and_then(Value::as_str)
                .and_then(|id| Uuid::parse_str(id).ok())?;
            Some((definition.key.clone(), id))
        });
    for (key, id) in users.collect::<Vec<_>>() {
        if !user_exists(tx, ctx.tenant, id).await? {
            faults.push(Fault::not_found(format!("/custom/{key}")));
        }
    }
    Ok(faults)
}

/// Amounts follow the rules of the record's own: no more places than its currency has, and padded to these. What stands
/// there from before is left alone as long as the currency stays.
fn money_faults(ctx: &Ctx, definitions: &[Definition], change: &mut Change) -> Vec<Fault> {
    let currency = rules::currency_of(ctx, &change.after).to_owned();
    let is_same_money = currency == rules::currency_of(ctx, &change.before);
    let mut faults = Vec::new();
    for definition in definitions.iter().filter(|definition| definition.kind == "money") {
        let key = &definition.key;
        let old = values(&change.before).and_then(|values| values.get(key)).cloned();
        let custom = change.after.get_mut("custom").and_then(Value::as_object_mut);
        let Some(value) = custom.and_then(|custom| custom.get_mut(key)) else {
            continue;
        };
        let text = value.as_str().unwrap_or_default();
        let Some(amount) = money::parse(text).filter(|_| !is_same_money || old.as_ref() != Some(&*value))
        else {
            continue;
        };
        if money::is_too_precise(text, &currency) {
            faults.push(money::too_precise(format!("/custom/{key}"), &currency));
        } else if fault_of(definition, value).is_none() {
            *value = money::to_text(amount, &currency).into();
        }
    }
    faults
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

pub(super) async fn user_exists(tx: &mut Tx, tenant: Uuid, id: Uuid) -> AppResult<bool> {
    let query = sql_query("SELECT EXISTS (SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2) AS yes")
        .bind::<SqlUuid, _>(tenant)
        .bind::<SqlUuid, _>(id);
    Ok(Cached(query).get_result::<Exists>(&mut **tx).await?.yes)
}

pub(super) fn faults(
    definitions: &[Definition],
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<Fault> {
    let (mut faults, mut unknown) = (Vec::new(), 0);
    for (key, value) in after {
        let pointer = format!("/custom/{}", escaped(key));
        match definitions.iter().find(|definition| definition.key == *key) {
            // What stands there from before may stay, whatever became of the field or its choices.
            _ if before.get(key) == Some(value) => {}
            None => {
                unknown += 1;
                faults.push(match unknown <= MOST_ADVISED {
                    true => unknown_field(definitions, key),
                    false => Fault::unknown_field(pointer),
                });
            }
            Some(definition) => {
                let code = match value {
                    Value::String(_) | Value::Null => "invalid",
                    _ => "wrong_type",
                };
                faults.extend(
                    fault_of(definition, value).map(|(en, zh)| Fault::new(pointer, code, say(en, zh))),
                );
            }
        }
    }
    for definition in definitions.iter().filter(|definition| definition.is_required) {
        let pointer = format!("/custom/{}", definition.key);
        match after.get(&definition.key).unwrap_or(&Value::Null) {
            Value::Null => faults.push(Fault::required(pointer)),
            Value::String(text) if definition.kind == "text" && text.trim().is_empty() => {
                faults.push(Fault::new(
                    pointer,
                    "too_short",
                    say("cannot be empty", "不能为空"),
                ));
            }
            _ => {}
        }
    }
    faults
}

/// Most unknown keys of a record that are answered with what there is; of the others it is only said that they are unknown.
const MOST_ADVISED: usize = 10;
/// Most fields that one fault lists.
const MOST_LISTED: usize = 20;

/// The fault of a key that no field has: it says which one was likely meant, or which there are.
fn unknown_field(definitions: &[Definition], key: &str) -> Fault {
    let keys = definitions.iter().map(|definition| definition.key.as_str());
    let message = match (nearest(key, keys.clone()), definitions.is_empty()) {
        (Some(near), _) => say(
            format!("is none of the fields that your company defined; did you mean {near}?"),
            format!("不是贵企业定义的字段；您是否想用 {near}？"),
        ),
        (None, true) => say(
            "is none of the fields that your company defined: there are none for these records",
            "不是贵企业定义的字段：此类记录尚未定义任何字段",
        ),
        (None, false) => {
            let mut listed = keys.take(MOST_LISTED).collect::<Vec<_>>().join(", ");
            if definitions.len() > MOST_LISTED {
                listed.push_str(", …");
            }
            say(
                format!("is none of the fields that your company defined; there are: {listed}"),
                format!("不是贵企业定义的字段；现有字段：{listed}"),
            )
        }
    };
    Fault::new(format!("/custom/{}", escaped(key)), "unknown_field", message)
}

fn fault_of(definition: &Definition, value: &Value) -> Option<(String, String)> {
    if value.is_null() {
        return None;
    }
    let text = value.as_str();
    let decimal = |places: u32| {
        text.and_then(money::parse)
            .is_some_and(|number| number.scale() <= places && number.trunc().to_string().len() <= 16)
    };
    let (is_good, en, zh) = match definition.kind.as_str() {
        "text" => (
            text.is_some_and(|text| text.chars().count() <= 2000),
            "must be a text of at most 2,000 characters".to_owned(),
            "必须是不超过 2000 字符的文本".to_owned(),
        ),
        "number" => (
            decimal(4),
            "must be a decimal string with at most four places".to_owned(),
            "必须是最多四位小数的十进制字符串".to_owned(),
        ),
        // How many places its currency has is asked besides.
        "money" => (
            decimal(28),
            "must be a decimal string in the record's currency".to_owned(),
            "必须是以记录币种表示的十进制字符串".to_owned(),
        ),
        "date" => (
            text.is_some_and(|text| text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()),
            "must be a day (YYYY-MM-DD)".to_owned(),
            "必须是日期(YYYY-MM-DD)".to_owned(),
        ),
        "choice" => {
            let choices = definition.choices.clone().unwrap_or_default();
            let allowed = choices.join(", ");
            (
                text.is_some_and(|text| choices.iter().any(|choice| choice == text)),
                format!("must be one of: {allowed}"),
                format!("必须是以下之一:{allowed}"),
            )
        }
        _ => (
            text.is_some_and(|text| Uuid::parse_str(text).is_ok()),
            "must be the id of a user".to_owned(),
            "必须是用户 id".to_owned(),
        ),
    };
    (!is_good).then_some((en, zh))
}

/// Keeps the typed copy of the filterable values true, for any number of records of a kind at once. Runs after they are
/// written.
///
/// # Errors
/// Database errors.
pub async fn store(tx: &mut Tx, ctx: &Ctx, resource: &str, changes: &[Change]) -> AppResult<()> {
    let is_empty = |record: &Map<String, Value>| values(record).is_none_or(Map::is_empty);
    let told = changes
        .iter()
        .filter(|change| change.changed("custom") && !(is_empty(&change.before) && is_empty(&change.after)))
        .collect::<Vec<_>>();
    if told.is_empty() {
        return Ok(());
    }
    // Read after the rows were written: whoever makes a field filterable waits for transactions that have written, and so
    // for each that may have read it as not filterable here.
    let definitions = definitions(&mut &**tx, ctx.tenant, resource).await?;
    let copies = told.iter().flat_map(|change| copies(&definitions, change));
    let copies = Value::Array(copies.collect());
    let ids = told.iter().map(|change| change.id).collect::<Vec<_>>();
    let query = sql_query(
        "WITH x AS (SELECT * FROM jsonb_to_recordset($4) AS x (record_id uuid, key text, text text, number numeric, day date)), \
         gone AS (DELETE FROM custom_values v WHERE v.tenant_id = $1 AND v.record_kind = $2 AND v.record_id = ANY($3) \
            AND NOT EXISTS (SELECT 1 FROM x WHERE x.record_id = v.record_id AND x.key = v.field_key)) \
         INSERT INTO custom_values (tenant_id, record_kind, field_key, record_id, text_value, number_value, day_value) \
         SELECT $1, $2, x.key, x.record_id, x.text, x.number, x.day FROM x \
         ON CONFLICT (tenant_id, record_kind, record_id, field_key) DO UPDATE \
         SET text_value = EXCLUDED.text_value, number_value = EXCLUDED.number_value, day_value = EXCLUDED.day_value",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(resource)
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Jsonb, _>(copies);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

fn values(record: &Map<String, Value>) -> Option<&Map<String, Value>> {
    record.get("custom").and_then(Value::as_object)
}

/// The filterable values of a record, each in the column of its type.
fn copies(definitions: &[Definition], change: &Change) -> impl Iterator<Item = Value> {
    let filterable = definitions.iter().filter(|definition| definition.is_filterable);
    filterable.filter_map(|definition| {
        let value = values(&change.after)?.get(&definition.key)?;
        let column = match definition.kind.as_str() {
            "number" | "money" => "number",
            "date" => "day",
            _ => "text",
        };
        (!value.is_null()).then(|| json!({ "record_id": change.id, "key": definition.key, column: value }))
    })
}
