//! What a member of a resource is, and the kinds there are of them.

use super::Resource;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Email,
    /// Kept as typed; `{name}_e164` holds the normal form where the resource has such a member.
    Phone,
    /// `[a-z][a-z0-9_]*`.
    Key,
    Id,
    Int,
    Bool,
    Day,
    Instant,
    /// An amount in the record's own `currency` member.
    Money,
    Currency,
    /// A decimal number with at most this many places.
    Decimal(u32),
    /// A share from 0 to 1, four places.
    Share,
    Choice,
    /// A set of short texts.
    Tags,
    /// Custom values by field definition.
    Custom,
    /// Free JSON of a form given by `schema`.
    Json,
}

/// A table beside a resource's own, with a row `b` for a record or none. However many members stand there, a record's
/// document looks there once.
pub struct Beside {
    pub table: &'static str,
    /// Its column that names the record.
    pub key: &'static str,
}

impl Beside {
    /// What puts the row `b`, empty where there is none, beside the record's row `t`.
    pub fn joined(&self) -> String {
        format!(
            "FROM (SELECT) o LEFT JOIN {} b ON b.tenant_id = t.tenant_id AND b.{} = t.id",
            self.table, self.key
        )
    }
}

/// One member of a resource. Built by the `const` methods below.
#[derive(Clone, Copy)]
pub struct Member {
    pub name: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
    /// An example as JSON text.
    pub example: &'static str,
    pub is_required: bool,
    pub is_read_only: bool,
    /// Can be set when the record is made, not later.
    pub is_fixed: bool,
    /// Value when it is not given, as JSON text; the column is then NOT NULL.
    pub default: Option<&'static str>,
    pub most: i64,
    pub least: i64,
    pub choices: &'static [&'static str],
    pub is_filter: bool,
    pub is_range: bool,
    pub is_search: bool,
    pub is_sort: bool,
    /// The permission without which it is neither shown nor set.
    pub sensitive: Option<&'static str>,
    pub refers: Option<&'static Resource>,
    /// Under what `expand` embeds what it refers to, where its own name without `_id` is another member's.
    pub embed_as: Option<&'static str>,
    /// For what is computed: its SQL over `t`.
    pub sql: Option<&'static str>,
    /// For an id that is computed: SQL of the ids of the records that have one of some values, up to these. Lists are filtered
    /// by it through an index then.
    pub found_in: Option<&'static str>,
    /// The table beside the record's own over whose row `b` its `sql` is.
    pub beside: Option<&'static Beside>,
    /// Whether it is kept there; the resource's hooks write it.
    pub is_kept_beside: bool,
    /// Whether filter trees and expressions of gates ask it only, and the record does not show it.
    pub is_asked_only: bool,
    /// For `Kind::Json`: its JSON Schema as text.
    pub schema: Option<&'static str>,
    /// Sent with a write for the hooks to read; never stored, never shown.
    pub is_instruction: bool,
    /// Of an instruction: whether the restoring of a record takes it too.
    pub is_for_restore: bool,
    /// Of an instruction: the value with which the resource's hooks take the amounts that stay into a new currency.
    pub converts_money: Option<&'static str>,
}

const BLANK: Member = Member {
    name: "",
    kind: Kind::Text,
    doc: "",
    example: "null",
    is_required: false,
    is_read_only: false,
    is_fixed: false,
    default: None,
    most: 0,
    least: 0,
    choices: &[],
    is_filter: false,
    is_range: false,
    is_search: false,
    is_sort: false,
    sensitive: None,
    refers: None,
    embed_as: None,
    sql: None,
    found_in: None,
    beside: None,
    is_kept_beside: false,
    is_asked_only: false,
    schema: None,
    is_instruction: false,
    is_for_restore: false,
    converts_money: None,
};

impl Member {
    pub const fn text(name: &'static str, most: i64, doc: &'static str, example: &'static str) -> Member {
        Member {
            name,
            most,
            doc,
            example,
            ..BLANK
        }
    }

