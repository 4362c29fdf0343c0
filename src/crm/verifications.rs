//! How each fact of an account or a contact was verified: by whom, when, by what. A verification keeps the value that it is
//! of, so that it says itself when the record says something else by now.

use super::resources::{ACCOUNT, CONTACT};
use crate::identity::resources::USER;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Access, Act, Change, Hooks, Member, Resource, Verbs};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

/// What the row of an account says of the member that this SQL names, as text; an amount with its currency.
macro_rules! account_says {
    ($row:literal, $member:literal) => {
        concat!(
            "(CASE ",
            $member,
            " WHEN 'annual_revenue' THEN money_text(",
            $row,
            ".annual_revenue, ",
            $row,
            ".currency) || ' ' || ",
            $row,
            ".currency ELSE to_jsonb(",
            $row,
            ") ->> ",
            $member,
            " END)"
        )
    };
}

/// What the row of a contact says of it.
macro_rules! contact_says {
    ($row:literal, $member:literal) => {
        concat!("(to_jsonb(", $row, ") ->> ", $member, ")")
    };
}

const STATUS: Member = Member::choice(
    "status",
    &["verified", "refuted", "unverifiable"],
    "What came out: the value is right, it is wrong, or it cannot be told. Sending it verifies anew: the value as it is, by you, now.",
    "\"verified\"",
)
.required();

const METHOD: Member = Member::choice(
    "method",
    &[
        "public_register",
        "phone_call",
        "visit",
        "document",
        "website",
        "other",
    ],
    "How.",
    "\"public_register\"",
)
.required();

const SOURCE: Member = Member::text(
    "source",
    500,
    "Where it can be looked up: a register, a document, a URL.",
    "\"https://www.gsxt.gov.cn\"",
);

const NOTE: Member = Member::text("note", 1000, "Note.", "null");

const VALUE: Member = Member::text(
    "value",
    500,
    "The value that was verified.",
    "\"91310000MA1K35X\"",
)
.read_only();

const VERIFIED_BY: Member = Member::to(
    "verified_by",
    &USER,
    "Who verified it; null when it was a program.",
)
.embedded_as("verifier")
.read_only();

const VERIFIED_AT: Member = Member::instant(
    "verified_at",
    "When it was verified; now, when not given. Never in the future.",
)
.sort();

const fn verification(
    singular: &'static str,
    table: &'static str,
    about: &'static str,
    (parent, key): (&'static Resource, &'static str),
    members: &'static [Member],
    hook: crate::platform::records::spec::Prepare,
) -> Resource {
    Resource {
        singular,
        plural: "verifications",
        table,
        tag: "accounts",
        about,
        permission: parent.permission,
        access: Access::Part {
            parent,
            key,
            closed_sql: None,
        },
        verbs: Verbs::ALL,
        members,
        default_sort: "-verified_at",
        hooks: Hooks {
            before: Some(hook),
            ..Hooks::NONE
        },
    }
}

pub static ACCOUNT_VERIFICATION: Resource = verification(
    "account_verification",
    "account_verifications",
    "How a fact of an account was verified: one of each member. What was verified before stands in its events.",
    (&ACCOUNT, "account_id"),
    &[
        Member::choice(
            "member",
            &[
                "name",
                "industry",
                "employees",
                "annual_revenue",
                "size_note",
                "region",
                "address",
                "billing_title",
                "tax_number",
                "website",
            ],
            "The account's member that was verified; it must say something.",
            "\"tax_number\"",
        )
        .required()
        .fixed(),
        STATUS,
        METHOD,
        SOURCE,
        NOTE,
        VALUE,
        Member::flag(
            "is_outdated",
            "false",
            "Whether the account says something else by now.",
        )
        .computed(concat!(
            "SELECT ",
            account_says!("a", "t.member"),
            " IS DISTINCT FROM t.value FROM accounts a WHERE a.tenant_id = t.tenant_id AND a.id = t.account_id"
        ))
        .filter(),
        VERIFIED_BY,
        VERIFIED_AT,
    ],
    of_account,
);

pub static CONTACT_VERIFICATION: Resource = verification(
    "contact_verification",
    "contact_verifications",
    "How a fact of a contact was verified: one of each member. What was verified before stands in its events.",
    (&CONTACT, "contact_id"),
    &[
        Member::choice(
            "member",
            &["name", "job_title", "phone", "email", "buying_role"],
            "The contact's member that was verified; it must say something.",
            "\"phone\"",
        )
        .required()
        .fixed(),
        STATUS,
        METHOD,
        SOURCE,
        NOTE,
        VALUE,
        Member::flag(
            "is_outdated",
            "false",
            "Whether the contact says something else by now.",
        )
        .computed(concat!(
            "SELECT ",
            contact_says!("c", "t.member"),
            " IS DISTINCT FROM t.value FROM contacts c WHERE c.tenant_id = t.tenant_id AND c.id = t.contact_id"
        ))
        .filter(),
        VERIFIED_BY,
        VERIFIED_AT,
    ],
    of_contact,
);

