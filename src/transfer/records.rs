//! Drafts become records, by the same rules and with the same rights as through the API: many at once where their kind
//! allows it, else one by one, a refused one leaving the others alone.

use super::draft::Draft;
use super::import::changes;
use super::lookup;
use super::past;
use super::plan::Plan;
use super::targets::{EXTERNAL_ID, TransferSubject};
use crate::crm::campaigns;
use crate::crm::duplicates::subject::Subject;
use crate::crm::resources::CONTACT;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::fault::{Fault, Warning};
use crate::opportunity::bring_in::{self, Past};
use crate::platform::contract;
use crate::platform::db::{Cached, Tx, is_outage};
use crate::platform::events::Event;
use crate::platform::input;
use crate::platform::records::store::{self, For};
use crate::platform::records::{bulk, docs, rules};
use diesel::sql_query;
use diesel::sql_types::{Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use uuid::Uuid;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    Created,
    Updated,
    /// It says what is there already.
    Unchanged,
}

/// A row that was taken.
#[derive(Debug, Clone)]
pub struct Done {
    pub did: Did,
    pub warnings: Vec<Warning>,
}

pub type Outcome = Result<Done, Box<Refusal>>;

/// Whether its rows are records and nothing besides, and need not see each other.
pub fn is_plain(plan: &Plan) -> bool {
    match plan.options.resource {
        TransferSubject::Lead | TransferSubject::Contact => true,
        TransferSubject::Account => !plan.has("contact.name") && !plan.has("parent_id"),
        TransferSubject::Opportunity => false,
    }
}

/// The schemas of a new record and of a change, as the document has them.
struct Forms {
    new: Validator,
    change: Validator,
}

/// Compiled once, by the first file of that kind.
static FORMS: [OnceLock<Forms>; TransferSubject::ALL.len()] =
    [const { OnceLock::new() }; TransferSubject::ALL.len()];

fn forms(subject: TransferSubject) -> AppResult<&'static Forms> {
    let place = FORMS.get(subject as usize);
    let place = place.ok_or_else(|| AppError::internal("more kinds of files than places for their forms"))?;
    match place.get() {
        Some(forms) => Ok(forms),
        None => {
            let forms = Forms::of(subject)?;
            Ok(place.get_or_init(|| forms))
        }
    }
}

impl Forms {
    fn of(subject: TransferSubject) -> AppResult<Forms> {
        let resource = subject.resource();
        let schemas = docs::schemas(resource);
        let form = |suffix: &str| {
            let name = format!("{}{suffix}", resource.schema_name());
            let schema = schemas.iter().find(|(known, _)| *known == name);
            let (_, schema) = schema.ok_or_else(|| AppError::internal(format!("no schema {name}")))?;
            contract::compile(schema).map_err(AppError::internal)
        };
        Ok(Forms {
            new: form("Input")?,
            change: form("Patch")?,
        })
    }
}

/// Makes or changes the records of some drafts; one outcome a draft, in order.
pub async fn bring(tx: &mut Tx, ctx: &Ctx, plan: &Plan, drafts: &[Draft]) -> AppResult<Vec<Outcome>> {
    let forms = forms(plan.options.resource)?;
    let mut known = lookup::existing(&mut &**tx, ctx, plan, drafts).await?;
    let mut outcomes: Vec<Option<Outcome>> = vec![None; drafts.len()];
    let mut pasts = Vec::with_capacity(drafts.len());
    for (draft, outcome) in drafts.iter().zip(&mut outcomes) {
        let present = draft.extras.get(EXTERNAL_ID).and_then(|id| known.get(id));
        let is_known = present.is_some();
        let (past, wrong) = past::read(tx, ctx, plan, draft).await?;
        let mut faults = refused(plan, forms, draft, is_known);
        if draft.row.fault.is_none() {
            add(&mut faults, wrong);
        }
        if !faults.is_empty() && !is_known && draft.row.fault.is_none() {
            add(
                &mut faults,
                bring_in::faults(tx, ctx, &draft.members, &past).await?,
            );
        }
        if !faults.is_empty() && draft.row.fault.is_none() {
            let own = own_faults(tx, ctx, plan, draft, present.copied(), &faults).await?;
            add(&mut faults, own);
        }
        *outcome = refusal(faults).map(Err);
        pasts.push(past);
    }
    if is_plain(plan) {
        bring_many(tx, ctx, plan, drafts, &mut known, &mut outcomes).await?;
    }
    for ((draft, past), outcome) in drafts.iter().zip(&pasts).zip(&mut outcomes) {
        if outcome.is_some() {
            continue;
        }
        let external = draft.extras.get(EXTERNAL_ID);
        let present = external.and_then(|id| known.get(id)).copied();
        let brought = tx
            .apart(async |tx| bring_one(tx, ctx, plan, (draft, past), present).await)
            .await?;
        if let (Ok((_, id)), Some(external)) = (&brought, external) {
            known.insert(external.clone(), *id);
        }
        *outcome = Some(brought.map(|(done, _)| done));
    }
    Ok(outcomes.into_iter().flatten().collect())
}

