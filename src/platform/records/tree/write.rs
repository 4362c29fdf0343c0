//! A tree as SQL over `t`. Every value is bound.

use super::{Form, Is, Subject, Test, Tree};
use crate::kernel::ctx::Ctx;
use crate::platform::records::query::in_order_of_names;
use crate::platform::records::sql::{self, Bind, Intent, Sql};

impl Tree {
    /// The condition, its values bound to the statement. It may be NULL where it is not true.
    pub fn condition(&self, sql: &mut Sql, ctx: &Ctx) -> String {
        match self {
            Tree::All(parts) if parts.is_empty() => String::from("TRUE"),
            Tree::All(parts) => joined(parts, " AND ", sql, ctx),
            Tree::Any(parts) => joined(parts, " OR ", sql, ctx),
            Tree::Not(part) => format!("(({}) IS NOT TRUE)", part.condition(sql, ctx)),
            Tree::Test(test) => test.condition(sql, ctx),
        }
    }
}

fn joined(parts: &[Tree], word: &str, sql: &mut Sql, ctx: &Ctx) -> String {
    let parts = parts.iter().map(|part| part.condition(sql, ctx));
    format!("({})", parts.collect::<Vec<_>>().join(word))
}

impl Test {
    fn condition(&self, sql: &mut Sql, ctx: &Ctx) -> String {
        let here = self.subject.condition(&self.is, sql);
        let Some((reference, target)) = &self.via else {
            return here;
        };
        // Inside, `t` is the record referred to. What the caller cannot see is as if it were not there.
        let scope = sql::scope(sql, target, "t", ctx, Intent::Read);
        let among = |inner: String| {
            format!(
                "{reference} IN (SELECT t.id FROM {} t WHERE t.tenant_id = $1 AND {scope} AND {inner})",
                target.table
            )
        };
        match self.is {
            Is::Empty => format!("(({}) IS NOT TRUE)", among(format!("({here}) IS NOT TRUE"))),
            _ => among(here),
        }
    }
}

impl Subject {
    fn condition(&self, is: &Is, sql: &mut Sql) -> String {
        match self {
            Subject::Member {
                sql: column,
                form,
                is_name: true,
            } if is.is_exact() => is.condition(&in_order_of_names(column), *form, sql),
            Subject::Member {
                sql: column, form, ..
            } => is.condition(column, *form, sql),
            Subject::Field {
                resource,
                key,
                form,
                is_indexed: true,
            } => copied(resource, key, *form, is, sql),
            Subject::Field { key, form, .. } => {
                let key = sql.place(Bind::Text(key.clone()));
                let column = format!("(t.custom->>{key}::text){}", cast(*form));
                is.condition(&column, *form, sql)
            }
        }
    }
}

/// A condition on the typed copy, which has an index for each type.
fn copied(resource: &str, key: &str, form: Form, is: &Is, sql: &mut Sql) -> String {
    let key = sql.place(Bind::Text(key.to_owned()));
    let rows = format!(
        "FROM custom_values v WHERE v.tenant_id = $1 AND v.record_kind = '{resource}' AND v.field_key = {key}"
    );
    let column = match form {
        Form::Number => "v.number_value",
        Form::Day => "v.day_value",
        _ => "v.text_value",
    };
    match is {
        Is::Empty if matches!(form, Form::Number | Form::Day) => {
            format!("NOT EXISTS (SELECT 1 {rows} AND v.record_id = t.id)")
        }
        Is::Empty => format!("NOT EXISTS (SELECT 1 {rows} AND v.record_id = t.id AND v.text_value <> '')"),
        _ => format!(
            "t.id IN (SELECT v.record_id {rows} AND {})",
            is.condition(column, form, sql)
        ),
    }
}

fn cast(form: Form) -> &'static str {
    match form {
        Form::Number => "::numeric",
        Form::Day => "::date",
        _ => "",
    }
}

impl Is {
    /// Whether one text is meant or another.
    fn is_exact(&self) -> bool {
        matches!(self, Is::Equal(_) | Is::Among(_))
    }

    fn condition(&self, column: &str, form: Form, sql: &mut Sql) -> String {
        match self {
            Is::Equal(value) => format!("{column} = {}", sql.place(value.clone())),
            Is::Among(values) => {
                let places = values.iter().map(|value| sql.place(value.clone()));
                format!("{column} IN ({})", places.collect::<Vec<_>>().join(", "))
            }
            Is::Compared(operator, value) => format!("{column} {operator} {}", sql.place(value.clone())),
            Is::Between(from, to) => {
                let (from, to) = (sql.place(from.clone()), sql.place(to.clone()));
                format!("({column} BETWEEN {from} AND {to})")
            }
            Is::Within(from, until) => {
                let (from, until) = (sql.place(from.clone()), sql.place(until.clone()));
                format!("({column} >= {from} AND {column} < {until})")
            }
            Is::Like(pattern) => format!("{column} ILIKE {}", sql.place(Bind::Text(pattern.clone()))),
            Is::Overlapping(texts) => format!("{column} && {}", sql.place(Bind::Texts(texts.clone()))),
            Is::Empty => match form {
                Form::Texts => format!("coalesce(cardinality({column}), 0) = 0"),
                Form::Text | Form::Choice => format!("coalesce({column}, '') = ''"),
                _ => format!("{column} IS NULL"),
            },
        }
    }
}