/// The members of an account whose present value is verified: what gates and filters ask. Accounts are listed without it,
/// since it costs a look at their verifications each.
pub const VERIFIED_ACCOUNT_MEMBERS: Member = Member {
    name: "verified_members",
    doc: "Its members whose present value is verified, in the order of their names.",
    example: "[\"tax_number\"]",
    ..Member::tags()
}
.computed(concat!(
    "ARRAY(SELECT v.member FROM account_verifications v \
     WHERE v.tenant_id = t.tenant_id AND v.account_id = t.id AND v.archived_at IS NULL AND v.status = 'verified' AND v.value = ",
    account_says!("t", "v.member"),
    " ORDER BY v.member)"
))
.asked_only();

/// The members of a contact whose present value is verified.
pub const VERIFIED_CONTACT_MEMBERS: Member = Member {
    name: "verified_members",
    doc: "Their members whose present value is verified, in the order of their names.",
    example: "[\"phone\"]",
    ..Member::tags()
}
.computed(concat!(
    "ARRAY(SELECT v.member FROM contact_verifications v \
     WHERE v.tenant_id = t.tenant_id AND v.contact_id = t.id AND v.archived_at IS NULL AND v.status = 'verified' AND v.value = ",
    contact_says!("t", "v.member"),
    " ORDER BY v.member)"
))
.asked_only();

type Outcome<'a> = LocalBoxFuture<'a, AppResult<()>>;

fn of_account<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    let says = concat!(
        "SELECT ",
        account_says!("a", "$3"),
        " AS value FROM accounts a WHERE a.tenant_id = $1 AND a.id = $2"
    );
    Box::pin(verify(tx, ctx, change, says))
}

fn of_contact<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> Outcome<'a> {
    let says = concat!(
        "SELECT ",
        contact_says!("c", "$3"),
        " AS value FROM contacts c WHERE c.tenant_id = $1 AND c.id = $2"
    );
    Box::pin(verify(tx, ctx, change, says))
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

/// Notes what is verified, by whom and when. The record that it is of is locked: what it says now it says until this is
/// committed.
async fn verify(tx: &mut Tx, ctx: &Ctx, change: &mut Change, says: &'static str) -> AppResult<()> {
    let is_anew = change.act == Act::Create || change.was_sent("status");
    if matches!(change.act, Act::Archive | Act::Restore) {
        return Ok(());
    }
    let mut faults = Vec::new();
    if is_anew {
        let by = (ctx.user != Uuid::nil()).then_some(ctx.user);
        change.after.insert("verified_by".to_owned(), json!(by));
        match said(tx, ctx, change, says).await? {
            Some(value) => {
                change.after.insert("value".to_owned(), value.into());
            }
            None => faults.push(Fault::invalid(
                "/member",
                "says nothing that could be verified",
                "没有可核实的内容",
            )),
        }
    }
    faults.extend(dated(ctx, change, is_anew));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

async fn said(tx: &mut Tx, ctx: &Ctx, change: &Change, says: &'static str) -> AppResult<Option<String>> {
    let Some(parent) = change.parent else {
        return Ok(None);
    };
    let query = sql_query(says)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(parent)
        .bind::<Text, _>(change.text("member").unwrap_or_default().to_owned());
    let said: Option<Said> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(said
        .and_then(|said| said.value)
        .filter(|value| !value.trim().is_empty()))
}

/// Now, unless another instant was given, which lies behind.
fn dated(ctx: &Ctx, change: &mut Change, is_anew: bool) -> Option<Fault> {
    let is_given = change.was_sent("verified_at") && change.text("verified_at").is_some();
    if !is_given && (is_anew || change.after.get("verified_at").is_none_or(Value::is_null)) {
        let now = ctx.now.to_rfc3339_opts(SecondsFormat::Micros, true);
        change.after.insert("verified_at".to_owned(), now.into());
    }
    let at = change.text("verified_at")?;
    let at = DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc);
    (at > ctx.now)
        .then(|| Fault::out_of_range("/verified_at", "cannot lie in the future", "不能晚于当前时间"))
}
