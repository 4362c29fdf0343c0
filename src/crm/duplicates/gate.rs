//! What happens when a record is entered or changed: its keys are claimed, others like it are looked for, and the
//! company's setting decides.

use super::keys::{self, Named, Newcomers};
use super::lookup::{self, Hit};
use super::reviews;
use super::subject::{Key, KeyKind, Subject};
use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::kernel::ctx::{ActorKind, Ctx, OnArrival, OnDuplicate};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::likeness::{Rule, Score};
use crate::kernel::problem::Code;
use crate::kernel::text::{Say, say};
use crate::platform::db::Tx;
use crate::platform::events::Event;
use crate::platform::records::{Act, Change, Resource, Verdicts, bulk};
use diesel_async::AsyncPgConnection;
use futures::future::try_join_all;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Where a refusal says to which lead a delivery belongs.
const ATTACH_TO: &str = "attach_to";
/// The code of the warning that a record may be there already.
const POSSIBLE: &str = "possible_duplicate";
/// Most warnings of one write.
const MOST_WARNINGS: usize = 5;

/// Stands in the `before` hook of accounts, contacts and leads.
///
/// # Errors
/// `duplicate` where the setting blocks; for a delivery, the refusal that [`attach_to`] reads.
pub async fn admit(tx: &mut Tx, ctx: &Ctx, resource: &Resource, change: &mut Change) -> AppResult<()> {
    if matches!(change.verb, Some("merged" | "unmerged")) {
        return Ok(()); // A merge sees to its keys itself.
    }
    let record = Named::new(ctx, resource, change.id);
    let is_converted = change.text("status") == Some("converted");
    match change.act {
        Act::Archive => return keys::retire(tx, record).await,
        Act::Update if is_converted => return keys::retire(tx, record).await,
        Act::Restore if is_converted => return Ok(()),
        Act::Create | Act::Update | Act::Restore => {}
    }
    let present = Subject::of(resource, &change.after);
    if change.act == Act::Restore {
        keys::release(tx, record, &present.keys).await?;
    }
    let before = match change.act {
        Act::Update => Subject::of(resource, &change.before),
        _ => Subject::default(),
    };
    if change.act == Act::Update && present.is_like(&before) {
        return Ok(());
    }
    let fresh = present.clone().beyond(&before);
    if change.act == Act::Update && !fresh.keys.is_empty() {
        // It may have been found by them only, as what goes on for a record with them: now they are its own.
        keys::release(tx, record, &fresh.keys).await?;
    }
    let lacking = match change.act {
        // It has no keys yet of which any could be gone.
        Act::Create => keys::claim_first(tx, record, present).await?,
        _ => keys::claim(tx, record, &present).await?,
    };
    decide(tx, ctx, resource, change, &fresh, &lacking).await
}

/// [`admit`] for records that are made together, but for those that are refused already: all keys are claimed at once, and
/// only a record that shares one with another is looked at by itself. What is only like the others is not looked for; where
/// such pairs wait for review, as those of deliveries do, [`queue_new`] looks once all are there.
///
/// # Errors
/// Database errors.
pub async fn admit_new(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    changes: &mut [Change],
    verdicts: &mut Verdicts,
) -> AppResult<()> {
    let standing = changes
        .iter()
        .zip(&*verdicts)
        .filter(|(_, verdict)| verdict.is_ok());
    let records = standing
        .map(|(change, _)| (change.id, Subject::of(resource, &change.after)))
        .collect::<Vec<_>>();
    let new = Newcomers {
        tenant: ctx.tenant,
        kind: resource.singular,
        records: &records,
    };
    let mut lacking = keys::claim_new(tx, new).await?;
    let alike = match policy(ctx, resource) {
        _ if is_delivery(ctx) => HashSet::new(),
        OnDuplicate::Block | OnDuplicate::Warn => {
            keys::alike(tx, new, &lookup::compared_with(resource)).await?
        }
        OnDuplicate::Queue | OnDuplicate::Allow => HashSet::new(),
    };
    let subjects = records.into_iter().collect::<HashMap<_, _>>();
    for (change, verdict) in changes.iter_mut().zip(verdicts) {
        let lacking = lacking.remove(&change.id).unwrap_or_default();
        if let Some(subject) = subjects.get(&change.id)
            && (alike.contains(&change.id) || !lacking.is_empty())
        {
            *verdict = bulk::verdict(decide(tx, ctx, resource, change, subject, &lacking).await)?;
        }
    }
    Ok(())
}