/// Adds the faults of members of which nothing is told yet.
fn add(faults: &mut Vec<Fault>, more: Vec<Fault>) {
    for fault in more {
        if faults.iter().all(|known| known.pointer != fault.pointer) {
            faults.push(fault);
        }
    }
}

/// Those of the company's own fields, for a row that will be refused anyway: nothing where the record that it is about cannot
/// be written.
async fn own_faults(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    draft: &Draft,
    present: Option<Uuid>,
    faults: &[Fault],
) -> AppResult<Vec<Fault>> {
    let resource = plan.options.resource.resource();
    let target = present.filter(|_| changes(plan));
    let said = (&draft.members, faults);
    match store::own_faults(tx, ctx, resource, target, said, &plan.definitions).await {
        Err(AppError::Refused(refusal)) if !is_outage(refusal.code) => Ok(Vec::new()),
        found => found,
    }
}

fn refusal(faults: Vec<Fault>) -> Option<Box<Refusal>> {
    match AppError::invalid(faults) {
        AppError::Refused(refusal) if !refusal.faults.is_empty() => Some(refusal),
        _ => None,
    }
}

/// What can be seen of a draft's faults without the database, all at once.
fn refused(plan: &Plan, forms: &Forms, draft: &Draft, is_known: bool) -> Vec<Fault> {
    let mut faults = draft.faults.clone();
    let is_new = !(is_known && changes(plan));
    let (form, members) = match is_new {
        true => (&forms.new, without_nulls(&draft.members)),
        false => (&forms.change, without_fixed(plan, &draft.members)),
    };
    if draft.row.fault.is_none()
        && let Err(AppError::Refused(refusal)) = input::check(form, &Value::Object(members))
    {
        let told = faults
            .iter()
            .map(|fault| fault.pointer.clone())
            .collect::<HashSet<_>>();
        faults.extend(
            refusal
                .faults
                .into_iter()
                .filter(|fault| !told.contains(&fault.pointer)),
        );
    }
    if is_known && !changes(plan) {
        faults.push(Fault::duplicate("/external_id"));
    }
    if changes(plan) && !draft.extras.contains_key(EXTERNAL_ID) {
        faults.push(Fault::required("/external_id"));
    }
    faults
}

fn without_nulls(members: &Map<String, Value>) -> Map<String, Value> {
    let mut members = members.clone();
    members.retain(|_, value| !value.is_null());
    members
}

/// What a row changes: nothing that is fixed. An empty cell names no owner, so it takes none away either; who imports
/// became the owner when the record was made, and the same file again must find nothing to do.
fn without_fixed(plan: &Plan, members: &Map<String, Value>) -> Map<String, Value> {
    let resource = plan.options.resource.resource();
    let mut members = members.clone();
    members.retain(|name, value| {
        let is_fixed = resource.member(name).is_some_and(|member| member.is_fixed);
        !is_fixed && (name != "owner_id" || !value.is_null())
    });
    members
}