    pub const fn email(name: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Email,
            most: 254,
            doc,
            example: "\"zhang@example.com\"",
            ..BLANK
        }
    }

    pub const fn phone(name: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Phone,
            most: 50,
            doc,
            example: "\"+86 138 0013 8000\"",
            ..BLANK
        }
    }

    pub const fn key(name: &'static str, doc: &'static str, example: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Key,
            most: 60,
            doc,
            example,
            ..BLANK
        }
    }

    pub const fn id(name: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Id,
            doc,
            example: "\"0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a\"",
            is_filter: true,
            ..BLANK
        }
    }

    pub const fn to(name: &'static str, refers: &'static Resource, doc: &'static str) -> Member {
        Member {
            refers: Some(refers),
            ..Member::id(name, doc)
        }
    }

    pub const fn int(
        name: &'static str,
        least: i64,
        most: i64,
        doc: &'static str,
        example: &'static str,
    ) -> Member {
        Member {
            name,
            kind: Kind::Int,
            least,
            most,
            doc,
            example,
            is_range: true,
            ..BLANK
        }
    }

    pub const fn flag(name: &'static str, default: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Bool,
            default: Some(default),
            doc,
            example: default,
            is_filter: true,
            ..BLANK
        }
    }

    pub const fn day(name: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Day,
            doc,
            example: "\"2024-03-15\"",
            is_range: true,
            ..BLANK
        }
    }

    pub const fn instant(name: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Instant,
            doc,
            example: "\"2024-03-15T08:30:00Z\"",
            is_range: true,
            ..BLANK
        }
    }

    pub const fn money(name: &'static str, doc: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Money,
            doc,
            example: "\"220000.00\"",
            is_range: true,
            ..BLANK
        }
    }

    pub const fn currency(doc: &'static str) -> Member {
        Member {
            name: "currency",
            kind: Kind::Currency,
            doc,
            example: "\"CNY\"",
            is_filter: true,
            ..BLANK
        }
    }

    pub const fn decimal(
        name: &'static str,
        places: u32,
        doc: &'static str,
        example: &'static str,
    ) -> Member {
        Member {
            name,
            kind: Kind::Decimal(places),
            doc,
            example,
            is_range: true,
            ..BLANK
        }
    }

    /// For a decimal that may be below zero.
    pub const fn signed(self) -> Member {
        Member {
            least: i64::MIN,
            ..self
        }
    }

    /// For a reference: under what `expand` embeds it.
    pub const fn embedded_as(self, name: &'static str) -> Member {
        Member {
            embed_as: Some(name),
            ..self
        }
    }

    pub const fn share(name: &'static str, doc: &'static str, example: &'static str) -> Member {
        Member {
            name,
            kind: Kind::Share,
            doc,
            example,
            ..BLANK
        }
    }

    pub const fn choice(
        name: &'static str,
        choices: &'static [&'static str],
        doc: &'static str,
        example: &'static str,
    ) -> Member {
        Member {
            name,
            kind: Kind::Choice,
            choices,
            doc,
            example,
            is_filter: true,
            ..BLANK
        }
    }

    pub const fn tags() -> Member {
        Member {
            name: "tags",
            kind: Kind::Tags,
            default: Some("[]"),
            doc: "Tags, each once.",
            example: "[\"vip\"]",
            ..BLANK
        }
    }

    pub const fn custom() -> Member {
        Member {
            name: "custom",
            kind: Kind::Custom,
            default: Some("{}"),
            doc: "The company's own fields, keyed by the field's key.",
            example: "{}",
            ..BLANK
        }
    }

    pub const fn json(
        name: &'static str,
        default: &'static str,
        schema: &'static str,
        doc: &'static str,
        example: &'static str,
    ) -> Member {
        Member {
            name,
            kind: Kind::Json,
            default: Some(default),
            schema: Some(schema),
            doc,
            example,
            ..BLANK
        }
    }

    /// Whether it is JSON that maps names of the caller's choice.
    pub fn is_map(&self) -> bool {
        let schema = self
            .schema
            .and_then(|schema| serde_json::from_str::<Value>(schema).ok());
        schema.is_some_and(|schema| schema["additionalProperties"].is_object())
    }

    /// Of an instruction: with this value, amounts that stay are taken into a new currency.
    pub const fn converting_money(self, value: &'static str) -> Member {
        Member {
            converts_money: Some(value),
            ..self
        }
    }

    /// What a write is told besides the record's members: hooks find it in `Change::after`.
    pub const fn instruction(self) -> Member {
        Member {
            is_instruction: true,
            default: None,
            ..self
        }
    }

    /// Of an instruction: the restoring of a record takes it too.
    pub const fn for_restore(self) -> Member {
        Member {
            is_for_restore: true,
            ..self
        }
    }

    pub const fn required(self) -> Member {
        Member {
            is_required: true,
            ..self
        }
    }

    pub const fn read_only(self) -> Member {
        Member {
            is_read_only: true,
            ..self
        }
    }

    pub const fn fixed(self) -> Member {
        Member {
            is_fixed: true,
            ..self
        }
    }

    pub const fn or(self, default: &'static str) -> Member {
        Member {
            default: Some(default),
            ..self
        }
    }

    pub const fn filter(self) -> Member {
        Member {
            is_filter: true,
            ..self
        }
    }

    pub const fn search(self) -> Member {
        Member {
            is_search: true,
            ..self
        }
    }

    pub const fn sort(self) -> Member {
        Member {
            is_sort: true,
            ..self
        }
    }

    pub const fn sensitive(self, permission: &'static str) -> Member {
        Member {
            sensitive: Some(permission),
            ..self
        }
    }

    /// Computed by the database over `t`; never written. Lists are filtered by it where `filter` follows.
    pub const fn computed(self, sql: &'static str) -> Member {
        Member {
            sql: Some(sql),
            is_read_only: true,
            is_filter: false,
            is_range: false,
            ..self
        }
    }

    /// For an id that is computed: lists are filtered by it, through what this SQL finds.
    pub const fn found_in(self, sql: &'static str) -> Member {
        Member {
            found_in: Some(sql),
            is_filter: true,
            ..self
        }
    }

    /// Kept in a table beside the record's own, as this SQL over its row `b` says. Events tell of it and merging takes it along
    /// as of what stands in a column; the hook `before` writes it, before the record's row is written.
    pub const fn kept_beside(self, table: &'static Beside, sql: &'static str) -> Member {
        Member {
            sql: Some(sql),
            beside: Some(table),
            is_kept_beside: true,
            ..self
        }
    }

    /// Computed by the database over the row `b` of a table beside the record's own.
    pub const fn computed_beside(self, table: &'static Beside, sql: &'static str) -> Member {
        Member {
            beside: Some(table),
            ..self.computed(sql)
        }
    }

    /// For what is computed: asked by filter trees and expressions of gates, not shown.
    pub const fn asked_only(self) -> Member {
        Member {
            is_asked_only: true,
            ..self
        }
    }

    /// Its SQL over the row `t`.
    pub fn expression(&self) -> String {
        match (self.sql, self.beside) {
            (Some(sql), Some(beside)) => format!("(SELECT {sql} {})", beside.joined()),
            (Some(sql), None) => format!("({sql})"),
            (None, _) => format!("t.{}", self.name),
        }
    }

    /// Whether it refers to somebody who uses this service, so that `me` is a value to look for.
    pub fn is_user(&self) -> bool {
        self.refers.is_some_and(|target| target.singular == "user")
    }

    /// Whether `null` is a value of it.
    pub fn is_nullable(&self) -> bool {
        !self.is_required && self.default.is_none()
    }
}