/// Looks for what is like records that were made together, each other too, where such pairs wait for review by the
/// company's setting, which warns of it, or because they were delivered.
///
/// # Errors
/// Database errors; of a delivery that belongs to an open lead after all, the refusal that [`attach_to`] reads.
pub async fn queue_new(tx: &mut Tx, ctx: &Ctx, resource: &Resource, changes: &mut [Change]) -> AppResult<()> {
    let is_delivery = is_delivery(ctx);
    if !is_delivery && policy(ctx, resource) != OnDuplicate::Queue {
        return Ok(());
    }
    let found = hits_of_new(tx, ctx, resource, changes).await?;
    for (change, hits) in changes.iter_mut().zip(found) {
        let record = Named::new(ctx, resource, change.id);
        if is_delivery {
            arrived(tx, ctx, record, &hits, true).await?;
            continue;
        }
        reviews::queue(tx, ctx, record, &hits).await?;
        change.warnings.retain(|warning| warning.code != POSSIBLE);
        warn(resource, change, &hits);
    }
    Ok(())
}

/// What is like each of these, asked for in one flight.
async fn hits_of_new(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    changes: &[Change],
) -> AppResult<Vec<Vec<Hit>>> {
    let conn: &AsyncPgConnection = tx;
    let asked = changes.iter().map(async |change| {
        let subject = Subject::of(resource, &change.after);
        lookup::hits(&mut &*conn, ctx, resource, Some(change.id), &subject).await
    });
    let mut found = try_join_all(asked).await?;
    for hits in &mut found {
        hits.retain(|hit| !tx.has_touched(hit.id));
    }
    Ok(found)
}

fn is_delivery(ctx: &Ctx) -> bool {
    ctx.actor_kind == ActorKind::Source
}

/// Takes back what was claimed for a new record that is not made after all, while others are.
///
/// # Errors
/// Database errors.
pub async fn withdraw(tx: &mut Tx, ctx: &Ctx, resource: &Resource, id: Uuid) -> AppResult<()> {
    keys::forget(tx, Named::new(ctx, resource, id)).await
}

/// Looks for others like it and decides; keys that another record has are admitted, or it is refused.
async fn decide(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    change: &mut Change,
    fresh: &Subject,
    lacking: &[Key],
) -> AppResult<()> {
    let is_new = change.act == Act::Create;
    let judged = judged(tx, ctx, resource, change, fresh, lacking).await;
    if is_new && matches!(judged, Err(AppError::Refused(_))) {
        // Whoever makes many at once goes on without it; its claims must not stay.
        withdraw(tx, ctx, resource, change.id).await?;
    }
    keys::admit(tx, Named::new(ctx, resource, change.id), lacking, &judged?).await
}

/// Looks for others like it and decides. Answers why keys that another record has are admitted.
async fn judged(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    change: &mut Change,
    fresh: &Subject,
    lacking: &[Key],
) -> AppResult<String> {
    let policy = policy(ctx, resource);
    let is_delivery = is_delivery(ctx);
    let mut hits = Vec::new();
    if is_delivery || policy != OnDuplicate::Allow {
        hits = lookup::hits(&mut &**tx, ctx, resource, Some(change.id), fresh).await?;
        hits.retain(|hit| !tx.has_touched(hit.id));
    }
    if is_delivery {
        let record = Named::new(ctx, resource, change.id);
        arrived(tx, ctx, record, &hits, change.act == Act::Create).await
    } else {
        entered(tx, ctx, resource, change, policy, &hits, lacking).await
    }
}

/// The company's setting for what somebody enters.
pub fn policy(ctx: &Ctx, resource: &Resource) -> OnDuplicate {
    let settings = &ctx.principal.company.duplicates;
    if resource.singular == ACCOUNT.singular {
        settings.accounts
    } else if resource.singular == CONTACT.singular {
        settings.contacts
    } else {
        settings.leads
    }
}