/// Makes those that are new, all at once, but for those that have an id or a key of one before them: these are left to be
/// tried one by one, when it is there. So is what the database refuses whole.
async fn bring_many(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    drafts: &[Draft],
    known: &mut HashMap<String, Uuid>,
    outcomes: &mut [Option<Outcome>],
) -> AppResult<()> {
    let resource = plan.options.resource.resource();
    let (mut seen, mut keys) = (HashSet::new(), HashSet::new());
    let mut is_first = |draft: &Draft| {
        let own = Subject::of(resource, &draft.members).keys.into_iter();
        let own = own.filter(|key| !key.is_shared).collect::<Vec<_>>();
        let is_first = own.iter().all(|key| !keys.contains(key));
        keys.extend(own);
        is_first
    };
    let fresh = drafts
        .iter()
        .enumerate()
        .filter(|(index, _)| outcomes.get(*index).is_some_and(Option::is_none))
        .filter(|(_, draft)| match draft.extras.get(EXTERNAL_ID) {
            Some(id) => !known.contains_key(id) && seen.insert(id.clone()),
            None => true,
        })
        .filter(|(_, draft)| is_first(draft))
        .collect::<Vec<_>>();
    let made = tx
        .apart(async |tx| {
            let sent = fresh
                .iter()
                .map(|(_, draft)| without_nulls(&draft.members))
                .collect();
            let made = bulk::create(tx, ctx, resource, sent).await?;
            let named = fresh.iter().zip(&made).filter_map(|((_, draft), made)| {
                Some((made.as_ref().ok()?.0, draft.extras.get(EXTERNAL_ID)?.clone()))
            });
            name(tx, ctx, plan, named.collect()).await?;
            Ok(made)
        })
        .await?;
    let Ok(made) = made else {
        return Ok(());
    };
    for ((index, draft), made) in fresh.into_iter().zip(made) {
        if let (Ok((id, _)), Some(external)) = (&made, draft.extras.get(EXTERNAL_ID)) {
            known.insert(external.clone(), *id);
        }
        if let Some(outcome) = outcomes.get_mut(index) {
            let done = |(_, warnings)| Done {
                did: Did::Created,
                warnings,
            };
            *outcome = Some(made.map(done));
        }
    }
    Ok(())
}

/// Notes by which ids the file's system knows some new records.
async fn name(tx: &mut Tx, ctx: &Ctx, plan: &Plan, named: Vec<(Uuid, String)>) -> AppResult<()> {
    let Some(system) = plan.options.system.as_ref().filter(|_| !named.is_empty()) else {
        return Ok(());
    };
    let kind = plan.options.resource.resource().singular;
    let rows = named
        .iter()
        .map(|(record, external)| json!({ "id": Uuid::now_v7(), "record": record, "external": external }))
        .collect::<Vec<_>>();
    let query = sql_query(
        "INSERT INTO external_ids (tenant_id, id, record_kind, record_id, system, external_id, created_at) \
         SELECT $1, x.id, $2, x.record, $3, x.external, $4 FROM jsonb_to_recordset($5) AS x (id uuid, record uuid, external text)",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind)
    .bind::<Text, _>(system)
    .bind::<Timestamptz, _>(ctx.now)
    .bind::<Jsonb, _>(Value::Array(rows));
    Cached(query).execute(&mut **tx).await?;
    for (record, external) in named {
        let data = json!({ "system": system, "external_id": external });
        tx.record(Event::new(
            format!("{kind}.external_id_added"),
            kind,
            record,
            data,
        ));
    }
    Ok(())
}

