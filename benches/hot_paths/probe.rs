//! Which statements the server sends for a request, read from the log of Postgres, and the pgbench script that sends the
//! same. Two requests of a kind are compared: a value that is the same in both stays as it is, an id that belongs to the
//! deal follows the deal, a fresh id is made anew, a time is the present.

use crate::Failure;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tokio_postgres::Client;
use uuid::Uuid;

/// A statement as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pid: String,
    pub sql: String,
    parameters: Vec<Option<String>>,
}

/// How long the log is now.
pub fn mark(log: &Path) -> Result<usize, Failure> {
    Ok(usize::try_from(fs::metadata(log)?.len())?)
}

/// The statements that were logged since the mark.
pub fn since(log: &Path, mark: usize) -> Result<Vec<Statement>, Failure> {
    let bytes = fs::read(log)?;
    let text = String::from_utf8_lossy(bytes.get(mark..).unwrap_or_default()).into_owned();
    let mut statements: Vec<Statement> = Vec::new();
    for entry in entries(&text) {
        let pid = between(&entry, "[", "]").unwrap_or_default().to_owned();
        if let Some(sql) = executed(&entry) {
            statements.push(Statement {
                pid,
                sql: sql.to_owned(),
                parameters: Vec::new(),
            });
        } else if let Some((_, list)) = entry.split_once("DETAIL:  parameters: ")
            && let Some(last) = statements.iter_mut().rfind(|statement| statement.pid == pid)
        {
            last.parameters = parameters(list);
        }
    }
    Ok(statements)
}

/// Log entries: a line that begins with a tab belongs to the one before.
fn entries(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(rest), Some(last)) => {
                last.push('\n');
                last.push_str(rest);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(left)?;
    rest.split_once(right).map(|(inner, _)| inner)
}

fn executed(entry: &str) -> Option<&str> {
    let (_, said) = entry.split_once("LOG:  ")?;
    if let Some(sql) = said.strip_prefix("statement: ") {
        return Some(sql);
    }
    let (_, sql) = said.strip_prefix("execute ")?.split_once(": ")?;
    Some(sql)
}

/// Reads `$1 = 'it''s', $2 = NULL`.
fn parameters(list: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = list;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            values.push(None);
            rest = value;
            continue;
        };
        let (text, end) = unquoted(quoted);
        values.push(Some(text));
        rest = &quoted[end..];
    }
    values
}

/// The text up to the closing quote, and where it ends.
fn unquoted(quoted: &str) -> (String, usize) {
    let mut text = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != '\'' {
            text.push(character);
        } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            return (text, at + 1);
        }
    }
    (text, quoted.len())
}

const ENDS: [&str; 3] = ["BEGIN", "COMMIT", "ROLLBACK"];

/// Leaves out what the server does by itself: statements (and whole sessions) that were seen while nobody asked.
pub fn without_noise(statements: Vec<Statement>, noise: &BTreeSet<String>) -> Vec<Statement> {
    let is_noise =
        |statement: &Statement| noise.contains(&statement.sql) && !ENDS.contains(&statement.sql.as_str());
    let noisy = statements
        .iter()
        .filter(|statement| is_noise(statement))
        .map(|statement| statement.pid.clone())
        .collect::<BTreeSet<_>>();
    let quiet = |statement: &Statement| !noisy.contains(&statement.pid);
    statements.into_iter().filter(quiet).collect()
}

/// Ids that belong to the deal of a request, with the SQL that finds them.
pub type Known = Vec<(Uuid, String)>;

/// Writes the body of a pgbench script that sends the statements of `one`, of which `other` is another instance.
pub async fn script(
    client: &Client,
    one: &[Statement],
    other: &[Statement],
    known: &Known,
) -> Result<String, Failure> {
    let mut ids = Ids {
        known,
        lasting: ids_of(other),
        fresh: Vec::new(),
    };
    let mut script = String::new();
    for (one, other) in one.iter().zip(other) {
        let types = types(client, &one.sql).await;
        let mut values = Vec::new();
        for (index, (value, second)) in one.parameters.iter().zip(&other.parameters).enumerate() {
            let of_type = types.as_ref().and_then(|types| types.get(index).cloned());
            values.push(match value {
                None => "NULL".to_owned(),
                Some(text) if value == second => typed(&literal(text), text, of_type.as_deref()),
                Some(text) => {
                    let sql = varying(text, &mut ids, of_type.as_deref());
                    typed(&format!("({sql})"), text, of_type.as_deref())
                }
            });
        }
        script.push_str(&filled(&one.sql, &values));
        script.push_str(";\n");
    }
    Ok(script)
}

/// The types of a statement's parameters, when Postgres can tell them.
async fn types(client: &Client, sql: &str) -> Option<Vec<String>> {
    let statement = client.prepare(sql).await.ok()?;
    Some(
        statement
            .params()
            .iter()
            .map(|kind| kind.name().to_owned())
            .collect(),
    )
}

fn typed(sql: &str, text: &str, of_type: Option<&str>) -> String {
    match of_type.or_else(|| type_by_form(text)) {
        Some(kind) => format!("{sql}::{kind}"),
        None => sql.to_owned(),
    }
}