/// A delivery is never refused: it goes to the open lead that is there, or its lead waits for review; so does a lead that it
/// fills. Answers why keys that another lead has are admitted.
async fn arrived(tx: &mut Tx, ctx: &Ctx, record: Named, hits: &[Hit], is_new: bool) -> AppResult<String> {
    let open = hits
        .iter()
        .find(|hit| is_new && hit.kind == LEAD.singular && hit.is_live && hit.score.is_exact());
    if let (Some(open), OnArrival::Attach) = (open, ctx.principal.company.duplicates.intake) {
        let mut refusal = AppError::refuse(
            Code::Duplicate,
            say(
                "An open lead has the same phone or e-mail",
                "已有相同电话或邮箱的线索",
            ),
        );
        // For who takes the delivery in; nobody is shown it.
        if let AppError::Refused(refusal) = &mut refusal {
            refusal.more.insert(ATTACH_TO.to_owned(), json!(open.id));
        }
        return Err(refusal);
    }
    reviews::queue(tx, ctx, record, hits).await?;
    Ok("setting: queue".to_owned())
}

/// The open lead to which a delivery belongs, when it was refused for that.
pub fn attach_to(error: &AppError) -> Option<Uuid> {
    let AppError::Refused(refusal) = error else {
        return None;
    };
    let id = refusal.more.get(ATTACH_TO)?.as_str()?;
    Uuid::parse_str(id).ok()
}

/// What somebody enters, or a job. Answers why keys that another record has are admitted.
async fn entered(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    change: &mut Change,
    policy: OnDuplicate,
    hits: &[Hit],
    lacking: &[Key],
) -> AppResult<String> {
    let record = Named::new(ctx, resource, change.id);
    match policy {
        OnDuplicate::Block => {
            let exact = hits
                .iter()
                .filter(|hit| hit.is_live && hit.score.is_exact())
                .collect::<Vec<_>>();
            // Somebody else's key is somebody else's, also when nobody was found who has it.
            if !(exact.is_empty() && lacking.is_empty()) {
                return overridden(tx, ctx, resource, change, &exact, lacking);
            }
            warn(resource, change, hits);
            Ok("setting: block".to_owned())
        }
        OnDuplicate::Warn => {
            warn(resource, change, hits);
            Ok("setting: warn".to_owned())
        }
        OnDuplicate::Queue => {
            reviews::queue(tx, ctx, record, hits).await?;
            warn(resource, change, hits);
            Ok("setting: queue".to_owned())
        }
        OnDuplicate::Allow => Ok("setting: allow".to_owned()),
    }
}

/// Lets a blocked record in for the reason that its author gives, where they may; the event keeps it.
fn overridden(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    change: &Change,
    exact: &[&Hit],
    lacking: &[Key],
) -> AppResult<String> {
    let told = change.after.get("override_duplicates");
    let Some(reason) = told.and_then(|told| told["reason"].as_str()) else {
        let detail = match change.act {
            Act::Restore => say(
                "Another record has its keys since it was archived; use that one, or send override_duplicates with a reason",
                "归档后已有其他记录使用相同的关键信息;请使用该记录,或附 override_duplicates 说明理由",
            ),
            Act::Create | Act::Update | Act::Archive => say(
                "It is there already; use that record, or send override_duplicates with a reason",
                "记录已存在;请使用该记录,或附 override_duplicates 说明理由",
            ),
        };
        return Err(blocked(resource, exact, lacking, detail));
    };
    ctx.require("duplicate.override")?;
    let of = exact
        .iter()
        .map(|hit| json!({ "kind": hit.kind, "id": hit.id }))
        .collect::<Value>();
    let data = json!({ "overridden_duplicates": { "reason": reason, "of": of } });
    tx.record(Event::new(
        format!("{}.updated", resource.singular),
        resource.singular,
        change.id,
        data,
    ));
    Ok(reason.to_owned())
}

