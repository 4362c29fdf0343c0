//! Records as JSON text, made by the database from their declarations: the SQL of a document, put together once.

use super::spec::{Access, Kind, Member, Resource};
use crate::kernel::ctx::Ctx;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Most arguments of one call: Postgres takes 100.
const MOST_ARGUMENTS: usize = 90;

/// Members of every record that its declaration need not repeat.
pub const STANDING: [&str; 3] = ["version", "created_at", "updated_at"];

/// A scalar expression that renders the row `t` as JSON text, leaving out sensitive members that the caller may not read.
pub fn document(resource: &Resource, ctx: &Ctx) -> Arc<str> {
    remembered(resource, Form::Text, |member| {
        member.sensitive.is_none_or(|permission| ctx.holds(permission))
    })
}

/// The whole row as JSON text, sensitive members too: for writing.
pub fn whole_document(resource: &Resource) -> Arc<str> {
    remembered(resource, Form::Text, |_| true)
}

/// The whole row as `json`, to be part of a larger document.
pub fn whole_json(resource: &Resource) -> Arc<str> {
    remembered(resource, Form::Json, |_| true)
}

/// As what a document comes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Text,
    Json,
}

/// Documents made so far: one for each resource, form and set of members shown.
type Documents = RwLock<HashMap<(&'static str, Form, u128), Arc<str>>>;

/// Every read and write needs its resource's document, and putting it together costs more than many a statement.
fn remembered(resource: &Resource, form: Form, shown: impl Fn(&Member) -> bool) -> Arc<str> {
    static DOCUMENTS: LazyLock<Documents> = LazyLock::new(Documents::default);
    let members = resource.members.iter().enumerate();
    let shown = members.fold(0_u128, |set, (place, member)| {
        set | u128::from(shown(member)) << place
    });
    let key = (resource.singular, form, shown);
    if let Some(known) = DOCUMENTS.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(known);
    }
    let values = values(resource, form, shown);
    let beside = resource.members.iter().find_map(|member| member.beside);
    let beside = beside.map_or_else(String::new, |beside| format!(" {}", beside.joined()));
    let made: Arc<str> = match form {
        Form::Text if beside.is_empty() => text_of(&values),
        Form::Text => format!("(SELECT {}{beside})", text_of(&values)),
        Form::Json => json_of(&values, &beside),
    }
    .into();
    let mut documents = DOCUMENTS.write().unwrap_or_else(PoisonError::into_inner);
    documents.insert(key, Arc::clone(&made));
    made
}

/// One value of a document.
struct Value {
    name: &'static str,
    /// Over the row `t`.
    sql: String,
    writing: Writing,
    /// Whether it may be NULL.
    is_nullable: bool,
}

/// How a value becomes JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Its text is JSON as it is: numbers, JSON itself.
    Plain,
    /// `t` and `f` until it is cast.
    Flag,
    /// Its text has nothing that JSON escapes.
    Quoted,
    /// Postgres knows.
    Any,
}

/// What a document shows, in its order.
fn values(resource: &Resource, form: Form, shown: u128) -> Vec<Value> {
    // The rows of a view, of which Postgres cannot tell, may have holes.
    let is_table = !matches!(resource.access, Access::Derived);
    let standing = |name: &'static str, sql: String, writing| Value {
        name,
        sql,
        writing,
        is_nullable: !is_table,
    };
    let mut values = vec![standing("id", "t.id".to_owned(), Writing::Quoted)];
    if let Access::Part { key, .. } = resource.access {
        values.push(standing(key, format!("t.{key}"), Writing::Quoted));
    }
    let members = resource.members.iter().enumerate();
    let is_asked = |member: &Member| form == Form::Json || !member.is_asked_only;
    let members = members
        .filter(|(place, member)| shown >> place & 1 == 1 && !member.is_instruction && is_asked(member));
    values.extend(members.map(|(_, member)| Value {
        name: member.name,
        sql: rendered(member),
        writing: writing(member),
        is_nullable: member.sql.is_some() || member.kind == Kind::Json || member.is_nullable() || !is_table,
    }));
    values.push(standing("version", "t.version".to_owned(), Writing::Plain));
    for name in ["created_at", "updated_at"] {
        values.push(standing(name, format!("instant_text(t.{name})"), Writing::Quoted));
    }
    if resource.has_archive() {
        values.push(Value {
            name: "archived_at",
            sql: "instant_text(t.archived_at)".to_owned(),
            writing: Writing::Quoted,
            is_nullable: true,
        });
    }
    values
}

