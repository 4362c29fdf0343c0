//! The pass over the parser's syntax tree: names, types and size, all faults at once.
use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use rust_decimal::Decimal;

use crate::kernel::text::{Say, say};

use super::fault::{Fault, Position};
use super::names::{self, Variable};
use super::tree::{Comparison, Constant, Node, Operation, Type};
use super::value;
use super::vocabulary::Vocabulary;

/// Nodes of one expression.
pub(super) const MAX_NODES: usize = 200;
/// Nodes from the root to a leaf; a chain such as `a + b + c` is as deep as it is long.
const MAX_DEPTH: usize = 64;

/// A node with its type.
pub(super) struct Typed {
    pub node: Node,
    pub shape: Type,
}

impl Typed {
    pub(super) fn new(node: Node, shape: Type) -> Self {
        Self { node, shape }
    }

    /// Stands in for what was refused.
    pub(super) fn faulty() -> Self {
        Self::new(Node::refused(), Type::Faulty)
    }

    /// How a sentence about it begins.
    pub(super) fn subject(&self) -> Say {
        let what = self.shape.described();
        match &self.node {
            Node::Member(member) => say(
                format!("`{}` is {}", member.path, what.en),
                format!("`{}` 是{}", member.path, what.zh),
            ),
            Node::Constant(_) => say(
                format!("this literal is {}", what.en),
                format!("此字面值是{}", what.zh),
            ),
            _ => say(format!("this is {}", what.en), format!("此处是{}", what.zh)),
        }
    }
}

/// What passed the check.
pub(super) struct Sound {
    pub root: Node,
    pub members: BTreeSet<String>,
    pub doubts: Vec<Fault>,
}

/// The state of one check.
pub(super) struct Check<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) members: BTreeSet<String>,
    pub(super) variable: Option<Variable>,
    source: &'a str,
    places: &'a SourceInfo,
    nodes: usize,
    is_too_deep: bool,
    faults: Vec<Fault>,
    doubts: Vec<Fault>,
}

impl<'a> Check<'a> {
    /// Checks a whole expression, which must be a condition.
    pub(super) fn condition(
        source: &'a str,
        places: &'a SourceInfo,
        vocabulary: &'a Vocabulary,
        root: &IdedExpr,
    ) -> Result<Sound, Vec<Fault>> {
        let mut check = Check {
            vocabulary,
            source,
            places,
            members: BTreeSet::new(),
            variable: None,
            nodes: 0,
            is_too_deep: false,
            faults: Vec::new(),
            doubts: Vec::new(),
        };
        let typed = check.node(root, 0);
        if !matches!(typed.shape, Type::Bool | Type::Faulty) {
            let message = then_say(
                typed.subject(),
                "a condition must be true or false",
                "条件的结果必须为真或假",
            );
            check.fault("not_a_condition", root, message);
        }
        if check.nodes > MAX_NODES {
            let message = say(
                format!(
                    "the expression has {} parts; at most {MAX_NODES} are allowed",
                    check.nodes
                ),
                format!("表达式有 {} 个部分，最多允许 {MAX_NODES} 个", check.nodes),
            );
            check.faults.push(Fault {
                code: "expression_too_large",
                message,
                position: None,
            });
        }
        if check.faults.is_empty() {
            Ok(Sound {
                root: typed.node,
                members: check.members,
                doubts: check.doubts,
            })
        } else {
            Err(check.faults)
        }
    }

    pub(super) fn fault(&mut self, code: &'static str, at: &IdedExpr, message: Say) {
        let fault = self.fault_at(code, at, message);
        self.faults.push(fault);
    }

    /// What can be computed, and yet cannot be meant.
    pub(super) fn doubt(&mut self, code: &'static str, at: &IdedExpr, message: Say) {
        let doubt = self.fault_at(code, at, message);
        self.doubts.push(doubt);
    }

    fn fault_at(&self, code: &'static str, at: &IdedExpr, message: Say) -> Fault {
        let start = self
            .places
            .offset_for(at.id)
            .and_then(|(start, _)| usize::try_from(start).ok());
        Fault {
            code,
            message,
            position: start.map(|offset| Position::of(self.source, offset)),
        }
    }

