//! By what a record is found: one row beside it in `search_entries`, made from the members that its declaration marks for
//! search, and written by the statement that writes the record.

mod catch_up;
mod condition;
mod write;

pub use catch_up::SEARCH_ENTRIES;
pub use condition::{condition, fault, is_searched, marks, read};
pub use write::{clause, enter, follow_owners, forget};

use super::rules;
use super::spec::{Act, Change, Kind, Member, Resource};
use crate::kernel::likeness::plain;
use crate::kernel::search::{Form, Source, vector};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use uuid::Uuid;

/// The form of the rows that are made now: raise it when the same texts make other terms.
pub const FORM: i32 = 1;
/// Stands between names, and between texts when they are digested; no text contains it.
const BETWEEN: char = '\u{1f}';
/// Texts up to this length are names: a hit in one says most.
const LONGEST_NAME: i64 = 200;
/// Characters of the names that are kept.
const MOST_NAMES: usize = 300;

/// The search row of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub record_id: Uuid,
    /// Nil for nobody.
    pub owner_id: Uuid,
    pub is_live: bool,
    names: String,
    terms: String,
    /// In hexadecimal digits.
    digest: String,
}

impl Entry {
    /// Of a record in wire form.
    pub fn of(resource: &Resource, id: Uuid, record: &Map<String, Value>, is_live: bool) -> Entry {
        let text = |member: &Member| {
            record
                .get(member.name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let members = searched(resource).collect::<Vec<_>>();
        let known = members
            .iter()
            .map(|member| normal(member, record, text(member)))
            .collect::<Vec<_>>();
        let sources = members.iter().zip(&known).map(|(member, text)| Source {
            text,
            form: form(member),
            weight: weight(member),
            mark: mark(resource, member),
        });
        let names = members
            .iter()
            .filter(|member| is_name(member))
            .map(|member| plain(text(member)))
            .filter(|name| !name.is_empty());
        let names = names.collect::<Vec<_>>().join(&BETWEEN.to_string());
        let texts = members.iter().map(|member| text(member)).collect::<Vec<_>>();
        let digest = Sha256::digest(texts.join(&BETWEEN.to_string()));
        let owner = record.get("owner_id").and_then(Value::as_str);
        Entry {
            record_id: id,
            owner_id: owner.and_then(|id| Uuid::parse_str(id).ok()).unwrap_or_default(),
            is_live,
            names: names.chars().take(MOST_NAMES).collect(),
            terms: vector(&sources.collect::<Vec<_>>()),
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Of a record on its way into its table; `None` when the change is none to search.
    pub fn of_change(resource: &Resource, change: &Change) -> Option<Entry> {
        if !is_searched(resource) {
            return None;
        }
        let is_changed = change.act != Act::Update
            || change.changed("owner_id")
            || searched(resource).any(|member| change.changed(member.name));
        is_changed.then(|| Entry::of(resource, change.id, &change.after, change.act != Act::Archive))
    }
}

/// A phone in E.164, where it can be read: so it is found with its country and without. Other texts as they are.
fn normal<'a>(member: &Member, record: &'a Map<String, Value>, text: &'a str) -> Cow<'a, str> {
    if member.kind != Kind::Phone || text.is_empty() {
        return Cow::Borrowed(text);
    }
    let kept = record
        .get(&format!("{}_e164", member.name))
        .and_then(Value::as_str);
    match kept {
        Some(e164) => Cow::Borrowed(e164),
        None => rules::e164(text).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// The members by which a resource is searched, in the order of their weight.
pub fn searched(resource: &Resource) -> impl Iterator<Item = &'static Member> + use<> {
    resource.columns().filter(|member| member.is_search)
}

/// How a member's text is cut into terms.
pub fn form(member: &Member) -> Form {
    match member.kind {
        Kind::Phone => Form::Phone,
        Kind::Email => Form::Email,
        _ => Form::Words,
    }
}

fn is_name(member: &Member) -> bool {
    member.kind == Kind::Text && member.most <= LONGEST_NAME && member.sensitive.is_none()
}

fn weight(member: &Member) -> char {
    match member.kind {
        Kind::Phone | Kind::Email => 'B',
        _ if is_name(member) => 'A',
        _ => 'D',
    }
}

/// The mark of the terms of a member: its kind's first letter, in upper case when only some may read it.
fn mark(resource: &Resource, member: &Member) -> char {
    let mark = resource.singular.chars().next().unwrap_or_default();
    match member.sensitive {
        Some(_) => mark.to_ascii_uppercase(),
        None => mark,
    }
}

/// The SQL of the digest of the row `t`, as [`Entry::of`] computes it.
pub fn digest_sql(resource: &Resource) -> String {
    let texts = searched(resource).map(|member| format!("coalesce(t.{}, '')", member.name));
    let texts = texts.collect::<Vec<_>>().join(", ");
    format!(
        "sha256(convert_to(concat_ws(chr({}), {texts}), 'UTF8'))",
        u32::from(BETWEEN)
    )
}
