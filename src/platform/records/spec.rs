//! What a resource is: its table, who may see it, its members and hooks.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppResult, Refusal};
use crate::kernel::fault::Warning;
use crate::platform::db::Tx;
use diesel_async::AsyncPgConnection;
use futures::future::LocalBoxFuture;
use serde_json::{Map, Value};
use std::collections::HashMap;
use uuid::Uuid;

pub use super::member::{Beside, Kind, Member};

/// A resource as it is declared.
pub struct Resource {
    /// `account`: names events, timelines, and `expand`.
    pub singular: &'static str,
    /// `accounts`: the path segment.
    pub plural: &'static str,
    pub table: &'static str,
    /// The document's tag.
    pub tag: &'static str,
    /// What it is, in a sentence for the document.
    pub about: &'static str,
    /// `account`: prefix of `.read` and `.write`.
    pub permission: &'static str,
    pub access: Access,
    pub verbs: Verbs,
    pub members: &'static [Member],
    /// Sort keys besides the members marked sortable; the first entry is the default order, e.g. `-created_at`.
    pub default_sort: &'static str,
    pub hooks: Hooks,
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.singular)
    }
}

/// Who sees a record.
#[derive(Clone, Copy)]
pub enum Access {
    /// By `owner_id` and participants. `assign`: the permission that giving it to somebody else needs; `unowned`: the one
    /// that giving it to somebody needs while nobody owns it. `within`: the owned record that it belongs to; who owns that
    /// one or takes part in it has the same here.
    Owned {
        assign: &'static str,
        unowned: &'static str,
        within: Option<Within>,
    },
    /// Like its parent, named by this column; `closed_sql` over the parent `p` says when its parts no longer change.
    Part {
        parent: &'static Resource,
        key: &'static str,
        closed_sql: Option<&'static str>,
    },
    /// By its owner; by others as its `sharing` says: `nobody`, the owner's `team`, or `all`. Its owner changes it, and what
    /// is shared also whoever's write permission reaches the owner.
    Personal,
    /// Configuration: everybody in the company with the read permission.
    Shared,
    /// Rows of other resources, shown in another way to everybody with the read permission: a view, of whose rows no events
    /// of their own tell.
    Derived,
}

/// The record that one belongs to, and the column that names it.
#[derive(Clone, Copy)]
pub struct Within {
    pub record: &'static Resource,
    pub key: &'static str,
}

/// Which writes a resource has; all can be listed and read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verbs {
    pub create: bool,
    pub update: bool,
    pub archive: bool,
}

impl Verbs {
    pub const ALL: Verbs = Verbs {
        create: true,
        update: true,
        archive: true,
    };
    pub const READ: Verbs = Verbs {
        create: false,
        update: false,
        archive: false,
    };
    /// Created by a command of its own, else plain.
    pub const NO_CREATE: Verbs = Verbs {
        create: false,
        update: true,
        archive: true,
    };
}

pub type Prepare = for<'a> fn(&'a mut Tx, &'a Ctx, &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>>;

/// Whether records that are made together may be made, each for itself, in their order.
pub type Verdicts = Vec<Result<(), Box<Refusal>>>;

pub type PrepareMany =
    for<'a> fn(&'a mut Tx, &'a Ctx, &'a mut [Change]) -> LocalBoxFuture<'a, AppResult<Verdicts>>;

pub type FollowMany = for<'a> fn(&'a mut Tx, &'a Ctx, &'a mut [Change]) -> LocalBoxFuture<'a, AppResult<()>>;

/// Answers the members that it gave other values, by record.
pub type Together =
    for<'a> fn(&'a mut Tx, &'a Ctx) -> LocalBoxFuture<'a, AppResult<HashMap<Uuid, Map<String, Value>>>>;

/// What is particular to a resource. All run in the transaction, the record (and its parent) locked.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Before the row is written: normalise, default, check across records.
    pub before: Option<Prepare>,
    /// After the row is written.
    pub after: Option<Prepare>,
    /// `before` for records that are made together, in a number of statements that does not grow with theirs. None: one by
    /// one.
    pub before_many: Option<PrepareMany>,
    /// `after`, likewise.
    pub after_many: Option<FollowMany>,
    /// After several rows were written by one command: what their own hooks left for later, since it is done for all
    /// together.
    pub together: Option<Together>,
    /// What `expand` embeds on reading one record, besides its relations.
    pub embeds: &'static [Embed],
    /// Its parts, which `expand` embeds likewise, each as the first page of their list. Asked for, since parts name their
    /// parent and a constant cannot name itself.
    pub parts: fn() -> &'static [&'static Resource],
}

