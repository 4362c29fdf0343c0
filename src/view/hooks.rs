//! A view or segment is kept only when its tree fits its resource: a tree that cannot be run is found now, not later.

use super::subject;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, OrNotFound};
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::db::Tx;
use crate::platform::records::fields::Fields;
use crate::platform::records::spec::{Act, Change};
use crate::platform::records::tree::{self, Mode, Terms};
use crate::platform::records::{Resource, search, store};
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

pub fn view<'a>(tx: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(check(tx, ctx, change))
}

pub fn segment<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(check(tx, ctx, change))
}

async fn check(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    if matches!(change.act, Act::Archive | Act::Restore) {
        return Ok(());
    }
    if change.act == Act::Create {
        change.after.insert("owner_id".to_owned(), json!(ctx.user));
    }
    let resource = change.text("resource").and_then(subject).or_not_found()?;
    let filter = change.after.get("filter").cloned().unwrap_or_default();
    let columns = texts(change, "columns");
    let named = tree::names(&filter)
        .into_iter()
        .chain(columns.iter().map(String::as_str));
    let named = named.collect::<Vec<_>>();
    let resources = tree::with_fields(resource, named.iter().copied());
    let fields = Fields::of(&mut &**tx, ctx.tenant, &resources).await?;
    let mut faults = Vec::new();
    // What was saved and is not touched now may have aged; it is not this change's fault.
    if change.changed("filter") {
        let terms = Terms {
            ctx,
            fields: &fields,
            mode: Mode::Asked,
        };
        tree::read(&terms, resource, &filter, "/filter", &mut faults);
    }
    if change.changed("sort") {
        search::order(resource, &texts(change, "sort"), "/sort", &mut faults);
    }
    if change.changed("columns") {
        faults.extend(column_faults(resource, &fields, &columns));
    }
    if !faults.is_empty() {
        return Err(AppError::invalid(faults));
    }
    let own = own_fields(resource, &named);
    change.after.insert("custom_fields".to_owned(), json!(own));
    Ok(())
}

fn texts(change: &Change, member: &str) -> Vec<String> {
    let texts = change.after.get(member).and_then(Value::as_array);
    let texts = texts
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    texts.collect()
}

fn column_faults(resource: &'static Resource, fields: &Fields, columns: &[String]) -> Vec<Fault> {
    let is_known = |column: &str| match column.strip_prefix("custom.") {
        Some(key) => fields
            .find(resource.singular, key)
            .is_some_and(|field| !field.is_archived),
        None => match column.split_once('.') {
            Some((relation, member)) => {
                let target = store::related(resource, relation);
                target.is_some_and(|target| is_shown(target, member))
            }
            None => is_shown(resource, column),
        },
    };
    let unknown = columns.iter().enumerate().filter(|(_, column)| !is_known(column));
    unknown
        .map(|(index, _)| {
            Fault::new(
                format!("/columns/{index}"),
                "unknown_value",
                say("is no member that could be shown", "不是可显示的成员"),
            )
        })
        .collect()
}

/// Whether records of a kind show something of this name.
fn is_shown(resource: &Resource, name: &str) -> bool {
    let standing = ["id", "created_at", "updated_at", "version"];
    let member = resource.member(name);
    let is_shown = member.is_some_and(|member| !member.is_instruction && !member.is_asked_only);
    is_shown || standing.contains(&name)
}

/// The company's own fields among these names, each as resource.key.
fn own_fields(resource: &'static Resource, named: &[&str]) -> Vec<String> {
    let mut own = named
        .iter()
        .filter_map(|name| {
            let (_, key) = name.rsplit_once("custom.")?;
            let owner = tree::with_fields(resource, std::iter::once(*name));
            owner.first().map(|owner| format!("{owner}.{key}"))
        })
        .collect::<Vec<_>>();
    own.sort();
    own.dedup();
    own
}
