//! Members: finding them in the vocabulary, and the paths by which callers know them.
use cel::common::ast::{Expr, IdedExpr};

use crate::kernel::text::{Say, say};

use super::check::{Check, Typed};
use super::tree::{Comprehension, Member, Node, Type};
use super::vocabulary::Vocabulary;

/// Names told when one is unknown.
const MAX_TOLD: usize = 20;

/// The entry at hand in a comprehension.
pub(super) struct Variable {
    pub name: String,
    /// The path of the entries, `lines[]`; none for entries that are not members.
    pub path: Option<String>,
    pub shape: Type,
}

/// The path of the entries of a list, if they are members.
pub(super) fn entries_of(list: &Node) -> Option<String> {
    match list {
        Node::Member(member) => Some(format!("{}[]", member.path)),
        Node::Comprehension(Comprehension::Filter, parts) => entries_of(&parts[0]),
        _ => None,
    }
}

/// A name, or a chain of them.
pub(super) fn member(check: &mut Check<'_>, at: &IdedExpr) -> Typed {
    let Some(chain) = chain(at) else {
        return check.refuse(
            "unsupported_syntax",
            at,
            say(
                "`.name` may follow only the name of a record",
                "`.名称` 只能跟在记录名之后",
            ),
        );
    };
    check.count(chain.len() - 1);
    let (first, first_at) = chain[0];
    let variable = check.variable.as_ref().filter(|variable| variable.name == first);
    let mut member = match variable {
        Some(variable) => Member {
            in_element: true,
            names: Vec::new(),
            path: variable.path.as_deref().unwrap_or(first).into(),
            shape: variable.shape.clone(),
        },
        None => match top(check.vocabulary, first) {
            Some(shape) => Member {
                in_element: false,
                names: vec![first.to_owned()],
                path: first.into(),
                shape,
            },
            None => {
                let message = unknown(first, None, check.vocabulary);
                return check.refuse("unknown_member", first_at, message);
            }
        },
    };
    for (name, name_at) in &chain[1..] {
        match below(&member, name) {
            Ok(Some(next)) => member = next,
            Ok(None) => return Typed::faulty(),
            Err((code, message)) => return check.refuse(code, name_at, message),
        }
    }
    if variable.is_none_or(|variable| variable.path.is_some()) {
        check.members.insert(member.path.to_string());
    }
    let shape = member.shape.clone();
    Typed::new(Node::Member(member), shape)
}

/// The names from the first to the last, each with its place; `None` when the first is no name.
fn chain(mut at: &IdedExpr) -> Option<Vec<(&str, &IdedExpr)>> {
    let mut chain = Vec::new();
    loop {
        match &at.expr {
            Expr::Select(select) => {
                chain.push((select.field.as_str(), at));
                at = &select.operand;
            }
            Expr::Ident(name) => {
                chain.push((name, at));
                chain.reverse();
                return Some(chain);
            }
            _ => return None,
        }
    }
}

fn top(vocabulary: &Vocabulary, name: &str) -> Option<Type> {
    match (name, vocabulary.get(name)) {
        ("today", _) => Some(Type::Day),
        ("now", _) => Some(Type::Instant),
        (_, found) => found.map(Type::of),
    }
}

/// A member of a member; `Ok(None)` below what is faulty already.
fn below(of: &Member, name: &str) -> Result<Option<Member>, (&'static str, Say)> {
    let vocabulary = match &of.shape {
        Type::Record(vocabulary) => vocabulary,
        Type::Faulty => return Ok(None),
        other => {
            let what = other.described();
            let message = say(
                format!("`{}` is {} and has no members", of.path, what.en),
                format!("`{}` 是{}，没有下级字段", of.path, what.zh),
            );
            return Err(("unknown_member", message));
        }
    };
    let Some(kind) = vocabulary.get(name) else {
        return Err(("unknown_member", unknown(name, Some(&of.path), vocabulary)));
    };
    let mut names = of.names.clone();
    names.push(name.to_owned());
    let path = format!("{}.{name}", of.path).into();
    Ok(Some(Member {
        in_element: of.in_element,
        names,
        path,
        shape: Type::of(kind),
    }))
}

fn unknown(name: &str, of: Option<&str>, vocabulary: &Vocabulary) -> Say {
    let mut known: Vec<&str> = vocabulary.names().collect();
    if of.is_none() {
        known.extend(["today", "now"]);
    }
    let more = if known.len() > MAX_TOLD { ", …" } else { "" };
    known.truncate(MAX_TOLD);
    let known = known.join(", ");
    match of {
        Some(record) => say(
            format!("there is no `{name}` in `{record}`; there are {known}{more}"),
            format!("`{record}` 中没有 `{name}`；可用的有 {known}{more}"),
        ),
        None => say(
            format!("there is no `{name}` here; there are {known}{more}"),
            format!("此处没有 `{name}`；可用的有 {known}{more}"),
        ),
    }
}