/// The SQL of one member over the row `t`, and the row `b` beside it.
fn rendered(member: &Member) -> String {
    let column = match (member.sql, member.beside) {
        (Some(sql), Some(_)) => format!("({sql})"),
        _ => member.expression(),
    };
    match member.kind {
        // A computed amount knows its own currency, and renders itself.
        Kind::Money if member.sql.is_some() => column,
        Kind::Money => format!("money_text({column}, t.currency)"),
        Kind::Decimal(_) => format!("trim_scale({column})::text"),
        Kind::Share => format!("round({column}, 4)::text"),
        Kind::Instant => format!("instant_text({column})"),
        _ => column,
    }
}

fn writing(member: &Member) -> Writing {
    match member.kind {
        Kind::Decimal(_) | Kind::Share | Kind::Instant => Writing::Quoted,
        _ if member.sql.is_some() => Writing::Any,
        Kind::Id | Kind::Money | Kind::Choice | Kind::Currency => Writing::Quoted,
        Kind::Int | Kind::Custom => Writing::Plain,
        Kind::Bool => Writing::Flag,
        // Free JSON also stands in columns that are arrays to Postgres.
        Kind::Text | Kind::Email | Kind::Phone | Kind::Key | Kind::Day | Kind::Tags | Kind::Json => {
            Writing::Any
        }
    }
}

/// The document as `row_to_json` makes it, byte for byte. That one forms a row, takes it apart again and escapes each name
/// each time; putting the pieces together is a third cheaper, and a page of a list is little else.
fn text_of(values: &[Value]) -> String {
    let mut arguments = Vec::new();
    let mut literal = String::from("{");
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            literal.push(',');
        }
        literal.push_str(&format!("\"{}\":", value.name));
        let sql = &value.sql;
        let argument = match (value.writing, value.is_nullable) {
            (Writing::Quoted, false) => {
                literal.push('"');
                sql.clone()
            }
            (Writing::Quoted, true) => format!("coalesce('\"' || {sql} || '\"', 'null')"),
            (Writing::Plain, false) => sql.clone(),
            (Writing::Plain, true) => format!("coalesce(({sql})::text, 'null')"),
            (Writing::Flag, false) => format!("({sql})::text"),
            (Writing::Flag, true) => format!("coalesce(({sql})::text, 'null')"),
            (Writing::Any, false) => format!("to_json({sql})"),
            (Writing::Any, true) => format!("coalesce(to_json({sql}), 'null')"),
        };
        arguments.push(format!("'{literal}'"));
        arguments.push(argument);
        literal.clear();
        if (value.writing, value.is_nullable) == (Writing::Quoted, false) {
            literal.push('"');
        }
    }
    literal.push('}');
    arguments.push(format!("'{literal}'"));
    let calls = arguments.chunks(MOST_ARGUMENTS);
    let calls = calls
        .map(|arguments| format!("concat({})", arguments.join(", ")))
        .collect::<Vec<_>>();
    match calls.as_slice() {
        [one] => one.clone(),
        several => format!("concat({})", several.join(", ")),
    }
}

/// A scalar subquery.
fn json_of(values: &[Value], beside: &str) -> String {
    let columns = values
        .iter()
        .map(|value| format!("{} AS {}", value.sql, value.name));
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!("(SELECT row_to_json(r) FROM (SELECT {columns}{beside}) r)")
}
