//! What else is wrong with a record whose form is faulty already, so that its author hears of everything at once.

use super::change::{new_change, patch_of};
use super::checks;
use super::lock::{For, lock_even_archived, lock_parent};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Tx, is_outage};
use crate::platform::input::escaped;
use crate::platform::records::custom::{self, Definition};
use crate::platform::records::rules;
use crate::platform::records::spec::{Change, Resource};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The record that a write is about.
#[derive(Clone, Copy)]
pub struct Target {
    pub parent: Option<Uuid>,
    /// None: a new one.
    pub id: Option<Uuid>,
}

/// The refusal of a write whose body has these faults by its schema, with those that only the store can tell: of references
/// and of the company's own fields. Where the caller may not write the record at all, it hears of its form alone. Nothing is
/// written.
pub async fn refused(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    target: Target,
    sent: &Map<String, Value>,
    faults: &[Fault],
) -> AppError {
    match more(tx, ctx, resource, target, sent, faults).await {
        Ok(more) => AppError::invalid(joined(faults, more)),
        Err(AppError::Refused(refusal)) if !is_outage(refusal.code) => AppError::invalid(faults.to_vec()),
        Err(error) => error,
    }
}

async fn more(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    target: Target,
    sent: &Map<String, Value>,
    faults: &[Fault],
) -> AppResult<Vec<Fault>> {
    lock_parent(tx, ctx, resource, target.parent).await?;
    let mut found = rules::forbidden(resource, ctx, sent).collect::<Vec<_>>();
    let mut change = change(tx, ctx, resource, target, sound(resource, sent, faults)).await?;
    found.extend(checks::faults(tx, ctx, resource, &mut change).await?);
    let particular = checks::particular_faults(tx, ctx, resource, &mut change).await;
    Ok(telling(joined(&found, particular), faults))
}

/// Of a record that has faults already, those of the company's own fields, by these definitions.
///
/// # Errors
/// Those of locking the record; database errors.
pub async fn own_faults(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    id: Option<Uuid>,
    (sent, faults): (&Map<String, Value>, &[Fault]),
    definitions: &[Definition],
) -> AppResult<Vec<Fault>> {
    let target = Target { parent: None, id };
    let mut change = change(tx, ctx, resource, target, sound(resource, sent, faults)).await?;
    let found = custom::check(tx, ctx, definitions, &mut change).await?;
    Ok(telling(found, faults))
}

async fn change(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &'static Resource,
    Target { parent, id }: Target,
    sent: Map<String, Value>,
) -> AppResult<Change> {
    let Some(id) = id else {
        return Ok(new_change(ctx, resource, parent, sent));
    };
    let locked = lock_even_archived(&mut &**tx, ctx, resource, id, parent, For::Write).await?;
    Ok(patch_of(locked.record()?, &sent, parent, id))
}

/// The members of which nothing bad is known. Of one that maps names, those stay of which nothing bad is known; the company's
/// own fields stay: each is looked at for itself.
fn sound(resource: &Resource, sent: &Map<String, Value>, faults: &[Fault]) -> Map<String, Value> {
    let mut sent = sent.clone();
    sent.retain(|name, value| {
        let Some(member) = resource.member(name) else {
            return false;
        };
        let place = escaped(name);
        if !is_faulty(&place, faults) {
            return true;
        }
        let Some(entries) = value.as_object_mut() else {
            return false;
        };
        if member.is_map() {
            entries.retain(|entry, _| !is_faulty(&format!("{place}/{}", escaped(entry)), faults));
        }
        name == "custom" || (member.is_map() && !entries.is_empty())
    });
    sent
}

/// Whether something is wrong there: at a member's name, or its and its entry's, or in it.
fn is_faulty(place: &str, faults: &[Fault]) -> bool {
    faults.iter().any(|fault| {
        let rest = fault.pointer.strip_prefix('/');
        let rest = rest.and_then(|rest| rest.strip_prefix(place));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// How precise an amount may be is not known where its currency is not.
fn telling(mut found: Vec<Fault>, faults: &[Fault]) -> Vec<Fault> {
    if is_faulty("currency", faults) {
        found.retain(|fault| fault.code != "too_precise");
    }
    found
}

/// Both, each member's fault once: what the company's definitions say of a value tells more than the form that all have. Of
/// what holds something faulty nothing else is said, since it was looked at without that.
pub fn joined(by_form: &[Fault], more: Vec<Fault>) -> Vec<Fault> {
    let has = |faults: &[Fault], pointer: &str| faults.iter().any(|fault| fault.pointer == pointer);
    let is_own = |fault: &Fault| fault.pointer.starts_with("/custom/");
    let told = by_form
        .iter()
        .filter(|fault| !(is_own(fault) && has(&more, &fault.pointer)))
        .cloned();
    let mut told = told.collect::<Vec<_>>();
    let holds_faults = |fault: &Fault| {
        let within = format!("{}/", fault.pointer);
        by_form.iter().any(|known| known.pointer.starts_with(&within))
    };
    let by_store = more
        .into_iter()
        .filter(|fault| !has(&told, &fault.pointer) && !holds_faults(fault));
    let by_store = by_store.collect::<Vec<_>>();
    told.extend(by_store);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_one_fault_and_an_own_field_the_more_telling_one() {
        let by_form = [
            Fault::required("/name"),
            Fault::invalid("/custom/size", "form", "form"),
            Fault::invalid("/custom", "form", "form"),
            Fault::invalid("/candidates/2", "form", "form"),
        ];
        let more = vec![
            Fault::invalid("/name", "store", "store"),
            Fault::invalid("/custom/size", "store", "store"),
            Fault::required("/custom/city"),
            Fault::required("/candidates"),
        ];
        let told = joined(&by_form, more);
        let told = told
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.message.en.as_ref()));
        let expected = [
            ("/name", "is required"),
            ("/custom", "form"),
            ("/candidates/2", "form"),
            ("/custom/size", "store"),
            ("/custom/city", "is required"),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_member_is_faulty_where_it_or_what_is_in_it_is() {
        let faults = [
            Fault::required("/tags/0"),
            Fault::required("/name"),
            Fault::required("/a~1b"),
        ];
        let faulty = ["tags", "name", "a~1b", "nam", "na", "tag"].map(|name| is_faulty(name, &faults));
        assert_eq!(faulty, [true, true, true, false, false, false]);
    }
}
