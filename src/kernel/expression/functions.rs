//! The check of functions and comprehensions.
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use crate::kernel::text::say;

use super::check::{Check, Typed};
use super::names::{self, Variable};
use super::tree::{Comprehension, Constant, Node, Search, Type};
use super::value;

const FUNCTIONS: &str = "size, has, startsWith, endsWith, contains, day, instant, days_between, \
                         exists, all, exists_one, filter, map";

impl Check<'_> {
    pub(super) fn method(
        &mut self,
        at: &IdedExpr,
        target: &IdedExpr,
        call: &CallExpr,
        depth: usize,
    ) -> Typed {
        let name = call.func_name.as_str();
        if let Some(how) = search(name) {
            return match call.args.as_slice() {
                [sought] => self.search(how, target, sought, depth),
                _ => self.refuse(
                    "wrong_arguments",
                    at,
                    say(
                        format!("{name} takes one text"),
                        format!("{name} 需要一个文本参数"),
                    ),
                ),
            };
        }
        if let Some(how) = comprehension(name) {
            return match call.args.as_slice() {
                [variable, body] => self.comprehend(at, how, [target, variable, body], depth),
                _ => self.refuse(
                    "wrong_arguments",
                    at,
                    say(
                        format!("{name} takes a name and an expression: {name}(x, …)"),
                        format!("{name} 需要一个名称和一个表达式：{name}(x, …)"),
                    ),
                ),
            };
        }
        match (name, call.args.as_slice()) {
            ("size", []) => self.size(target, depth),
            ("size", _) => self.refuse(
                "wrong_arguments",
                at,
                say("size takes no argument here", "size 在此不需要参数"),
            ),
            _ => self.unknown_function(at, call, depth),
        }
    }

    pub(super) fn unknown_function(&mut self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Typed {
        for inner in call.target.as_deref().into_iter().chain(&call.args) {
            self.node(inner, depth + 1);
        }
        let name = &call.func_name;
        let message = say(
            format!("there is no function `{name}` here; there are {FUNCTIONS}"),
            format!("没有函数 `{name}`；可用的有 {FUNCTIONS}"),
        );
        self.refuse("unknown_function", at, message)
    }

    fn search(&mut self, how: Search, text: &IdedExpr, sought: &IdedExpr, depth: usize) -> Typed {
        let text = self.expect(
            text,
            depth,
            say(
                "text (is an entry in a list? use `x in list`)",
                "文本（判断列表是否包含某项请用 `x in list`）",
            ),
            Type::is_text,
        );
        let sought = self.expect(sought, depth, say("text", "文本"), Type::is_text);
        Typed::new(Node::Search(how, Box::new([text.node, sought.node])), Type::Bool)
    }

    pub(super) fn size(&mut self, of: &IdedExpr, depth: usize) -> Typed {
        let of = self.expect(of, depth, say("a list or text", "列表或文本"), |it| {
            it.is_text() || matches!(it, Type::List(_))
        });
        Typed::new(Node::Size(Box::new(of.node)), Type::Int)
    }

    pub(super) fn present(&mut self, of: &IdedExpr) -> Typed {
        self.count(1);
        let typed = match &of.expr {
            Expr::Ident(_) | Expr::Select(_) => names::member(self, of),
            _ => {
                return self.refuse(
                    "wrong_arguments",
                    of,
                    say(
                        "has takes a member, such as has(account.industry)",
                        "has 需要一个字段，例如 has(account.industry)",
                    ),
                );
            }
        };
        match typed.node {
            Node::Member(member) => Typed::new(Node::Present(member), Type::Bool),
            _ => Typed::faulty(),
        }
    }

    pub(super) fn day(&mut self, of: &IdedExpr) -> Typed {
        self.count(1);
        match written(of).and_then(value::day) {
            Some(day) => Typed::new(Node::Constant(Constant::Day(day)), Type::Day),
            None => self.refuse(
                "invalid_literal",
                of,
                say(
                    "day takes a day in quotes: day(\"2024-03-05\")",
                    "day 需要引号中的日期：day(\"2024-03-05\")",
                ),
            ),
        }
    }

    pub(super) fn instant(&mut self, of: &IdedExpr) -> Typed {
        self.count(1);
        match written(of).and_then(value::instant) {
            Some(instant) => Typed::new(Node::Constant(Constant::Instant(instant)), Type::Instant),
            None => {
                let message = say(
                    "instant takes a time in quotes: instant(\"2024-03-05T08:00:00Z\")",
                    "instant 需要引号中的时间：instant(\"2024-03-05T08:00:00Z\")",
                );
                self.refuse("invalid_literal", of, message)
            }
        }
    }

    pub(super) fn days_between(&mut self, from: &IdedExpr, to: &IdedExpr, depth: usize) -> Typed {
        let from = self.expect(from, depth, say("a day", "日期"), |it| matches!(it, Type::Day));
        let to = self.expect(to, depth, say("a day", "日期"), |it| matches!(it, Type::Day));
        Typed::new(Node::DaysBetween(Box::new([from.node, to.node])), Type::Int)
    }

    fn comprehend(
        &mut self,
        at: &IdedExpr,
        how: Comprehension,
        [list, variable, body]: [&IdedExpr; 3],
        depth: usize,
    ) -> Typed {
        if self.variable.is_some() {
            let message = say(
                "exists, all, exists_one, filter and map cannot stand inside one another",
                "exists、all、exists_one、filter、map 不能互相嵌套",
            );
            return self.refuse("nested_comprehension", at, message);
        }
        self.count(1);
        let Expr::Ident(name) = &variable.expr else {
            return self.refuse(
                "wrong_arguments",
                variable,
                say(
                    "the first argument names the entry: exists(x, …)",
                    "第一个参数是每项的名称：exists(x, …)",
                ),
            );
        };
        let list = self.expect(list, depth, say("a list", "列表"), |it| {
            matches!(it, Type::List(_))
        });
        let of = match &list.shape {
            Type::List(of) => (**of).clone(),
            _ => Type::Faulty,
        };
        self.variable = Some(Variable {
            name: name.clone(),
            path: names::entries_of(&list.node),
            shape: of.clone(),
        });
        let (body, shape) = self.body(how, body, of, depth);
        self.variable = None;
        Typed::new(Node::Comprehension(how, Box::new([list.node, body])), shape)
    }

    /// The body of a comprehension, and the type of the whole.
    fn body(&mut self, how: Comprehension, body: &IdedExpr, of: Type, depth: usize) -> (Node, Type) {
        match how {
            Comprehension::Exists | Comprehension::All | Comprehension::ExistsOne => {
                (self.boolean(body, depth), Type::Bool)
            }
            Comprehension::Filter => (self.boolean(body, depth), Type::List(Box::new(of))),
            Comprehension::Map => {
                let value = self.expect(body, depth, say("a single value", "单个值"), Type::is_scalar);
                (value.node, Type::List(Box::new(value.shape)))
            }
        }
    }
}

/// The text of a literal.
fn written(at: &IdedExpr) -> Option<&str> {
    match &at.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn search(name: &str) -> Option<Search> {
    match name {
        "startsWith" => Some(Search::StartsWith),
        "endsWith" => Some(Search::EndsWith),
        "contains" => Some(Search::Contains),
        _ => None,
    }
}

fn comprehension(name: &str) -> Option<Comprehension> {
    match name {
        operators::EXISTS => Some(Comprehension::Exists),
        operators::ALL => Some(Comprehension::All),
        operators::EXISTS_ONE => Some(Comprehension::ExistsOne),
        operators::FILTER => Some(Comprehension::Filter),
        operators::MAP => Some(Comprehension::Map),
        _ => None,
    }
}
