//! `POST …/batch`: up to a thousand writes to one collection in one request. Each item goes through the same checks as a
//! request of its own; the whole is one command, so a record that several items change leaves one event.

use super::http;
use super::spec::{Act, Resource};
use super::store::{self, Target, Written};
use crate::kernel::ctx::{Ctx, IfMatch};
use crate::kernel::error::{AppError, AppResult, OrNotFound, Refusal};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::contract::Contract;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Sent, Shared};
use crate::platform::reply::{Reply, add_warnings};
use crate::platform::{input, problem};
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// Most items of one request.
pub const MOST_ITEMS: usize = 1000;
/// Most faults that one refusal names.
const MOST_FAULTS: usize = 1000;

/// Several writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    mode: Mode,
    items: Vec<Item>,
}

/// What one refusal means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BatchMode, example = "each")]
pub enum Mode {
    /// It undoes and refuses everything.
    AllOrNothing,
    /// Every item stands or falls by itself.
    Each,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Create,
    Update,
    Archive,
    Restore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    method: Method,
    id: Option<Uuid>,
    body: Option<Map<String, Value>>,
    if_match: Option<i32>,
}

/// What became of one item.
#[derive(Serialize)]
struct Outcome {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Value>,
}

#[derive(Serialize)]
struct Outcomes {
    succeeded: usize,
    failed: usize,
    results: Vec<Outcome>,
}

pub(super) async fn batch(
    resource: &'static Resource,
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    sent: Sent,
) -> AppResult<Reply> {
    let parent = http::parent_id(resource, &request)?;
    let Sent { ctx, input, faults } = sent;
    refuse_if_match(&ctx)?;
    let collection = request.path().trim_end_matches("/batch");
    let form = Form::of(resource, &shared.contract, collection)?;
    if !faults.is_empty() {
        let more = form.faults_of_others(&input, &faults);
        return Err(AppError::invalid(store::joined(&faults, more)));
    }
    http::require_parent(&db, &ctx, resource, parent).await?;
    let input: Batch = serde_json::from_value(Value::Object(input)).map_err(AppError::internal)?;
    let faults = input.items.iter().map(|item| form.faults(item));
    let faults = faults.collect::<Vec<_>>();
    let job = Job {
        resource,
        parent,
        items: &input.items,
        faults: &faults,
    };
    let answer = db
        .write(&ctx, async |tx| {
            let outcomes = job.run(tx, &ctx).await?;
            let ids = input.items.iter().map(|item| item.id).collect::<Vec<_>>();
            reply(&ctx, input.mode, &ids, outcomes)
        })
        .await?;
    http::forget_rights(resource, Some(&shared));
    Ok(answer)
}

/// What items must look like: the schemas of the requests that they stand for.
struct Form<'a> {
    resource: &'static Resource,
    create: Option<&'a jsonschema::Validator>,
    update: Option<&'a jsonschema::Validator>,
    restore: Option<&'a jsonschema::Validator>,
}

impl<'a> Form<'a> {
    fn of(resource: &'static Resource, contract: &'a Contract, collection: &str) -> AppResult<Form<'a>> {
        let validator = |method: &str, path: &str| {
            let operation = contract.find(method, path).ok();
            operation.map(|operation| operation.validator()).transpose()
        };
        let one = format!("{collection}/{}", Uuid::nil());
        Ok(Form {
            resource,
            create: validator("POST", collection)?.filter(|_| resource.verbs.create),
            update: validator("PATCH", &one)?.filter(|_| resource.verbs.update),
            restore: match resource.is_restore_told() {
                true => validator("POST", &format!("{one}/restore"))?,
                false => None,
            },
        })
    }

    /// What is wrong with those items of a faulty batch that are items at all.
    fn faults_of_others(&self, batch: &Map<String, Value>, faults: &[Fault]) -> Vec<Fault> {
        let items = batch.get("items").and_then(Value::as_array);
        let mut found = Vec::new();
        for (index, item) in items.into_iter().flatten().enumerate().take(MOST_ITEMS) {
            let at = format!("/items/{index}");
            let within = format!("{at}/");
            let is_faulty = |fault: &Fault| fault.pointer == at || fault.pointer.starts_with(&within);
            let item = (!faults.iter().any(is_faulty)).then(|| serde_json::from_value::<Item>(item.clone()));
            if let Some(Ok(item)) = item {
                let Faulty { item, body } = self.faults(&item);
                found.extend(item.into_iter().map(|fault| under(fault, &at)));
                found.extend(body.into_iter().map(|fault| under(fault, &format!("{at}/body"))));
            }
        }
        found.truncate(MOST_FAULTS);
        found
    }

    fn faults(&self, item: &Item) -> Faulty {
        let verbs = self.resource.verbs;
        let (is_offered, takes_id, schema) = match item.method {
            Method::Create => (verbs.create, false, self.create),
            Method::Update => (verbs.update, true, self.update),
            Method::Archive => (verbs.archive, true, None),
            Method::Restore => (verbs.archive, true, self.restore),
        };
        if !is_offered {
            let message = say("these do not have this method", "此类记录不支持该操作");
            return Faulty {
                item: vec![Fault::new("/method", "unknown_value", message)],
                body: Vec::new(),
            };
        }
        let mut faulty = Faulty::default();
        match (takes_id, item.id) {
            (true, None) => faulty.item.push(Fault::required("/id")),
            (false, Some(_)) => faulty.item.push(Fault::unknown_field("/id")),
            _ => {}
        }
        if !takes_id && item.if_match.is_some() {
            faulty.item.push(Fault::unknown_field("/if_match"));
        }
        match (schema, &item.body) {
            (Some(_), None) if item.method != Method::Restore => faulty.item.push(Fault::required("/body")),
            (None, Some(_)) => faulty.item.push(Fault::unknown_field("/body")),
            (Some(schema), Some(body)) => {
                faulty.body = input::faults(schema, &Value::Object(body.clone()));
            }
            (_, None) => {}
        }
        faulty
    }
}

