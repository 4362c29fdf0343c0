//! The check of operators: what may be compared, calculated and chosen.
use cel::common::ast::IdedExpr;

use super::check::{Check, Typed};
use super::tree::{Comparison, Node, Operation, Type};

impl Check<'_> {
    pub(super) fn compare(
        &mut self,
        at: &IdedExpr,
        how: Comparison,
        parts: &[IdedExpr],
        depth: usize,
    ) -> Typed {
        let [left, right] = parts else {
            return self.refuse("unsupported_syntax", at, "a comparison has two sides");
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
            let message = format!(
                "{} and cannot be compared with {}; it can be compared with {}",
                told.subject(),
                other.shape.described(),
                told.shape.partners(),
            );
            return self.refuse("type_mismatch", at, message);
        };
        let is_ordering = !matches!(how, Comparison::Equal | Comparison::NotEqual);
        if is_ordering && matches!(common, Type::Bool) {
            return self.refuse(
                "type_mismatch",
                at,
                "true and false have no order; use == or !=",
            );
        }
        Typed::new(
            Node::Compare(how, Box::new([left.node, right.node])),
            Type::Bool,
        )
    }

    fn compare_with_null(&mut self, at: &IdedExpr, how: Comparison, other: Typed) -> Typed {
        let present = match (other.node, other.shape) {
            (_, Type::Faulty) => return Typed::faulty(),
            (Node::Member(member), _) => Node::Present(member),
            _ => {
                return self.refuse(
                    "type_mismatch",
                    at,
                    "only a member can be compared with null",
                );
            }
        };
        match how {
            Comparison::Equal => Typed::new(Node::Not(Box::new(present)), Type::Bool),
            Comparison::NotEqual => Typed::new(present, Type::Bool),
            _ => self.refuse("type_mismatch", at, "null has no order; use == or !="),
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
            return self.refuse("unsupported_syntax", at, "an operator has two sides");
        };
        let left = self.expect(left, depth, "a number", Type::is_number);
        let right = self.expect(right, depth, "a number", Type::is_number);
        let shape = left.shape.common(&right.shape).unwrap_or(Type::Faulty);
        Typed::new(
            Node::Calculate(how, Box::new([left.node, right.node])),
            shape,
        )
    }

    pub(super) fn negate(&mut self, of: &IdedExpr, depth: usize) -> Typed {
        let of = self.expect(of, depth, "a number", Type::is_number);
        Typed::new(Node::Negate(Box::new(of.node)), of.shape)
    }

    pub(super) fn choose(
        &mut self,
        at: &IdedExpr,
        [condition, then, otherwise]: [&IdedExpr; 3],
        depth: usize,
    ) -> Typed {
        let condition = self.boolean(condition, depth);
        let then = self.expect(then, depth, "a single value", Type::is_scalar);
        let otherwise = self.expect(otherwise, depth, "a single value", Type::is_scalar);
        let Some(shape) = then.shape.common(&otherwise.shape) else {
            let message = format!(
                "both branches of `?:` must be of one kind, not {} and {}",
                then.shape.described(),
                otherwise.shape.described(),
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
        let sought = self.expect(sought, depth, "a single value", Type::is_scalar);
        let list = self.expect(list, depth, "a list of single values", is_list_of_scalars);
        if let Type::List(of) = &list.shape
            && sought.shape.common(of).is_none()
        {
            let message = format!(
                "{} and cannot be in a list of which each entry is {}",
                sought.subject(),
                of.described()
            );
            return self.refuse("type_mismatch", at, message);
        }
        Typed::new(Node::In(Box::new([sought.node, list.node])), Type::Bool)
    }
}

fn is_list_of_scalars(shape: &Type) -> bool {
    matches!(shape, Type::List(of) if of.is_scalar())
}
