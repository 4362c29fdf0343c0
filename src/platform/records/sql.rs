//! SQL put together from declarations and bound values. No caller's text ever becomes SQL: what is appended is `'static`
//! or derived from a declaration.

pub use super::rendering::{STANDING, document, whole_document, whole_json};
use super::spec::{Access, Resource, Within};
use crate::kernel::ctx::{Ctx, Reach};
use crate::platform::db::Cached;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::query_builder::BoxedSqlQuery;
use diesel::sql_types::{
    Array, BigInt, Bool, Date, Integer, Jsonb, Numeric, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{QueryableByName, sql_query};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

/// A bound value.
#[derive(Debug, Clone, PartialEq)]
pub enum Bind {
    Id(Uuid),
    Ids(Vec<Uuid>),
    Text(String),
    Texts(Vec<String>),
    Int(i32),
    Long(i64),
    Flag(bool),
    Number(Decimal),
    Day(NaiveDate),
    Instant(DateTime<Utc>),
    Json(Value),
}

/// A statement in the making.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sql {
    pub text: String,
    binds: Vec<Bind>,
}

impl Sql {
    /// Starts a statement whose `$1` is the tenant.
    pub fn of(tenant: Uuid) -> Sql {
        Sql {
            text: String::new(),
            binds: vec![Bind::Id(tenant)],
        }
    }

    pub fn push(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Appends a placeholder for a value.
    pub fn bind(&mut self, value: Bind) -> &mut Sql {
        let place = self.place(value);
        self.text.push_str(&place);
        self
    }

    /// Reserves a placeholder without appending it.
    pub fn place(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    /// Puts ids in the last placeholder.
    #[must_use]
    pub fn with_last(mut self, ids: Vec<Uuid>) -> Sql {
        if let Some(last) = self.binds.last_mut() {
            *last = Bind::Ids(ids);
        }
        self
    }

    /// The statement, prepared once a connection: for SQL of bounded variety.
    pub fn query(self) -> Cached<BoxedSqlQuery<'static, Pg, diesel::query_builder::SqlQuery>> {
        Cached(self.once())
    }

    /// The statement, prepared for this one time: for SQL whose form callers shape.
    pub fn once(self) -> BoxedSqlQuery<'static, Pg, diesel::query_builder::SqlQuery> {
        let mut query = sql_query(self.text).into_boxed::<Pg>();
        for bind in self.binds {
            query = match bind {
                Bind::Id(value) => query.bind::<SqlUuid, _>(value),
                Bind::Ids(value) => query.bind::<Array<SqlUuid>, _>(value),
                Bind::Text(value) => query.bind::<Text, _>(value),
                Bind::Texts(value) => query.bind::<Array<Text>, _>(value),
                Bind::Int(value) => query.bind::<Integer, _>(value),
                Bind::Long(value) => query.bind::<BigInt, _>(value),
                Bind::Flag(value) => query.bind::<Bool, _>(value),
                Bind::Number(value) => query.bind::<Numeric, _>(value),
                Bind::Day(value) => query.bind::<Date, _>(value),
                Bind::Instant(value) => query.bind::<Timestamptz, _>(value),
                Bind::Json(value) => query.bind::<Jsonb, _>(value),
            };
        }
        query
    }
}

/// A record as the database renders it.
#[derive(Clone, QueryableByName)]
pub struct DocRow {
    #[diesel(sql_type = Text)]
    pub doc: String,
    #[diesel(sql_type = Integer)]
    pub version: i32,
}

/// Whether something is hidden from this caller.
pub fn is_masked(resource: &Resource, ctx: &Ctx) -> bool {
    resource
        .members
        .iter()
        .any(|member| member.sensitive.is_some_and(|permission| !ctx.holds(permission)))
}

/// What the caller wants to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    Read,
    Write,
}

/// The condition, over alias `alias`, under which the caller may do this with a record: the one place where data scopes
/// become SQL.
pub fn scope(sql: &mut Sql, resource: &Resource, alias: &str, ctx: &Ctx, intent: Intent) -> String {
    let permission = match intent {
        Intent::Read => resource.read_permission(),
        Intent::Write => resource.write_permission(),
    };
    scope_for(sql, resource, alias, ctx, &permission, intent)
}

/// Like `scope`, for an action with a permission of its own (`opportunity.advance`); participants count only for reading
/// and plain writing.
pub fn action_scope(sql: &mut Sql, resource: &Resource, alias: &str, ctx: &Ctx, permission: &str) -> String {
    match (resource.access, ctx.reach(permission)) {
        (_, Reach::Nobody) => String::from("FALSE"),
        (Access::Owned { .. }, Reach::Owners(owners)) => {
            let owners = sql.place(Bind::Ids(owners.to_vec()));
            format!("{alias}.owner_id = ANY({owners})")
        }
        _ => String::from("TRUE"),
    }
}

