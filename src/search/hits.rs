//! A hit as it is shown: which member was found, and a piece of it.

use super::RESOURCES;
use super::lookup::Row;
use crate::kernel::search::{self, Form, Query};
use crate::platform::records::{Member, entry};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// From this score on the text itself was found, below it something like it.
const LEAST_EXACT: f64 = 0.4;
/// Where only something like it was found: so much of the name is shown.
const SHOWN: usize = 80;

/// A record that was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchHit {
    /// `account`, `contact`, `lead` or `opportunity`.
    #[schema(example = "account")]
    kind: String,
    /// Its id.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Its name.
    #[schema(example = "上海恒信科技有限公司")]
    name: String,
    /// Whose it is; null for nobody's.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    owner_id: Option<Uuid>,
    /// Their name.
    #[schema(example = "李强")]
    owner_name: Option<String>,
    /// The account of a contact or opportunity, where you see that, or the company that a lead names; null for an account.
    #[schema(example = "上海恒信科技有限公司")]
    company: Option<String>,
    /// The member in which it was found.
    #[schema(example = "name")]
    member: String,
    /// Where in the member.
    piece: SearchPiece,
    /// Whether it is not the text itself that was found, but something like it.
    #[schema(example = false)]
    is_alike: bool,
    /// How good a hit it is, 0–1: 1 the whole name, 0.9 its beginning, 0.8 within it, 0.6 phone or e-mail, 0.4 notes; less for what
    /// is only alike.
    #[schema(minimum = 0, maximum = 1, example = 0.8)]
    score: f64,
}

/// A piece of a text as it is kept, cut around what was found; `…` where more follows.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchPiece {
    /// What stands before.
    #[schema(example = "上海")]
    before: String,
    /// What was found.
    #[schema(example = "恒信")]
    matched: String,
    /// What stands after.
    #[schema(example = "科技有限公司")]
    after: String,
}

/// A row as it is shown.
pub fn hit(row: &Row, query: &Query) -> Option<SearchHit> {
    let resource = RESOURCES
        .into_iter()
        .find(|resource| resource.singular == row.kind)?;
    let doc: Map<String, Value> = serde_json::from_str(&row.doc).ok()?;
    let text = |member: &Member| doc.get(member.name).and_then(Value::as_str).unwrap_or_default();
    let mut members = entry::searched(resource).collect::<Vec<_>>();
    // A number is a phone before it is anything else.
    if !query.phones().is_empty() {
        members.sort_by_key(|member| entry::form(member) != Form::Phone);
    }
    let name = doc.get("name").and_then(Value::as_str).unwrap_or_default();
    let is_alike = row.score < LEAST_EXACT;
    let found = members.iter().find_map(|member| {
        let piece = search::piece(text(member), entry::form(member), query)?;
        Some((member.name, piece))
    });
    let (member, piece) = match found {
        Some((member, piece)) => (
            member,
            SearchPiece {
                before: piece.before,
                matched: piece.matched,
                after: piece.after,
            },
        ),
        None => ("name", whole(name)),
    };
    Some(SearchHit {
        kind: row.kind.clone(),
        id: row.id,
        name: name.to_owned(),
        owner_id: row.owner_id,
        owner_name: row.owner_name.clone(),
        company: row.company.clone(),
        member: member.to_owned(),
        piece,
        is_alike,
        score: (row.score * 1000.0).round() / 1000.0,
    })
}

fn whole(name: &str) -> SearchPiece {
    let is_long = name.chars().count() > SHOWN;
    SearchPiece {
        before: String::new(),
        matched: name.chars().take(SHOWN).collect(),
        after: if is_long { "…".to_owned() } else { String::new() },
    }
}
