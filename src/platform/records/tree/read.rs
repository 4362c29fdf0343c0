//! A tree from JSON: its form, its bounds, and whether it fits the resource. All faults are named, each at its place.

use super::operand::{OPERATORS, Taking, asked, turned};
use super::{Form, MOST_DEPTH, MOST_NODES, Subject, Test, Tree};
use crate::kernel::ctx::Ctx;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::records::fields::{Field, Fields};
use crate::platform::records::spec::{Access, Kind, Member, Resource};
use crate::platform::records::store::expand_name;
use serde_json::{Map, Value};

const WORDS: [&str; 3] = ["and", "or", "not"];

/// How strictly a tree is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As a caller sends it now.
    Asked,
    /// As it was saved once: a field archived since, no longer filterable, or with fewer choices, is read as it was.
    Saved,
}

/// What a tree is read by.
pub struct Terms<'a> {
    pub ctx: &'a Ctx,
    pub fields: &'a Fields,
    pub mode: Mode,
}

/// Reads the tree of a resource that stands at `at`; an empty object lets everything through. With faults the tree says
/// less than was sent, and must not be used.
pub fn read(
    terms: &Terms<'_>,
    resource: &'static Resource,
    tree: &Value,
    at: &str,
    faults: &mut Vec<Fault>,
) -> Tree {
    let everything = || Tree::All(Vec::new());
    if tree.as_object().is_some_and(Map::is_empty) {
        return everything();
    }
    let mut reader = Reader {
        terms,
        resource,
        faults,
        nodes: 0,
    };
    let read = reader.node(tree, at, 1);
    if reader.nodes > MOST_NODES {
        faults.push(Fault::new(
            at,
            "too_many",
            say("has more than 100 nodes", "节点超过 100 个"),
        ));
    }
    read.unwrap_or_else(everything)
}

/// The members that a tree names, whether they exist or not.
pub fn names(tree: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    gather(tree, &mut names);
    names
}

fn gather<'v>(tree: &'v Value, names: &mut Vec<&'v str>) {
    names.extend(tree.get("member").and_then(Value::as_str));
    for word in ["and", "or"] {
        let parts = tree.get(word).and_then(Value::as_array);
        parts.into_iter().flatten().for_each(|part| gather(part, names));
    }
    if let Some(part) = tree.get("not") {
        gather(part, names);
    }
}

/// The resources whose own fields these names may mean.
pub fn with_fields<'n>(resource: &Resource, names: impl Iterator<Item = &'n str>) -> Vec<&'static str> {
    let mut resources = Vec::new();
    for name in names {
        let found = match name.split_once('.') {
            Some(("custom", _)) => Some(resource.singular),
            Some((first, rest)) if rest.starts_with("custom.") => {
                reference(resource, first).map(|(_, target)| target.singular)
            }
            _ => None,
        };
        resources.extend(found.filter(|found| !resources.contains(found)));
    }
    resources
}

fn reference(resource: &Resource, name: &str) -> Option<(&'static Member, &'static Resource)> {
    let member = resource
        .members
        .iter()
        .find(|member| expand_name(member) == Some(name))?;
    Some((member, member.refers?))
}

struct Reader<'a> {
    terms: &'a Terms<'a>,
    resource: &'static Resource,
    faults: &'a mut Vec<Fault>,
    nodes: usize,
}

/// What a name means: how it is reached, and what its values are.
struct Named<'a> {
    via: Option<(Box<str>, &'static Resource)>,
    subject: Subject,
    taking: Taking<'a>,
}

impl<'a> Reader<'a> {
    fn fault<T>(&mut self, fault: Fault) -> Option<T> {
        self.faults.push(fault);
        None
    }