fn scope_for(
    sql: &mut Sql,
    resource: &Resource,
    alias: &str,
    ctx: &Ctx,
    permission: &str,
    intent: Intent,
) -> String {
    let reach = ctx.reach(permission);
    match resource.access {
        Access::Part { parent, key, .. } => {
            let within = scope_for(sql, parent, "p", ctx, permission, intent);
            let table = parent.table;
            format!(
                "EXISTS (SELECT 1 FROM {table} p WHERE p.tenant_id = $1 AND p.id = {alias}.{key} AND {within})"
            )
        }
        Access::Shared | Access::Derived => {
            String::from(if reach == Reach::Nobody { "FALSE" } else { "TRUE" })
        }
        Access::Personal => personal(sql, alias, ctx, reach, intent),
        Access::Owned { .. } => match reach {
            Reach::Nobody => String::from("FALSE"),
            Reach::All => String::from("TRUE"),
            Reach::Owners(owners) => {
                let owners = sql.place(Bind::Ids(owners.to_vec()));
                let takes_part = participation(sql, resource, alias, ctx, intent);
                let inside = inside(sql, resource, alias, ctx, &owners, intent);
                format!("({alias}.owner_id = ANY({owners}) OR {takes_part}{inside})")
            }
        },
    }
}

/// Or whether it belongs to a record that one of these owns or that the caller takes part in.
fn inside(
    sql: &mut Sql,
    resource: &Resource,
    alias: &str,
    ctx: &Ctx,
    owners: &str,
    intent: Intent,
) -> String {
    let Some(within) = resource.within() else {
        return String::new();
    };
    let takes_part = participation(sql, within.record, "w", ctx, intent);
    let (table, key) = (within.record.table, within.key);
    format!(
        " OR EXISTS (SELECT 1 FROM {table} w WHERE w.tenant_id = $1 AND w.id = {alias}.{key} \
         AND (w.owner_id = ANY({owners}) OR {takes_part}))"
    )
}

/// An array of the records that a reader's records belong to: those that one of these owns, and those that the reader takes
/// part in. An array, so that each is looked for by its index, however large a plan thinks the table is.
pub fn holders(within: Within, owners: &str, user: &str) -> String {
    let Resource { table, singular, .. } = within.record;
    format!(
        "ARRAY(SELECT w.id FROM {table} w WHERE w.tenant_id = $1 AND w.owner_id = ANY({owners}::uuid[]) \
         UNION SELECT pt.record_id FROM participants pt WHERE pt.tenant_id = $1 AND pt.user_id = {user} AND pt.record_kind = '{singular}')"
    )
}

/// One's own; to read, also what is shared with one; to change, also what is shared and whose owner one's permission
/// reaches.
fn personal(sql: &mut Sql, alias: &str, ctx: &Ctx, reach: Reach<'_>, intent: Intent) -> String {
    if reach == Reach::Nobody {
        return String::from("FALSE");
    }
    let user = sql.place(Bind::Id(ctx.user));
    let others = match (intent, reach) {
        (Intent::Read, _) => {
            let team = sql.place(Bind::Ids(ctx.principal.team_users.clone()));
            format!(
                "{alias}.sharing = 'all' OR ({alias}.sharing = 'team' AND {alias}.owner_id = ANY({team}))"
            )
        }
        (Intent::Write, Reach::Owners(owners)) => {
            let owners = sql.place(Bind::Ids(owners.to_vec()));
            format!("({alias}.sharing <> 'nobody' AND {alias}.owner_id = ANY({owners}))")
        }
        (Intent::Write, _) => format!("{alias}.sharing <> 'nobody'"),
    };
    format!("({alias}.owner_id = {user} OR {others})")
}

fn participation(sql: &mut Sql, resource: &Resource, alias: &str, ctx: &Ctx, intent: Intent) -> String {
    let user = sql.place(Bind::Id(ctx.user));
    let edit = if intent == Intent::Write {
        " AND pt.access = 'edit'"
    } else {
        ""
    };
    format!(
        "EXISTS (SELECT 1 FROM participants pt WHERE pt.tenant_id = $1 AND pt.user_id = {user} \
         AND pt.record_kind = '{}' AND pt.record_id = {alias}.id{edit})",
        resource.singular
    )
}

/// The read scope cut into arms that do not overlap, each answered by an index of its own and limited by itself: a list
/// merges them.
pub fn arms(sql: &mut Sql, resource: &Resource, ctx: &Ctx) -> Vec<String> {
    let permission = resource.read_permission();
    let Reach::Owners(owners) = ctx.reach(&permission) else {
        return vec![scope(sql, resource, "t", ctx, Intent::Read)];
    };
    if !resource.is_owned() {
        return vec![scope(sql, resource, "t", ctx, Intent::Read)];
    }
    let mine = match owners {
        [one] => format!("t.owner_id = {}", sql.place(Bind::Id(*one))),
        several => format!("t.owner_id = ANY({})", sql.place(Bind::Ids(several.to_vec()))),
    };
    let user = sql.place(Bind::Id(ctx.user));
    let supported = format!(
        "SELECT pt.record_id FROM participants pt WHERE pt.tenant_id = $1 AND pt.user_id = {user} AND pt.record_kind = '{}'",
        resource.singular
    );
    let joined = format!("t.id IN ({supported}) AND ({mine}) IS NOT TRUE");
    let inside = resource.within().map(|within| {
        let owners = sql.place(Bind::Ids(owners.to_vec()));
        let holders = holders(within, &owners, &user);
        format!(
            "t.{} = ANY({holders}) AND ({mine}) IS NOT TRUE AND t.id NOT IN ({supported})",
            within.key
        )
    });
    [Some(mine), Some(joined), inside].into_iter().flatten().collect()
}
