//! Flat filters over the company's own fields: `custom.KEY`, and `_min`, `_max`, `_after`, `_before` behind it.

use super::parameters::unknown_parameter;
use crate::kernel::fault::Fault;
use crate::platform::records::spec::Resource;
use crate::platform::records::tree::{self, Terms, Tree};
use serde_json::{Value, json};

/// The parameters of one request, as they are read.
pub(super) struct OwnFields<'a> {
    terms: &'a Terms<'a>,
    resource: &'static Resource,
    /// The values of each field asked for by equality.
    equal: Vec<(String, Vec<Value>)>,
}

/// The tail of a parameter and what it asks, with the kinds of fields that it fits.
const TAILS: [(&str, &str, &[&str]); 4] = [
    ("_min", "gte", &["number", "money"]),
    ("_max", "lte", &["number", "money"]),
    ("_after", "gt", &["date"]),
    ("_before", "lt", &["date"]),
];

impl<'a> OwnFields<'a> {
    pub(super) fn new(terms: &'a Terms<'a>, resource: &'static Resource) -> OwnFields<'a> {
        OwnFields {
            terms,
            resource,
            equal: Vec::new(),
        }
    }

    /// Reads one parameter. Equality waits for [`OwnFields::finish`], since it may be repeated.
    pub(super) fn read(&mut self, name: &str, value: String, faults: &mut Vec<Fault>) -> Option<Tree> {
        let key = name.strip_prefix("custom.").unwrap_or(name);
        let find = |key: &str| self.terms.fields.find(self.resource.singular, key);
        if find(key).is_some() {
            match self.equal.iter_mut().find(|(known, _)| known == key) {
                Some((_, values)) => values.push(Value::from(value)),
                None => self.equal.push((key.to_owned(), vec![Value::from(value)])),
            }
            return None;
        }
        let ranged = TAILS.iter().find_map(|(tail, operator, kinds)| {
            let key = key.strip_suffix(tail)?;
            let field = find(key)?;
            kinds.contains(&field.kind.as_str()).then_some((key, *operator))
        });
        let Some((key, operator)) = ranged else {
            faults.push(unknown_parameter(name, &super::parameter_names(self.resource)));
            return None;
        };
        Some(self.tree(key, operator, Value::from(value), name, faults))
    }

    /// The equalities, each with all its values.
    pub(super) fn finish(self, faults: &mut Vec<Fault>) -> Vec<Tree> {
        let equal = self.equal.iter().map(|(key, values)| {
            let name = format!("custom.{key}");
            self.tree(key, "in", Value::from(values.clone()), &name, faults)
        });
        equal.collect()
    }

    fn tree(&self, key: &str, operator: &str, value: Value, name: &str, faults: &mut Vec<Fault>) -> Tree {
        let test = json!({ "member": format!("custom.{key}"), (operator): value });
        let mut found = Vec::new();
        let tree = tree::read(self.terms, self.resource, &test, "", &mut found);
        faults.extend(found.into_iter().map(|fault| Fault {
            pointer: format!("?{name}"),
            ..fault
        }));
        tree
    }
}