    fn node(&mut self, node: &Value, at: &str, depth: usize) -> Option<Tree> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return None;
        }
        if depth > MOST_DEPTH {
            return self.fault(Fault::new(
                at,
                "too_deep",
                say("is nested more than 8 deep", "嵌套超过 8 层"),
            ));
        }
        let Some(members) = node.as_object() else {
            return self.fault(Fault::new(
                at,
                "wrong_type",
                say("must be an object", "必须是对象"),
            ));
        };
        let known = |name: &&String| WORDS.contains(&name.as_str()) || name.as_str() == "member";
        let kinds = members.keys().filter(known).collect::<Vec<_>>();
        match kinds.as_slice() {
            [word] if word.as_str() == "member" => self.test(members, at),
            [word] if members.len() == 1 => self.joined(word, &members[word.as_str()], at, depth),
            _ => self.fault(Fault::invalid(
                at,
                "needs exactly one of and, or, not; or a member with one operator",
                "须恰有 and、or、not 之一,或一个 member 与一个运算",
            )),
        }
    }

    fn joined(&mut self, word: &str, value: &Value, at: &str, depth: usize) -> Option<Tree> {
        let at = format!("{at}/{word}");
        if word == "not" {
            let part = self.node(value, &at, depth + 1)?;
            return Some(Tree::Not(Box::new(part)));
        }
        let Some(parts) = value.as_array().filter(|parts| !parts.is_empty()) else {
            return self.fault(Fault::new(
                at,
                "too_short",
                say(
                    "must be a list of at least one node",
                    "必须是至少含一个节点的列表",
                ),
            ));
        };
        let read = parts
            .iter()
            .enumerate()
            .map(|(index, part)| self.node(part, &format!("{at}/{index}"), depth + 1))
            // Every part is read before one that is missing ends it, so that all faults come at once.
            .collect::<Vec<_>>();
        let read = read.into_iter().collect::<Option<Vec<_>>>()?;
        Some(if word == "and" {
            Tree::All(read)
        } else {
            Tree::Any(read)
        })
    }

    fn test(&mut self, members: &Map<String, Value>, at: &str) -> Option<Tree> {
        let mut operators = members.iter().filter(|(name, _)| name.as_str() != "member");
        let (operator, value) = match (operators.next(), operators.next()) {
            (Some((operator, value)), None) if OPERATORS.contains(&operator.as_str()) => (operator, value),
            _ => {
                let known = OPERATORS.join(", ");
                return self.fault(Fault::invalid(
                    at,
                    format!("needs exactly one operator: {known}"),
                    format!("须恰有一个运算:{known}"),
                ));
            }
        };
        let name = members["member"].as_str().unwrap_or_default();
        let named = match self.named(name, &format!("{at}/member")) {
            Ok(named) => named,
            Err(fault) => return self.fault(fault),
        };
        let (is, is_turned) = asked(
            &named.taking,
            operator,
            value,
            &format!("{at}/{operator}"),
            self.faults,
        )?;
        let test = Test {
            via: named.via,
            subject: named.subject,
            is,
        };
        Some(turned(Tree::Test(test), is_turned))
    }

    fn named(&self, name: &str, at: &str) -> Result<Named<'a>, Fault> {
        match name.split_once('.') {
            None => self.member(self.resource, name, at),
            Some(("custom", key)) => self.field(self.resource, key, at),
            Some((first, rest)) => {
                let (member, target) = reference(self.resource, first).ok_or_else(|| unknown(at))?;
                self.may_use(member, at)?;
                let inner = match rest.split_once('.') {
                    None => self.member(target, rest, at),
                    Some(("custom", key)) => self.field(target, key, at),
                    Some(_) => Err(unknown(at)),
                };
                inner.map(|inner| Named {
                    via: Some((member.expression().into(), target)),
                    ..inner
                })
            }
        }
    }

    fn may_use(&self, member: &Member, at: &str) -> Result<(), Fault> {
        let denied = member
            .sensitive
            .filter(|permission| !self.terms.ctx.holds(permission));
        match denied {
            None => Ok(()),
            Some(permission) => Err(Fault::new(
                at,
                "forbidden",
                say(
                    format!("needs the permission {permission}"),
                    format!("需要权限 {permission}"),
                ),
            )),
        }
    }

    fn member(&self, resource: &'static Resource, name: &str, at: &str) -> Result<Named<'a>, Fault> {
        if let Some(form) = standing(resource, name) {
            return Ok(self.plain(format!("t.{name}"), form));
        }
        let member = resource.member(name).ok_or_else(|| unknown(at))?;
        self.may_use(member, at)?;
        let form = form(member.kind).ok_or_else(|| {
            Fault::invalid(
                at,
                "is no member that a filter could test; custom fields are custom.KEY",
                "该成员不能用于筛选;自定义字段写作 custom.KEY",
            )
        })?;
        let column = match member.sql {
            // A computed amount renders itself.
            Some(sql) if member.kind == Kind::Money => format!("({sql})::numeric"),
            _ => member.expression(),
        };
        let is_name = member.is_sort && member.kind == Kind::Text;
        let mut named = self.plain(column.clone(), form);
        named.subject = Subject::Member {
            sql: column,
            form,
            is_name,
        };
        if member.kind == Kind::Choice {
            named.taking.choices = Some(member.choices.iter().map(|choice| (*choice).to_owned()).collect());
        }
        named.taking.is_user = member.is_user();
        named.taking.is_lower = member.kind == Kind::Email;
        Ok(named)
    }

    fn plain(&self, sql: String, form: Form) -> Named<'a> {
        Named {
            via: None,
            subject: Subject::Member {
                sql,
                form,
                is_name: false,
            },
            taking: Taking {
                ctx: self.terms.ctx,
                form,
                choices: None,
                is_user: false,
                is_lower: false,
            },
        }
    }

    fn field(&self, resource: &'static Resource, key: &str, at: &str) -> Result<Named<'a>, Fault> {
        let field = self
            .terms
            .fields
            .find(resource.singular, key)
            .filter(|_| resource.member("custom").is_some())
            .ok_or_else(|| unknown(at))?;
        if self.terms.mode == Mode::Asked {
            usable(field, at)?;
        }
        let form = match field.kind.as_str() {
            "number" | "money" => Form::Number,
            "date" => Form::Day,
            "choice" => Form::Choice,
            _ => Form::Text,
        };
        let taking = Taking {
            ctx: self.terms.ctx,
            form,
            choices: field.choices.clone().filter(|_| self.terms.mode == Mode::Asked),
            is_user: field.kind == "user",
            is_lower: false,
        };
        let subject = Subject::Field {
            resource: resource.singular,
            key: field.key.clone(),
            form,
            is_indexed: field.is_indexed,
        };
        Ok(Named {
            via: None,
            subject,
            taking,
        })
    }
}