/// What can be told of an item without the database.
#[derive(Default)]
struct Faulty {
    /// Of the item itself.
    item: Vec<Fault>,
    /// Of its body, by the schema of the request that it stands for.
    body: Vec<Fault>,
}

/// A fault of an item's body at its place in the batch.
fn under(mut fault: Fault, at: &str) -> Fault {
    fault.pointer = format!("{at}{}", fault.pointer);
    fault
}

struct Job<'a> {
    resource: &'static Resource,
    parent: Option<Uuid>,
    items: &'a [Item],
    faults: &'a [Faulty],
}

/// What became of one item: the status of its answer and the record, or why it was refused.
pub type Done = Result<(u16, Written), Refusal>;

impl Job<'_> {
    /// Does one item after the other; what is refused leaves nothing behind.
    async fn run(&self, tx: &mut Tx, ctx: &Ctx) -> AppResult<Vec<Done>> {
        self.lock(tx, ctx).await?;
        tx.set_of_many(true);
        let mut done = Vec::with_capacity(self.items.len());
        for (index, item) in self.items.iter().enumerate() {
            let faulty = &self.faults[index];
            let outcome = tx
                .apart(async |tx| self.attempt(tx, ctx, item, faulty).await)
                .await?;
            done.push(outcome.map_err(|refusal| at_item(*refusal, index)));
        }
        tx.set_of_many(false);
        self.together(tx, ctx, &mut done).await?;
        Ok(done)
    }

    /// Does what is done for all items together, and shows what it changed.
    async fn together(&self, tx: &mut Tx, ctx: &Ctx, done: &mut [Done]) -> AppResult<()> {
        let Some(together) = self.resource.hooks.together else {
            return Ok(());
        };
        let changed = together(tx, ctx).await?;
        for (_, written) in done.iter_mut().flatten() {
            for (member, value) in changed.get(&written.id).into_iter().flatten() {
                if let Some(shown) = written.body.get_mut(member) {
                    shown.clone_from(value);
                }
            }
        }
        Ok(())
    }

    /// Locks what is to change in the order of the ids, so that two batches over the same records never wait for each
    /// other in a circle.
    async fn lock(&self, tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
        let mut ids = self.items.iter().filter_map(|item| item.id).collect::<Vec<_>>();
        ids.sort_unstable();
        ids.dedup();
        // The parts of one record wait for each other at that record, which each of them locks first.
        if ids.is_empty() || self.parent.is_some() {
            return Ok(());
        }
        store::lock_many(tx, ctx, self.resource, ids).await
    }

    /// Does an item, unless it is faulty; what the store finds in its body stands beside what the schema says of it.
    async fn attempt(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        item: &Item,
        faulty: &Faulty,
    ) -> AppResult<(u16, Written)> {
        let mut ctx = ctx.clone();
        ctx.if_match = item.if_match.map(|version| IfMatch::Versions(vec![version]));
        if faulty.body.is_empty() && faulty.item.is_empty() {
            return self.item(tx, &ctx, item).await.map_err(in_body);
        }
        let (Some(body), true) = (&item.body, faulty.item.is_empty()) else {
            let body = faulty.body.iter().cloned().map(|fault| under(fault, "/body"));
            return Err(AppError::invalid(
                faulty.item.iter().cloned().chain(body).collect(),
            ));
        };
        let target = Target {
            parent: self.parent,
            id: item.id,
        };
        let refused = store::refused(tx, &ctx, self.resource, target, body, &faulty.body);
        Err(in_body(refused.await))
    }

    async fn item(&self, tx: &mut Tx, ctx: &Ctx, item: &Item) -> AppResult<(u16, Written)> {
        let (resource, parent) = (self.resource, self.parent);
        let body = || item.body.clone().unwrap_or_default();
        if item.method == Method::Create {
            let written = store::create(tx, ctx, resource, parent, body()).await?;
            return Ok((201, written));
        }
        let id = item.id.or_not_found()?;
        let written = match item.method {
            Method::Archive => store::archive(tx, ctx, resource, parent, id, Act::Archive, body()).await?,
            Method::Restore => store::archive(tx, ctx, resource, parent, id, Act::Restore, body()).await?,
            _ => store::update(tx, ctx, resource, parent, id, body()).await?,
        };
        Ok((200, written))
    }
}