/// Something found out about one record, that its reader can ask for with it.
pub struct Embed {
    /// Its name in `expand` and in the record.
    pub name: &'static str,
    pub about: &'static str,
    /// The component schema of its form.
    pub schema: &'static str,
    /// Finds it out for a record that the caller may see.
    pub load: for<'a> fn(&'a mut &AsyncPgConnection, &'a Ctx, Uuid) -> LocalBoxFuture<'a, AppResult<Value>>,
}

impl Hooks {
    pub const NONE: Hooks = Hooks {
        before: None,
        after: None,
        before_many: None,
        after_many: None,
        together: None,
        embeds: &[],
        parts: || &[],
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Create,
    Update,
    Archive,
    Restore,
}

/// One write on its way to the table.
pub struct Change {
    pub act: Act,
    /// What the event calls it, when a command does more than change members: `assigned`.
    pub verb: Option<&'static str>,
    pub id: Uuid,
    pub parent: Option<Uuid>,
    /// Names of the members that the caller sent, changed or not; of a new record only those that say something.
    pub sent: Vec<String>,
    /// The record as it was, in wire form; empty on create.
    pub before: Map<String, Value>,
    /// The record as it will be, in wire form. Hooks may change it.
    pub after: Map<String, Value>,
    pub warnings: Vec<Warning>,
    /// Further timelines that the event belongs on.
    pub also: Vec<(&'static str, Uuid)>,
}

impl Change {
    pub fn text(&self, member: &str) -> Option<&str> {
        self.after.get(member).and_then(Value::as_str)
    }

    /// Whether the caller named the member, be it with its present value.
    pub fn was_sent(&self, member: &str) -> bool {
        self.sent.iter().any(|name| name == member)
    }

    pub fn id_of(&self, member: &str) -> Option<Uuid> {
        self.text(member).and_then(|text| Uuid::parse_str(text).ok())
    }

    pub fn changed(&self, member: &str) -> bool {
        self.before.get(member).unwrap_or(&Value::Null) != self.after.get(member).unwrap_or(&Value::Null)
    }
}

impl Resource {
    pub fn member(&self, name: &str) -> Option<&'static Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Members that stand in a column of the table.
    pub fn columns(&self) -> impl Iterator<Item = &'static Member> + use<> {
        self.members
            .iter()
            .filter(|member| member.sql.is_none() && !member.is_instruction)
    }

    /// Members that the record keeps: in its table, or beside it.
    pub fn kept(&self) -> impl Iterator<Item = &'static Member> + use<> {
        self.members
            .iter()
            .filter(|member| (member.sql.is_none() || member.is_kept_beside) && !member.is_instruction)
    }

    /// What a write may be told besides the record's members.
    pub fn instructions(&self) -> impl Iterator<Item = &'static Member> + use<> {
        self.members.iter().filter(|member| member.is_instruction)
    }

    /// What the restoring of a record may be told.
    pub fn restore_instructions(&self) -> impl Iterator<Item = &'static Member> + use<> {
        self.instructions().filter(|member| member.is_for_restore)
    }

    /// Whether restoring a record takes a body.
    pub fn is_restore_told(&self) -> bool {
        self.restore_instructions().next().is_some()
    }

    /// As what `expand` embeds its list in its parent.
    pub fn embedded_name(&self) -> String {
        self.plural.replace('-', "_")
    }

    pub fn is_owned(&self) -> bool {
        matches!(self.access, Access::Owned { .. })
    }

    /// The record that one of these belongs to, and is seen with.
    pub fn within(&self) -> Option<Within> {
        match self.access {
            Access::Owned { within, .. } => within,
            _ => None,
        }
    }

    /// Whether records can be archived.
    pub fn has_archive(&self) -> bool {
        self.verbs.archive
    }

    /// Whether anything of it is written by plain requests.
    pub fn has_writes(&self) -> bool {
        self.verbs.create || self.verbs.update || self.verbs.archive
    }

    /// The plural noun in the document's words: `need analyses`.
    pub fn words(&self) -> String {
        self.plural.replace(['-', '/'], " ")
    }

    /// The singular noun in the document's words.
    pub fn word(&self) -> String {
        self.singular.replace('_', " ")
    }

    /// `NeedAnalysis`.
    pub fn schema_name(&self) -> String {
        self.singular
            .split('_')
            .map(|part| part[..1].to_uppercase() + &part[1..])
            .collect()
    }

    pub fn read_permission(&self) -> String {
        format!("{}.read", self.permission)
    }

    pub fn write_permission(&self) -> String {
        format!("{}.write", self.permission)
    }
}