fn usable(field: &Field, at: &str) -> Result<(), Fault> {
    if field.is_archived {
        return Err(Fault::new(
            at,
            "archived",
            say("is a field that was archived", "该字段已归档"),
        ));
    }
    if !field.is_filterable {
        return Err(Fault::new(
            at,
            "not_filterable",
            say("is a field that is not filterable", "该字段不可筛选"),
        ));
    }
    Ok(())
}

fn unknown(at: &str) -> Fault {
    Fault::new(
        at,
        "unknown_value",
        say(
            "is no member here: a member's name, custom.KEY, or either behind the name of a relation (account.industry)",
            "未知成员:应为成员名、custom.KEY,或以关联名开头(如 account.industry)",
        ),
    )
}

/// What every record has beside its declared members.
fn standing(resource: &Resource, name: &str) -> Option<Form> {
    match (name, resource.access) {
        ("id", _) => Some(Form::Id),
        ("created_at" | "updated_at", _) => Some(Form::Instant),
        (name, Access::Part { key, .. }) if key == name => Some(Form::Id),
        _ => None,
    }
}

fn form(kind: Kind) -> Option<Form> {
    match kind {
        Kind::Text | Kind::Email | Kind::Phone | Kind::Key | Kind::Currency => Some(Form::Text),
        Kind::Choice => Some(Form::Choice),
        Kind::Id => Some(Form::Id),
        Kind::Int => Some(Form::Int),
        Kind::Bool => Some(Form::Flag),
        Kind::Day => Some(Form::Day),
        Kind::Instant => Some(Form::Instant),
        Kind::Money | Kind::Decimal(_) | Kind::Share => Some(Form::Number),
        Kind::Tags => Some(Form::Texts),
        Kind::Custom | Kind::Json => None,
    }
}
