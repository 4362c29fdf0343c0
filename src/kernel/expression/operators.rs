//! The check of operators: what may be compared, calculated and chosen.
use cel::common::ast::IdedExpr;

use crate::kernel::text::say;

use super::check::{Check, Typed};
use super::tree::{Comparison, Constant, Node, Operation, Type};

impl Check<'_> {
    pub(super) fn compare(
        &mut self,
        at: &IdedExpr,
        how: Comparison,
        parts: &[IdedExpr],
        depth: usize,
    ) -> Typed {
        let [left, right] = parts else {
            return self.refuse(
                "unsupported_syntax",
                at,
                say("a comparison has two sides", "比较需要两边"),
            );
        };
        let (left, right) = (self.node(left, depth + 1), self.node(right, depth + 1));
        match (&left.shape, &right.shape) {
            (Type::Null, _) => return self.compare_with_null(at, how, right),
            (_, Type::Null) => return self.compare_with_null(at, how, left),
            _ => {}
        }
        let Some(common) = left.shape.common(&right.shape) else {
            let (told, other) = if matches!(left.node, Node::Member(_)) {
                (left, right)
            } else {
                (right, left)
            };
            let (subject, other, partners) = (told.subject(), other.shape.described(), told.shape.partners());
            let message = say(
                format!(
                    "{} and cannot be compared with {}; it can be compared with {}",
                    subject.en, other.en, partners.en
                ),
                format!("{}，不能与{}比较；可与{}比较", subject.zh, other.zh, partners.zh),
            );
            return self.refuse("type_mismatch", at, message);
        };
        let is_ordering = !matches!(how, Comparison::Equal | Comparison::NotEqual);
        if is_ordering && matches!(common, Type::Bool) {
            return self.refuse(
                "type_mismatch",
                at,
                say(
                    "true and false have no order; use == or !=",
                    "真假值没有大小；请使用 == 或 !=",
                ),
            );
        }
        self.doubt_choice(at, &left, &right.node);
        self.doubt_choice(at, &right, &left.node);
        Typed::new(Node::Compare(how, Box::new([left.node, right.node])), Type::Bool)
    }

    /// A member that has one of some values, compared with what is none of them.
    fn doubt_choice(&mut self, at: &IdedExpr, member: &Typed, literal: &Node) {
        let (Type::Choice(choices), Node::Constant(Constant::Text(text))) = (&member.shape, literal) else {
            return;
        };
        if choices.iter().any(|choice| **choice == **text) {
            return;
        }
        let allowed = choices.join(", ");
        let path = match &member.node {
            Node::Member(member) => &*member.path,
            _ => "",
        };
        let message = say(
            format!("`{path}` is never \"{text}\"; it is one of: {allowed}"),
            format!("`{path}` 不会是 \"{text}\"；可取值：{allowed}"),
        );
        self.doubt("unknown_value", at, message);
    }

    fn compare_with_null(&mut self, at: &IdedExpr, how: Comparison, other: Typed) -> Typed {
        let present = match (other.node, other.shape) {
            (_, Type::Faulty) => return Typed::faulty(),
            (Node::Member(member), _) => Node::Present(member),
            _ => {
                return self.refuse(
                    "type_mismatch",
                    at,
                    say(
                        "only a member can be compared with null",
                        "只有字段可以与 null 比较",
                    ),
                );
            }
        };
        match how {
            Comparison::Equal => Typed::new(Node::Not(Box::new(present)), Type::Bool),
            Comparison::NotEqual => Typed::new(present, Type::Bool),
            _ => self.refuse(
                "type_mismatch",
                at,
                say(
                    "null has no order; use == or !=",
                    "null 没有大小；请使用 == 或 !=",
                ),
            ),
        }
    }

    pub(super) fn calculate(
        &mut self,
        at: &IdedExpr,
        how: Operation,
        parts: &[IdedExpr],
        depth: usize,
    ) -> Typed {
        let [left, right] = parts else {
            return self.refuse(
                "unsupported_syntax",
                at,
                say("an operator has two sides", "运算符需要两边"),
            );
        };
        let left = self.expect(left, depth, say("a number", "数字"), Type::is_number);
        let right = self.expect(right, depth, say("a number", "数字"), Type::is_number);
        let shape = left.shape.common(&right.shape).unwrap_or(Type::Faulty);
        Typed::new(Node::Calculate(how, Box::new([left.node, right.node])), shape)
    }

    pub(super) fn negate(&mut self, of: &IdedExpr, depth: usize) -> Typed {
        let of = self.expect(of, depth, say("a number", "数字"), Type::is_number);
        Typed::new(Node::Negate(Box::new(of.node)), of.shape)
    }

    pub(super) fn choose(
        &mut self,
        at: &IdedExpr,
        [condition, then, otherwise]: [&IdedExpr; 3],
        depth: usize,
    ) -> Typed {
        let condition = self.boolean(condition, depth);
        let then = self.expect(then, depth, say("a single value", "单个值"), Type::is_scalar);
        let otherwise = self.expect(otherwise, depth, say("a single value", "单个值"), Type::is_scalar);
        let Some(shape) = then.shape.common(&otherwise.shape) else {
            let (one, other) = (then.shape.described(), otherwise.shape.described());
            let message = say(
                format!(
                    "both branches of `?:` must be of one kind, not {} and {}",
                    one.en, other.en
                ),
                format!("`?:` 的两个分支必须同类型，而不是{}和{}", one.zh, other.zh),
            );
            return self.refuse("type_mismatch", at, message);
        };
        Typed::new(
            Node::Choose(Box::new([condition, then.node, otherwise.node])),
            shape,
        )
    }

    pub(super) fn contained(
        &mut self,
        at: &IdedExpr,
        sought: &IdedExpr,
        list: &IdedExpr,
        depth: usize,
    ) -> Typed {
        let sought = self.expect(sought, depth, say("a single value", "单个值"), Type::is_scalar);
        let list = self.expect(
            list,
            depth,
            say("a list of single values", "单个值的列表"),
            is_list_of_scalars,
        );
        if let Type::List(of) = &list.shape
            && sought.shape.common(of).is_none()
        {
            let (subject, of) = (sought.subject(), of.described());
            let message = say(
                format!(
                    "{} and cannot be in a list of which each entry is {}",
                    subject.en, of.en
                ),
                format!("{}，不可能在每项均为{}的列表中", subject.zh, of.zh),
            );
            return self.refuse("type_mismatch", at, message);
        }
        if let Node::List(listed) = &list.node {
            listed
                .iter()
                .for_each(|entry| self.doubt_choice(at, &sought, entry));
        }
        Typed::new(Node::In(Box::new([sought.node, list.node])), Type::Bool)
    }
}

fn is_list_of_scalars(shape: &Type) -> bool {
    matches!(shape, Type::List(of) if of.is_scalar())
}