    /// As [`Check::fault`], in place of a node.
    pub(super) fn refuse(&mut self, code: &'static str, at: &IdedExpr, message: Say) -> Typed {
        self.fault(code, at, message);
        Typed::faulty()
    }

    pub(super) fn count(&mut self, nodes: usize) {
        self.nodes += nodes;
    }

    pub(super) fn node(&mut self, at: &IdedExpr, depth: usize) -> Typed {
        self.count(1);
        if depth > MAX_DEPTH {
            if self.is_too_deep {
                return Typed::faulty();
            }
            self.is_too_deep = true;
            let message = say(
                format!("parts are nested more than {MAX_DEPTH} deep; a long sum or chain counts each part"),
                format!("嵌套超过 {MAX_DEPTH} 层；长的连加或链式写法逐项计层"),
            );
            return self.refuse("expression_too_deep", at, message);
        }
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(_) | Expr::Select(_) => names::member(self, at),
            Expr::List(list) => self.list(&list.elements, depth),
            Expr::Call(call) => self.call(at, call, depth),
            Expr::Map(_) | Expr::Struct(_) => self.refuse(
                "unsupported_syntax",
                at,
                say("`{ … }` is not supported", "不支持 `{ … }`"),
            ),
            Expr::Comprehension(_) | Expr::Unspecified => self.refuse(
                "unsupported_syntax",
                at,
                say("this is not supported", "不支持此写法"),
            ),
        }
    }

    fn literal(&mut self, at: &IdedExpr, literal: &LiteralValue) -> Typed {
        let (constant, shape) = match literal {
            LiteralValue::Boolean(it) => (Constant::Bool(*it.inner()), Type::Bool),
            LiteralValue::Int(it) => (Constant::Int(*it.inner()), Type::Int),
            LiteralValue::String(it) => (Constant::Text(it.inner().into()), Type::Text),
            LiteralValue::Null => return Typed::new(Node::refused(), Type::Null),
            LiteralValue::Double(it) => match self.decimal(at, it.inner().is_sign_negative()) {
                Some(decimal) => (Constant::Decimal(decimal), Type::Decimal),
                None => {
                    return self.refuse(
                        "invalid_literal",
                        at,
                        say(
                            "this number has more digits than can be kept exactly",
                            "此数字的位数过多，无法精确保存",
                        ),
                    );
                }
            },
            LiteralValue::UInt(_) => {
                return self.refuse(
                    "unsupported_syntax",
                    at,
                    say("write whole numbers without `u`", "整数后不要写 `u`"),
                );
            }
            LiteralValue::Bytes(_) => {
                return self.refuse(
                    "unsupported_syntax",
                    at,
                    say("byte strings are not supported", "不支持字节串"),
                );
            }
        };
        Typed::new(Node::Constant(constant), shape)
    }

    /// The number as it is written: the parser has made a double of it, of which only the sign is
    /// used, since its token does not include one.
    fn decimal(&self, at: &IdedExpr, is_negative: bool) -> Option<Decimal> {
        let (start, stop) = self.places.offset_for(at.id)?;
        let digits = self
            .source
            .get(usize::try_from(start).ok()?..=usize::try_from(stop).ok()?)?;
        let decimal = value::scientific_decimal(digits)?;
        Some(if is_negative { -decimal } else { decimal })
    }

    fn list(&mut self, elements: &[IdedExpr], depth: usize) -> Typed {
        let mut of = Type::Faulty;
        let mut nodes = Vec::with_capacity(elements.len());
        for element in elements {
            let typed = self.node(element, depth + 1);
            match of.common(&typed.shape) {
                Some(common) if typed.shape.is_scalar() => of = common,
                _ => {
                    let message = then_say(
                        typed.subject(),
                        "a list holds single values of one kind",
                        "列表只能包含同一类型的单个值",
                    );
                    self.fault("type_mismatch", element, message);
                }
            }
            nodes.push(typed.node);
        }
        Typed::new(Node::List(nodes), Type::List(Box::new(of)))
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Typed {
        match &call.target {
            Some(target) => self.method(at, target, call, depth),
            None => self.function(at, call, depth),
        }
    }

    fn function(&mut self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Typed {
        let name = call.func_name.as_str();
        if let Some(how) = comparison(name) {
            return self.compare(at, how, &call.args, depth);
        }
        if let Some(how) = operation(name) {
            return self.calculate(at, how, &call.args, depth);
        }
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => {
                let parts = [self.boolean(left, depth), self.boolean(right, depth)];
                Typed::new(Node::And(Box::new(parts)), Type::Bool)
            }
            (operators::LOGICAL_OR, [left, right]) => {
                let parts = [self.boolean(left, depth), self.boolean(right, depth)];
                Typed::new(Node::Or(Box::new(parts)), Type::Bool)
            }
            (operators::LOGICAL_NOT, [of]) => {
                Typed::new(Node::Not(Box::new(self.boolean(of, depth))), Type::Bool)
            }
            (operators::NEGATE, [of]) => self.negate(of, depth),
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.choose(at, [condition, then, otherwise], depth)
            }
            (operators::IN, [sought, list]) => self.contained(at, sought, list, depth),
            (operators::INDEX, _) => self.refuse(
                "unsupported_syntax",
                at,
                say(
                    "`[ ]` after a value is not supported; use `.name`, `in`, exists or all",
                    "不支持在值后使用 `[ ]`；请使用 `.名称`、`in`、exists 或 all",
                ),
            ),
            (operators::HAS, [of]) => self.present(of),
            ("size", [of]) => self.size(of, depth),
            ("day", [of]) => self.day(of),
            ("instant", [of]) => self.instant(of),
            ("days_between", [from, to]) => self.days_between(from, to, depth),
            (operators::HAS | "size" | "day" | "instant", _) => self.refuse(
                "wrong_arguments",
                at,
                say(
                    format!("{name} takes one argument"),
                    format!("{name} 需要一个参数"),
                ),
            ),
            ("days_between", _) => self.refuse(
                "wrong_arguments",
                at,
                say(
                    "days_between takes two days: from, to",
                    "days_between 需要两个日期：起、止",
                ),
            ),
            _ => self.unknown_function(at, call, depth),
        }
    }

    /// A part that must be true or false.
    pub(super) fn boolean(&mut self, at: &IdedExpr, depth: usize) -> Node {
        self.expect(at, depth, say("true or false", "真或假"), |shape| {
            matches!(shape, Type::Bool)
        })
        .node
    }

    /// A part whose type `fits`, or else a fault that says what is wanted.
    pub(super) fn expect(
        &mut self,
        at: &IdedExpr,
        depth: usize,
        wanted: Say,
        fits: impl Fn(&Type) -> bool,
    ) -> Typed {
        let typed = self.node(at, depth + 1);
        if typed.shape.is_faulty() || fits(&typed.shape) {
            return typed;
        }
        let (en, zh) = (
            format!("what is wanted here is {}", wanted.en),
            format!("此处应为{}", wanted.zh),
        );
        let message = then_say(typed.subject(), &en, &zh);
        self.refuse("type_mismatch", at, message)
    }
}

/// A sentence and what follows from it.
pub(super) fn then_say(subject: Say, en: &str, zh: &str) -> Say {
    say(format!("{}; {en}", subject.en), format!("{}；{zh}", subject.zh))
}

fn comparison(operator: &str) -> Option<Comparison> {
    match operator {
        operators::EQUALS => Some(Comparison::Equal),
        operators::NOT_EQUALS => Some(Comparison::NotEqual),
        operators::LESS => Some(Comparison::Less),
        operators::LESS_EQUALS => Some(Comparison::LessOrEqual),
        operators::GREATER => Some(Comparison::Greater),
        operators::GREATER_EQUALS => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}

fn operation(operator: &str) -> Option<Operation> {
    match operator {
        operators::ADD => Some(Operation::Add),
        operators::SUBSTRACT => Some(Operation::Subtract),
        operators::MULTIPLY => Some(Operation::Multiply),
        operators::DIVIDE => Some(Operation::Divide),
        operators::MODULO => Some(Operation::Remainder),
        _ => None,
    }
}
