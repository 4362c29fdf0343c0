//! `POST …/batch`: up to a thousand writes to one collection in one request. Each item goes through the same checks as a
//! request of its own; the whole is one command, so a record that several items change leaves one event.

use super::http;
use super::spec::{Act, Resource};
use super::store::{self, Written};
use crate::kernel::ctx::{Ctx, IfMatch};
use crate::kernel::error::{AppError, AppResult, OrNotFound, Refusal};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::contract::Contract;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Shared};
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
    command: Command<Batch>,
) -> AppResult<Reply> {
    let parent = http::parent_id(resource, &request)?;
    let Command { ctx, input } = command;
    refuse_if_match(&ctx)?;
    http::require_parent(&db, &ctx, resource, parent).await?;
    let collection = request.path().trim_end_matches("/batch");
    let faults = Form::of(resource, &shared.contract, collection)?.faults_of(&input.items)?;
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
        })
    }

    /// The faults of each item that can be told without the database.
    fn faults_of(&self, items: &[Item]) -> AppResult<Vec<Vec<Fault>>> {
        let faults = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.faults(item, &format!("/items/{index}")));
        Ok(faults.collect())
    }

    fn faults(&self, item: &Item, at: &str) -> Vec<Fault> {
        let verbs = self.resource.verbs;
        let (is_offered, takes_id, schema) = match item.method {
            Method::Create => (verbs.create, false, self.create),
            Method::Update => (verbs.update, true, self.update),
            Method::Archive | Method::Restore => (verbs.archive, true, None),
        };
        if !is_offered {
            return vec![Fault::new(
                format!("{at}/method"),
                "unknown_value",
                say("these do not have this method", "此类记录不支持该操作"),
            )];
        }
        let mut faults = Vec::new();
        match (takes_id, item.id) {
            (true, None) => faults.push(Fault::required(format!("{at}/id"))),
            (false, Some(_)) => faults.push(Fault::unknown_field(format!("{at}/id"))),
            _ => {}
        }
        if !takes_id && item.if_match.is_some() {
            faults.push(Fault::unknown_field(format!("{at}/if_match")));
        }
        match (schema, &item.body) {
            (Some(_), None) => faults.push(Fault::required(format!("{at}/body"))),
            (None, Some(_)) => faults.push(Fault::unknown_field(format!("{at}/body"))),
            (Some(schema), Some(body)) => {
                let found = input::faults(schema, &Value::Object(body.clone()));
                faults.extend(found.into_iter().map(|fault| under(fault, &format!("{at}/body"))));
            }
            (None, None) => {}
        }
        faults
    }
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
    faults: &'a [Vec<Fault>],
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
            let faults = &self.faults[index];
            let outcome = match faults.is_empty() {
                true => tx.apart(async |tx| self.item(tx, ctx, item).await).await?,
                false => Err(Box::new(AppError::invalid(faults.clone()).to_refusal())),
            };
            done.push(outcome.map_err(|refusal| self.at_its_place(*refusal, index)));
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

    async fn item(&self, tx: &mut Tx, ctx: &Ctx, item: &Item) -> AppResult<(u16, Written)> {
        let mut ctx = ctx.clone();
        ctx.if_match = item.if_match.map(|version| IfMatch::Versions(vec![version]));
        let (resource, parent) = (self.resource, self.parent);
        let body = || item.body.clone().unwrap_or_default();
        if item.method == Method::Create {
            let written = store::create(tx, &ctx, resource, parent, body()).await?;
            return Ok((201, written));
        }
        let id = item.id.or_not_found()?;
        let written = match item.method {
            Method::Archive => store::archive(tx, &ctx, resource, parent, id, Act::Archive).await?,
            Method::Restore => store::archive(tx, &ctx, resource, parent, id, Act::Restore).await?,
            _ => store::update(tx, &ctx, resource, parent, id, body()).await?,
        };
        Ok((200, written))
    }

    /// The faults that the store found in a body, at the item's place; those of the form stand there already.
    fn at_its_place(&self, mut refusal: Refusal, index: usize) -> Refusal {
        if self.faults[index].is_empty() {
            let at = format!("/items/{index}/body");
            refusal.faults = refusal
                .faults
                .into_iter()
                .map(|fault| under(fault, &at))
                .collect();
        }
        refusal
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