/// Refuses, where the setting blocks, that a record comes to keys by the undoing of a merge that others have by now.
///
/// # Errors
/// `duplicate`, with the records that have them.
pub async fn admit_again(
    tx: &mut Tx,
    ctx: &Ctx,
    resource: &Resource,
    (id, record): (Uuid, &Map<String, Value>),
    lacking: &[Key],
) -> AppResult<()> {
    if lacking.is_empty() || policy(ctx, resource) != OnDuplicate::Block {
        return Ok(());
    }
    let mut subject = Subject::of(resource, record);
    subject.keys.retain(|key| lacking.contains(key));
    let hits = lookup::hits(&mut &**tx, ctx, resource, Some(id), &subject).await?;
    let exact = hits
        .iter()
        .filter(|hit| hit.kind == resource.singular && hit.is_live && hit.score.is_exact())
        .collect::<Vec<_>>();
    let name = record.get("name").and_then(Value::as_str).unwrap_or_default();
    let others = exact.iter().map(|hit| hit.shown_name()).collect::<Vec<_>>();
    let detail = say(
        format!(
            "Nothing was undone: what {name} is known by belongs to another record by now: {}. Change it there first",
            others.join(", ")
        ),
        format!(
            "未撤销:“{name}”的唯一标识现已属于其他记录({}),请先在该记录中修改",
            others.join("、")
        ),
    );
    Err(blocked(resource, &exact, lacking, detail))
}

fn blocked(resource: &Resource, exact: &[&Hit], lacking: &[Key], detail: Say) -> AppError {
    let held = lacking.iter().filter_map(|key| match key.kind {
        KeyKind::Phone => Some(Rule::Phone),
        KeyKind::Email => Some(Rule::Email),
        KeyKind::TaxNumber => Some(Rule::TaxNumber),
        KeyKind::Name => None,
    });
    let mut pointers = exact
        .iter()
        .flat_map(|hit| rules(&hit.score))
        .chain(held)
        .map(|rule| Subject::pointer(resource, rule))
        .collect::<Vec<_>>();
    pointers.sort_unstable();
    pointers.dedup();
    let faults = pointers
        .into_iter()
        .map(|pointer| taken(resource, pointer, exact));
    let shown = exact.iter().filter(|hit| hit.shown.is_some());
    AppError::refuse(Code::Duplicate, detail)
        .with_faults(faults.collect())
        .with("duplicates", shown.map(|hit| hit.to_json()).collect())
}

/// That a key is taken, and by whom, as far as the caller may know that.
fn taken(resource: &Resource, pointer: &'static str, exact: &[&Hit]) -> Fault {
    let has_it = |hit: &&&Hit| {
        let shown = hit.shown.iter();
        shown
            .flat_map(rules)
            .any(|rule| Subject::pointer(resource, rule) == pointer)
    };
    let Some(hit) = exact.iter().find(has_it) else {
        return Fault::duplicate(pointer);
    };
    let (kind, name) = (hit.kind, hit.shown_name());
    let owner = hit.owner_name.as_deref().unwrap_or("-");
    Fault::new(
        pointer,
        "duplicate",
        say(
            format!("is taken already by the {kind} {name} of {owner}"),
            format!("已被{}“{name}”(负责人 {owner})占用", chinese(kind)),
        ),
    )
}

fn rules(score: &Score) -> impl Iterator<Item = Rule> {
    score
        .reasons
        .iter()
        .map(|reason| reason.rule)
        .filter(|rule| matches!(rule, Rule::Phone | Rule::Email | Rule::TaxNumber))
}

fn warn(resource: &Resource, change: &mut Change, hits: &[Hit]) {
    let warnings = hits.iter().filter_map(|hit| warning(resource, hit));
    change.warnings.extend(warnings.take(MOST_WARNINGS));
}

/// The warning that a record may be there already; none of one that only something tells of which the caller may not read.
pub fn warning(resource: &Resource, hit: &Hit) -> Option<Warning> {
    let shown = hit.shown.as_ref()?;
    let rule = shown.reasons.first().map_or(Rule::SameName, |reason| reason.rule);
    let (kind, name) = (hit.kind, hit.shown_name());
    let owner = hit.owner_name.as_deref().unwrap_or("-");
    let id = if hit.is_readable {
        format!(" {}", hit.id)
    } else {
        String::new()
    };
    let score = shown.value;
    Some(Fault::new(
        Subject::pointer(resource, rule),
        POSSIBLE,
        say(
            format!("may be the {kind} {name}{id} of {owner} ({score})"),
            format!("可能与{}“{name}”{id}(负责人 {owner})重复({score})", chinese(kind)),
        ),
    ))
}

fn chinese(kind: &str) -> &'static str {
    match kind {
        "account" => "客户",
        "contact" => "联系人",
        _ => "线索",
    }
}
