//! From a row to a record: cells read as what their column says. Pure.

use super::csv_out::SEPARATORS;
use super::options::ImportDateFormat;
use super::plan::Plan;
use super::text::Row;
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::{normal_form, say};
use crate::platform::records::{Kind, Member};
use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A reference that the database must find: the member, and what stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    pub target: String,
    pub text: String,
}

/// A row as it is to become a record.
#[derive(Debug, Clone)]
pub struct Draft {
    pub row: Row,
    pub members: Map<String, Value>,
    pub sought: Vec<Sought>,
    /// What of it was not found.
    pub missing: Vec<Sought>,
    /// What the row says beside members, by target.
    pub extras: BTreeMap<String, String>,
    pub faults: Vec<Fault>,
}

impl Plan {
    /// Reads one row.
    pub fn draft(&self, row: Row) -> Draft {
        let mut draft = Draft {
            members: Map::new(),
            sought: Vec::new(),
            missing: Vec::new(),
            extras: BTreeMap::new(),
            faults: row.fault.iter().cloned().collect(),
            row,
        };
        let mut said: Vec<(String, Value)> = Vec::new();
        for column in &self.columns {
            let cell = draft
                .row
                .cells
                .get(&column.heading)
                .cloned()
                .unwrap_or(Value::Null);
            let value = self.corrected(&column.heading, cell);
            let error = value.as_str().filter(|text| SHEET_ERRORS.contains(text));
            if let Some(error) = error {
                draft.faults.push(sheet_error(&column.target, error));
            }
            said.push((
                column.target.clone(),
                if error.is_some() { Value::Null } else { value },
            ));
        }
        for (target, default) in &self.options.defaults {
            let known = said.iter().position(|(name, _)| name == target);
            let is_empty = known.is_none_or(|at| said.get(at).is_none_or(|(_, value)| is_blank(value)));
            if is_empty {
                if let Some(at) = known {
                    said.remove(at);
                }
                said.push((target.clone(), Value::String(self.filled(default, &draft.row))));
            }
        }
        for (target, value) in said {
            self.put(&mut draft, &target, value);
        }
        draft
    }

    fn corrected(&self, heading: &str, cell: Value) -> Value {
        let text = match &cell {
            Value::String(text) => normal_form(text),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return cell,
        };
        let corrected = self
            .options
            .values
            .get(heading)
            .and_then(|values| values.get(&text));
        Value::String(corrected.cloned().unwrap_or(text))
    }

    /// `{heading}` in a default stands for the row's cell, corrected; where that is empty, for what the row says instead.
    fn filled(&self, default: &str, row: &Row) -> String {
        let mut text = default.to_owned();
        for (heading, cell) in &row.cells {
            let place = format!("{{{heading}}}");
            if text.contains(&place) {
                let value = self.corrected(heading, cell.clone());
                let value = value.as_str().unwrap_or_default();
                let said = match value.is_empty() {
                    true => self.plain_default(heading),
                    false => value,
                };
                text = text.replace(&place, said);
            }
        }
        normal_form(&text)
    }

    /// The default of what a heading says, unless it is itself made of cells.
    fn plain_default(&self, heading: &str) -> &str {
        let default = self
            .target(heading)
            .and_then(|target| self.options.defaults.get(target));
        let default = default.filter(|text| !text.contains('{'));
        default.map_or("", String::as_str)
    }

