//! How a file is to be read: which column says what. Pure.

use super::options::{ImportMode, ImportOptions};
use super::targets::EXTERNAL_ID;
use super::words::{OwnField, meaning, recognise};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::records::custom::Definition;

/// Most columns that are told to say nothing.
const MOST_IGNORED: usize = 100;

/// A column and what it says.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) heading: String,
    pub(super) target: String,
}

/// Options laid out over a file's headings.
#[derive(Debug, Clone)]
pub struct Plan {
    pub options: ImportOptions,
    pub(super) columns: Vec<Column>,
    pub(super) definitions: Vec<Definition>,
}

impl Plan {
    /// Lays out options over headings; all that is wrong with them at once.
    pub fn new(
        options: ImportOptions,
        headings: &[String],
        definitions: Vec<Definition>,
    ) -> (Plan, Vec<Fault>) {
        let mut faults = Vec::new();
        let fields = OwnField::all(&definitions);
        let mut columns: Vec<Column> = Vec::new();
        for heading in headings {
            let target = match options.mapping.get(heading) {
                Some(named) => named.clone(),
                None => recognise(options.resource, heading, &fields)
                    .filter(|target| !options.mapping.values().flatten().any(|named| named == target))
                    .filter(|target| !columns.iter().any(|column| column.target == *target)),
            };
            if let Some(target) = target {
                columns.push(Column {
                    heading: heading.clone(),
                    target,
                });
            }
        }
        let plan = Plan {
            options,
            columns,
            definitions,
        };
        plan.check(headings, &mut faults);
        (plan, faults)
    }

    fn check(&self, headings: &[String], faults: &mut Vec<Fault>) {
        let unknown = |pointer: String| {
            Fault::new(
                pointer,
                "unknown_value",
                say("is no heading of the file", "不是文件中的表头"),
            )
        };
        for heading in self
            .options
            .mapping
            .keys()
            .filter(|name| !headings.contains(name))
        {
            faults.push(unknown(format!("/mapping/{heading}")));
        }
        for heading in self.options.values.keys().filter(|name| !headings.contains(name)) {
            faults.push(unknown(format!("/values/{heading}")));
        }
        let mapped = self.options.mapping.iter();
        let mapped =
            mapped.filter_map(|(heading, target)| Some((format!("/mapping/{heading}"), target.as_ref()?)));
        let defaults = self
            .options
            .defaults
            .keys()
            .map(|target| (format!("/defaults/{target}"), target));
        for (pointer, target) in mapped.chain(defaults) {
            if !self.is_target(target) {
                faults.push(Fault::new(
                    pointer,
                    "unknown_value",
                    say(
                        format!("{target} is nothing that can be imported"),
                        format!("{target} 不可导入"),
                    ),
                ));
            }
        }
        for (index, column) in self.columns.iter().enumerate() {
            let is_twice = self
                .columns
                .iter()
                .take(index)
                .any(|other| other.target == column.target);
            if is_twice {
                faults.push(Fault::duplicate(format!("/mapping/{}", column.heading)));
            }
        }
        let has_ids = self.has(EXTERNAL_ID);
        if has_ids && self.options.system.is_none() {
            faults.push(Fault::required("/system"));
        }
        if self.options.mode == ImportMode::Upsert && !has_ids {
            faults.push(Fault::new(
                "/mode",
                "required",
                say(
                    "needs a column that is the external_id",
                    "需要一列作为 external_id",
                ),
            ));
        }
        if self.options.mode == ImportMode::Upsert && has_ids && self.options.system.is_some() {
            // Rows whose id is known may change a single column; those that make a record are refused one by one.
            return;
        }
        let required = self.options.resource.resource().columns();
        for member in required.filter(|member| member.is_required && member.default.is_none()) {
            if !self.has(member.name) {
                faults.push(Fault::required(format!("/mapping/{}", member.name)));
            }
        }
    }

    fn is_target(&self, target: &str) -> bool {
        match target.strip_prefix("custom.") {
            Some(key) => self.definitions.iter().any(|field| field.key == key),
            None => self.options.resource.targets().contains(&target),
        }
    }

    /// Whether something is said by a column or a default.
    pub fn has(&self, target: &str) -> bool {
        self.columns.iter().any(|column| column.target == target)
            || self.options.defaults.contains_key(target)
    }

    /// What a heading says.
    pub fn target(&self, heading: &str) -> Option<&str> {
        let column = self.columns.iter().find(|column| column.heading == heading);
        column.map(|column| column.target.as_str())
    }

    /// What else a heading could say that no mapping names.
    pub fn alternatives(&self, heading: &str) -> Vec<String> {
        if self.options.mapping.contains_key(heading) {
            return Vec::new();
        }
        let fields = OwnField::all(&self.definitions);
        let meaning = meaning(self.options.resource, heading, &fields);
        let others = meaning.target.into_iter().chain(meaning.alternatives);
        others
            .filter(|other| self.target(heading) != Some(other.as_str()))
            .collect()
    }

    /// Headings that say nothing, though nobody left them out: the first hundred, each shortened.
    pub fn ignored(&self, headings: &[String]) -> Vec<String> {
        let is_ignored = |heading: &&String| {
            self.target(heading).is_none() && !self.options.mapping.contains_key(*heading)
        };
        let ignored = headings.iter().filter(is_ignored).take(MOST_IGNORED);
        ignored.map(|name| name.chars().take(200).collect()).collect()
    }

    /// The heading under which a target stands.
    pub fn heading(&self, target: &str) -> Option<&str> {
        let column = self.columns.iter().find(|column| column.target == target);
        column.map(|column| column.heading.as_str())
    }
}