fn type_by_form(text: &str) -> Option<&'static str> {
    let is_digits = |range: std::ops::Range<usize>| {
        text.get(range)
            .is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if Uuid::parse_str(text).is_ok() && text.len() == 36 {
        Some("uuid")
    } else if text
        .strip_prefix('{')
        .is_some_and(|rest| rest.get(..36).is_some_and(|id| Uuid::parse_str(id).is_ok()))
    {
        Some("uuid[]")
    } else if is_digits(0..4) && is_digits(5..7) && text.get(10..11) == Some(" ") {
        Some("timestamptz")
    } else if text.starts_with(['{', '[']) && serde_json::from_str::<serde_json::Value>(text).is_ok() {
        Some("jsonb")
    } else {
        None
    }
}

/// A string constant. A colon before a letter is kept apart from it: pgbench would take the two for a variable.
fn literal(text: &str) -> String {
    let mut sql = String::from("'");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' => sql.push_str("''"),
            ':' if characters
                .peek()
                .is_some_and(|next| !next.is_ascii() || next.is_ascii_alphabetic() || *next == '_') =>
            {
                sql.push_str(":' || '");
            }
            other => sql.push(other),
        }
    }
    sql.push('\'');
    if sql.contains("' || '") {
        format!("({sql})")
    } else {
        sql
    }
}

/// SQL of a value that differs from request to request.
fn varying(text: &str, ids: &mut Ids<'_>, of_type: Option<&str>) -> String {
    let kind = of_type.or_else(|| type_by_form(text));
    if matches!(kind, Some("timestamptz")) {
        return "now()".to_owned();
    }
    let parts = parts(text);
    let has_ids = parts.iter().any(|part| matches!(part, Part::Id(_)));
    if !has_ids {
        // A text of its own, such as the id of a delivery, stays different; figures may repeat.
        let is_text = matches!(kind, Some("text") | None) && text.parse::<f64>().is_err();
        return match (is_text, numbered(text)) {
            // A name is another one by its number, as in the requests: with more to it, all would be like all.
            (true, Some((before, after))) => format!(
                "{} || ((:run::bigint + :i::bigint * 7919 + :client_id::bigint * 104729) % 250000)::text || {}",
                literal(before),
                literal(after)
            ),
            // Not the counter itself, whose zeros would make every name like every other.
            (true, None) => format!("{} || '-' || left(md5({}), 12)", literal(text), counter()),
            (false, _) => literal(text),
        };
    }
    let sql = parts.iter().map(|part| match part {
        Part::Text(text) => literal(text),
        Part::Id(id) => ids.sql(*id),
    });
    sql.collect::<Vec<_>>().join(" || ")
}

/// What stands before and behind the number in a name that is not all ASCII.
fn numbered(text: &str) -> Option<(&str, &str)> {
    if text.is_ascii() {
        return None;
    }
    let from = text.find(|letter: char| letter.is_ascii_digit())?;
    let (before, rest) = text.split_at(from);
    Some((
        before,
        rest.trim_start_matches(|letter: char| letter.is_ascii_digit()),
    ))
}

enum Part<'a> {
    Text(&'a str),
    Id(Uuid),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at < text.len() {
        let id = text.get(at..at + 36).and_then(|part| Uuid::parse_str(part).ok());
        if let Some(id) = id {
            if from < at {
                parts.push(Part::Text(&text[from..at]));
            }
            parts.push(Part::Id(id));
            at += 36;
            from = at;
        } else {
            at += 1;
        }
    }
    if from < text.len() {
        parts.push(Part::Text(&text[from..]));
    }
    parts
}

/// Hexadecimal of a number that no other transaction of any run has; it grows, as the server's ids do.
fn counter() -> String {
    "lpad(to_hex(:run::bigint * 4294967296 + :i::bigint * 128 + :client_id::bigint), 12, '0')".to_owned()
}

/// What the ids of a request are.
struct Ids<'a> {
    known: &'a Known,
    /// Those that the other request has too.
    lasting: BTreeSet<Uuid>,
    /// Those that the request made for itself, in the order of their appearance.
    fresh: Vec<Uuid>,
}

impl Ids<'_> {
    /// SQL of an id as text.
    fn sql(&mut self, id: Uuid) -> String {
        if let Some((_, sql)) = self.known.iter().find(|(known, _)| *known == id) {
            return format!("{sql}::text");
        }
        if self.lasting.contains(&id) {
            return literal(&id.to_string());
        }
        let place = self.fresh.iter().position(|known| *known == id);
        let place = place.unwrap_or_else(|| {
            self.fresh.push(id);
            self.fresh.len() - 1
        });
        format!("'01ff0000-0000-7000-8{place:03x}-' || {}", counter())
    }
}

fn ids_of(statements: &[Statement]) -> BTreeSet<Uuid> {
    let values = statements
        .iter()
        .flat_map(|statement| &statement.parameters)
        .flatten();
    let parts = values.flat_map(|text| parts(text));
    parts
        .filter_map(|part| match part {
            Part::Id(id) => Some(id),
            Part::Text(_) => None,
        })
        .collect()
}

/// The statement with its parameters in place.
fn filled(sql: &str, values: &[String]) -> String {
    let mut filled = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let value = after[..digits]
            .parse::<usize>()
            .ok()
            .and_then(|number| values.get(number.checked_sub(1)?));
        match value {
            Some(value) => filled.push_str(value),
            None => {
                filled.push('$');
                filled.push_str(&after[..digits]);
            }
        }
        rest = &after[digits..];
    }
    filled.push_str(rest);
    filled
}