/// A refusal of an item's body: its faults point there.
fn in_body(error: AppError) -> AppError {
    match error {
        AppError::Refused(mut refusal) => {
            let faults = std::mem::take(&mut refusal.faults).into_iter();
            refusal.faults = faults.map(|fault| under(fault, "/body")).collect();
            AppError::Refused(refusal)
        }
        other => other,
    }
}

/// The answer to a batch: what became of each item, in order. `ids`: the records that the items name.
///
/// # Errors
/// With `all_or_nothing` the refusal of the whole, as soon as one item was refused.
pub fn reply(ctx: &Ctx, mode: Mode, ids: &[Option<Uuid>], done: Vec<Done>) -> AppResult<Reply> {
    let failed = done.iter().filter(|done| done.is_err()).count();
    if mode == Mode::AllOrNothing && failed > 0 {
        return Err(refused(done));
    }
    let asked = problem::Asked {
        request_id: ctx.request_id.clone(),
        lang: ctx.lang,
    };
    let results = done.into_iter().zip(ids).map(|(done, id)| match done {
        Ok((status, mut written)) => {
            add_warnings(&mut written.body, &written.warnings, ctx.lang);
            Outcome {
                status,
                id: Some(written.id),
                body: Some(written.body),
                problem: None,
            }
        }
        Err(refusal) => Outcome {
            status: refusal.code.status(),
            id: *id,
            body: None,
            problem: Some(problem::document(&refusal, &asked)),
        },
    });
    Reply::ok(&Outcomes {
        succeeded: ids.len() - failed,
        failed,
        results: results.collect(),
    })
}

/// A batch has no version of its own.
///
/// # Errors
/// `bad_header` when the caller sent If-Match.
pub fn refuse_if_match(ctx: &Ctx) -> AppResult<()> {
    if ctx.if_match.is_none() {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::BadHeader,
        say(
            "A batch takes no If-Match; each item has its if_match",
            "批量请求不支持 If-Match 头;请在各项中使用 if_match",
        ),
    ))
}

/// A refusal of the item at that place: its faults point there.
pub fn at_item(mut refusal: Refusal, index: usize) -> Refusal {
    let at = format!("/items/{index}");
    let faults = refusal.faults.into_iter();
    refusal.faults = faults.map(|fault| under(fault, &at)).collect();
    refusal
}

/// The refusal of the whole: the first item's code, with the faults of all that were refused.
fn refused(done: Vec<Done>) -> AppError {
    let mut first: Option<(usize, Code)> = None;
    let mut faults = Vec::new();
    let mut failed = 0;
    for (index, done) in done.into_iter().enumerate() {
        let Err(refusal) = done else { continue };
        failed += 1;
        first = first.or(Some((index, refusal.code)));
        if refusal.faults.is_empty() {
            faults.push(Fault::new(
                format!("/items/{index}"),
                refusal.code.as_str(),
                refusal.detail,
            ));
        } else {
            faults.extend(refusal.faults);
        }
    }
    faults.truncate(MOST_FAULTS);
    let (index, code) = first.unwrap_or((0, Code::Invalid));
    AppError::refuse(
        code,
        say(
            format!("{failed} item(s) were refused, the first at /items/{index}; nothing was changed"),
            format!("{failed} 项被拒绝,首个位于 /items/{index};未作任何更改"),
        ),
    )
    .with_faults(faults)
}