    fn put(&self, draft: &mut Draft, target: &str, value: Value) {
        if let Some(key) = target.strip_prefix("custom.") {
            return self.put_custom(draft, key, value);
        }
        let Some(member) = self.options.resource.resource().member(target) else {
            if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
                draft.extras.insert(target.to_owned(), text.to_owned());
            }
            return;
        };
        if is_blank(&value) {
            // An empty cell clears on the way to an existing record, and is nothing on the way to a new one.
            if member.is_nullable() {
                draft.members.insert(target.to_owned(), Value::Null);
            }
            return;
        }
        let text = value.as_str().unwrap_or_default();
        if member.kind == Kind::Id && !text.is_empty() {
            draft.sought.push(Sought {
                target: target.to_owned(),
                text: text.to_owned(),
            });
            return;
        }
        match self.converted(member, &value) {
            Ok(value) => {
                draft.members.insert(target.to_owned(), value);
            }
            Err(fault) => draft.faults.push(fault),
        }
    }

    fn put_custom(&self, draft: &mut Draft, key: &str, value: Value) {
        if is_blank(&value) {
            return;
        }
        let kind = self
            .definitions
            .iter()
            .find(|field| field.key == key)
            .map(|field| field.kind.as_str());
        let text = value.as_str().unwrap_or_default();
        let value = match kind {
            Some("number" | "money") => number(text).map_or(value.clone(), Value::String),
            Some("date") => match self.day(text) {
                Some(day) => json!(day),
                None => return draft.faults.push(no_day(&format!("/custom/{key}"))),
            },
            Some("user") => {
                let target = format!("custom.{key}");
                return draft.sought.push(Sought {
                    target,
                    text: text.to_owned(),
                });
            }
            _ => value,
        };
        let custom = draft.members.entry("custom").or_insert_with(|| json!({}));
        custom[key] = value;
    }

    fn converted(&self, member: &Member, value: &Value) -> Result<Value, Fault> {
        let Some(text) = value.as_str() else {
            return Ok(value.clone());
        };
        let pointer = format!("/{}", member.name);
        let converted = match member.kind {
            Kind::Int => match number(text).and_then(|text| text.parse::<i64>().ok()) {
                Some(number) => json!(number),
                None => return Err(no_number(&pointer)),
            },
            Kind::Money | Kind::Decimal(_) => match number(text) {
                Some(number) => json!(number),
                None => return Err(no_number(&pointer)),
            },
            Kind::Share => json!(share(text).ok_or_else(|| no_number(&pointer))?),
            Kind::Bool => match text.to_lowercase().as_str() {
                "true" | "yes" | "y" | "1" | "是" | "真" => json!(true),
                "false" | "no" | "n" | "0" | "否" | "假" => json!(false),
                _ => value.clone(),
            },
            Kind::Day => json!(self.day(text).ok_or_else(|| no_day(&pointer))?),
            Kind::Choice => json!(choice(member, text)),
            Kind::Currency => json!(text.to_uppercase()),
            Kind::Tags => json!(tags(text)),
            _ => value.clone(),
        };
        Ok(converted)
    }

    /// A day in the form declared, or in the one that workbooks and machines write.
    pub fn day(&self, text: &str) -> Option<NaiveDate> {
        let text = text.trim();
        let iso = text.get(..10).filter(|_| text.len() == 10 || text.contains('T'));
        if let Some(day) = iso.and_then(|iso| NaiveDate::parse_from_str(iso, "%Y-%m-%d").ok()) {
            return Some(day);
        }
        let plain = text
            .replace(['/', '.'], "-")
            .replace(['年', '月'], "-")
            .replace('日', "");
        let format = match self.options.date_format {
            ImportDateFormat::YearMonthDay => "%Y-%m-%d",
            ImportDateFormat::DayMonthYear => "%d-%m-%Y",
            ImportDateFormat::MonthDayYear => "%m-%d-%Y",
            ImportDateFormat::DayMonthShort => "%d-%m-%y",
            ImportDateFormat::MonthDayShort => "%m-%d-%y",
        };
        NaiveDate::parse_from_str(&plain, format).ok().filter(|day| {
            use chrono::Datelike;
            (1900..=2200).contains(&day.year())
        })
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value == "" || value == &json!([])
}

/// A number without its currency sign and thousands separators.
fn number(text: &str) -> Option<String> {
    let plain = text.replace(
        [
            ',', '\u{ff0c}', ' ', '\u{a0}', '¥', '\u{ffe5}', '$', '€', '£', '元',
        ],
        "",
    );
    money::parse(&plain).map(|_| plain)
}

/// The tags of a cell, however they are separated; a JSON list of texts is read as that.
fn tags(text: &str) -> Vec<String> {
    if let Ok(list) = serde_json::from_str(text) {
        return list;
    }
    let tags = text
        .split(SEPARATORS)
        .map(str::trim)
        .filter(|tag| !tag.is_empty());
    tags.map(str::to_owned).collect()
}

/// `60%` or `0.6`.
fn share(text: &str) -> Option<String> {
    match text.trim().strip_suffix(['%', '\u{ff05}']) {
        Some(percent) => {
            let percent = money::parse(percent.trim())?;
            Some(
                (percent / rust_decimal::Decimal::ONE_HUNDRED)
                    .normalize()
                    .to_string(),
            )
        }
        None => number(text),
    }
}

/// The choice that a text names, whatever its case, with or without 类 or 级.
fn choice(member: &Member, text: &str) -> String {
    let plain = text
        .trim()
        .trim_end_matches(['类', '级'])
        .to_lowercase()
        .replace([' ', '-'], "_");
    let known = member.choices.iter().find(|choice| **choice == plain);
    known.map_or_else(|| text.to_owned(), |choice| (*choice).to_owned())
}

/// What a spreadsheet shows where it could not calculate.
const SHEET_ERRORS: [&str; 7] = ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"];

fn sheet_error(target: &str, error: &str) -> Fault {
    Fault::new(
        format!("/{}", target.replace('.', "/")),
        "spreadsheet_error",
        say(
            format!("is {error}, an error of the spreadsheet"),
            format!("是电子表格的错误值 {error}"),
        ),
    )
}

fn no_number(pointer: &str) -> Fault {
    Fault::new(pointer, "wrong_format", say("is no number", "不是数字"))
}

pub fn no_day(pointer: &str) -> Fault {
    Fault::new(
        pointer,
        "wrong_format",
        say("is no day of the declared form", "不是所声明格式的日期"),
    )
}