async fn bring_one(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    (draft, past): (&Draft, &Past),
    present: Option<Uuid>,
) -> AppResult<(Done, Uuid)> {
    let is_deal = plan.options.resource == TransferSubject::Opportunity;
    if let Some(id) = present {
        if !changes(plan) {
            return Err(AppError::invalid(vec![Fault::duplicate("/external_id")]));
        }
        let mut done = change(tx, ctx, plan, draft, id).await?;
        if is_deal {
            let settled = bring_in::settle(tx, ctx, id, &draft.members, past).await?;
            done.warnings.extend(settled.warnings);
            if settled.has_changed {
                done.did = Did::Updated;
            }
        }
        return Ok((done, id));
    }
    let members = without_nulls(&draft.members);
    let external = draft.extras.get(EXTERNAL_ID);
    let named = async |tx: &mut Tx, id: Uuid| {
        let named = external.map(|external| (id, external.clone()));
        name(tx, ctx, plan, named.into_iter().collect()).await
    };
    let made = if is_deal {
        bring_in::create(tx, ctx, members, past, named).await?
    } else {
        let made = store::create(tx, ctx, plan.options.resource.resource(), None, members).await?;
        named(tx, made.id).await?;
        made
    };
    let mut warnings = made.warnings;
    warnings.extend(contact_of(tx, ctx, plan, draft, made.id).await?);
    let did = Did::Created;
    Ok((Done { did, warnings }, made.id))
}

/// Changes a record to what the row says, if it says anything new.
async fn change(tx: &mut Tx, ctx: &Ctx, plan: &Plan, draft: &Draft, id: Uuid) -> AppResult<Done> {
    let resource = plan.options.resource.resource();
    let locked = store::lock(tx, ctx, resource, id, For::Write).await?;
    let before = locked.record()?;
    let patch = without_fixed(plan, &draft.members);
    let mut after = rules::patched(&before, &patch);
    rules::normalise(resource, ctx, &before, &mut after, &mut Vec::new());
    let is_same = resource.kept().all(|member| {
        let old = before.get(member.name).unwrap_or(&Value::Null);
        let new = after.get(member.name).unwrap_or(&Value::Null);
        member.is_read_only || rules::is_same(member.kind, old, new)
    });
    if is_same && !names_another_campaign(tx, ctx, &patch, id).await? {
        return Ok(Done {
            did: Did::Unchanged,
            warnings: Vec::new(),
        });
    }
    let warnings = store::update(tx, ctx, resource, None, id, patch).await?.warnings;
    Ok(Done {
        did: Did::Updated,
        warnings,
    })
}

async fn names_another_campaign(
    tx: &mut Tx,
    ctx: &Ctx,
    patch: &Map<String, Value>,
    lead: Uuid,
) -> AppResult<bool> {
    let Some(named) = patch.get("campaign_key") else {
        return Ok(false);
    };
    Ok(campaigns::key_of_lead(tx, ctx, lead).await?.as_deref() != named.as_str())
}

/// The person that a row of accounts names; answers the warnings.
async fn contact_of(
    tx: &mut Tx,
    ctx: &Ctx,
    plan: &Plan,
    draft: &Draft,
    account: Uuid,
) -> AppResult<Vec<Warning>> {
    if plan.options.resource != TransferSubject::Account || !draft.extras.contains_key("contact.name") {
        return Ok(Vec::new());
    }
    ctx.require("contact.write")?;
    let mut members = Map::new();
    members.insert("account_id".to_owned(), json!(account));
    for name in ["name", "job_title", "phone", "email"] {
        if let Some(text) = draft.extras.get(&format!("contact.{name}")) {
            members.insert(name.to_owned(), json!(text));
        }
    }
    let owner = draft.members.get("owner_id").filter(|owner| !owner.is_null());
    members.extend(owner.map(|owner| ("owner_id".to_owned(), owner.clone())));
    let form = &forms(TransferSubject::Contact)?.new;
    let checked = input::check(form, &Value::Object(members.clone()));
    let made = match checked {
        Ok(()) => store::create(tx, ctx, &CONTACT, None, members).await,
        Err(error) => Err(error),
    };
    let on_contact = |faults: &mut [Fault]| {
        for fault in faults {
            fault.pointer = format!("/contact{}", fault.pointer);
        }
    };
    match made {
        Ok(mut made) => {
            on_contact(&mut made.warnings);
            Ok(made.warnings)
        }
        Err(AppError::Refused(mut refusal)) => {
            on_contact(&mut refusal.faults);
            Err(AppError::Refused(refusal))
        }
        Err(error) => Err(error),
    }
}
