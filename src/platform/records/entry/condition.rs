//! What a typed text asks of search rows.

use crate::kernel::ctx::Ctx;
use crate::kernel::fault::Fault;
use crate::kernel::search::{Query, Unfit};
use crate::kernel::text::say;
use crate::platform::records::rules;
use crate::platform::records::spec::Resource;
use crate::platform::records::sql::Bind;

/// Why a text cannot be looked for, as the fault of where it stands.
pub fn fault(at: &str, unfit: Unfit) -> Fault {
    match unfit {
        Unfit::TooShort => Fault::new(
            at,
            "too_short",
            say("needs at least two letters or digits", "至少需要两个字母或数字"),
        ),
        Unfit::TooManyWords => Fault::new(at, "too_many", say("has more than twenty words", "超过二十个词")),
    }
}

/// Whether records of this kind have search rows.
pub fn is_searched(resource: &Resource) -> bool {
    resource.is_owned() && resource.members.iter().any(|member| member.is_search)
}

/// Reads what was typed; a phone number in whatever spelling is understood as one.
///
/// # Errors
/// When there is too little or too much of it.
pub fn read(typed: &str) -> Result<Query, Unfit> {
    let e164 = typed
        .chars()
        .any(char::is_numeric)
        .then(|| rules::e164(typed))
        .flatten();
    Query::read(typed, e164.as_deref())
}

/// The marks of the terms that the caller may look for.
pub fn marks(resource: &Resource, ctx: &Ctx) -> Vec<char> {
    let mark = resource.singular.chars().next().unwrap_or_default();
    let mut sensitive = super::searched(resource)
        .filter_map(|member| member.sensitive)
        .peekable();
    let may_all = sensitive.peek().is_some() && sensitive.all(|permission| ctx.holds(permission));
    if may_all {
        vec![mark, mark.to_ascii_uppercase()]
    } else {
        vec![mark]
    }
}

/// The condition that a row `t` is found by a query, around its bound value: before, value, after.
pub fn condition(resource: &Resource, ctx: &Ctx, query: &Query) -> (String, Bind, &'static str) {
    let wanted = query.wanted(&marks(resource, ctx), "");
    (
        format!(
            "t.id IN (SELECT s.record_id FROM search_entries s WHERE s.tenant_id = $1 AND s.record_kind = '{}' AND s.terms @@ ",
            resource.singular
        ),
        Bind::Text(wanted),
        "::tsquery)",
    )
}
