//! A command that is faulty by its form is tried all the same, as a dry run of what is sound of it: so its caller learns at
//! once what only its handler can tell, and nothing changes. Whatever comes of the attempt, the answer is a refusal.

use super::contract::Operation;
use super::input;
use super::problem::Bare;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult, Refusal};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::{HttpMessage, HttpRequest};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// What is wrong by its form with the command that is being tried.
struct Attempted {
    faults: Vec<Fault>,
    /// Whether it is tried without something that was sent.
    lacks: bool,
}

/// A body that can be tried.
#[derive(Debug, PartialEq)]
struct Sound {
    body: Value,
    lacks: bool,
}

/// Makes an attempt of a faulty command: what is sound of its body, on terms that change nothing.
///
/// # Errors
/// `invalid` with the faults, when too little is sound.
pub fn begin(
    request: &HttpRequest,
    operation: &Operation,
    ctx: &mut Ctx,
    body: Value,
    faults: Vec<Fault>,
) -> AppResult<Value> {
    let Some(Sound { body, lacks }) = sound(operation, body, &faults) else {
        return Err(AppError::invalid(faults));
    };
    ctx.is_dry_run = true;
    request.extensions_mut().insert(Attempted { faults, lacks });
    Ok(body)
}

/// The answer to a command that was tried: all that is wrong with it.
pub fn end(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let attempted = response.request().extensions_mut().remove::<Attempted>();
    let Some(attempted) = attempted else {
        return response;
    };
    let found = response.response_mut().extensions_mut().remove::<Bare>();
    let refusal = AppError::invalid(all(attempted, found.as_ref().map(|Bare(refusal)| &**refusal)));
    let mut answer = actix_web::HttpResponse::UnprocessableEntity().finish();
    let bare = Bare(Arc::new(refusal.to_refusal()));
    answer.extensions_mut().insert(bare);
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, answer)
}

/// The faults of form with those that the attempt found elsewhere: of what stood in for a faulty member nothing is said, nor,
/// where something was left out, of what was missed.
fn all(Attempted { mut faults, lacks }: Attempted, found: Option<&Refusal>) -> Vec<Fault> {
    let Some(refusal) = found.filter(|refusal| refusal.code == Code::Invalid) else {
        return faults;
    };
    let replaced = faults.iter().map(|fault| head(&fault.pointer));
    let replaced = replaced.map(str::to_owned).collect::<HashSet<_>>();
    let elsewhere = refusal.faults.iter().filter(|fault| {
        let head = head(&fault.pointer);
        let is_missed = head.is_empty() || fault.code == "required";
        !(replaced.contains(head) || lacks && is_missed)
    });
    faults.extend(elsewhere.cloned());
    faults
}

/// The member of a body that a pointer leads into, as it stands in the pointer.
fn head(pointer: &str) -> &str {
    pointer
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

/// A body without what is at fault in it. What must be there and is not stands as the document's example has it.
fn sound(operation: &Operation, mut body: Value, faults: &[Fault]) -> Option<Sound> {
    let members = body.as_object_mut()?;
    let mut left_out = Vec::new();
    for fault in faults {
        let name = unescaped(head(&fault.pointer));
        let is_known = fault.code != "unknown_field" || fault.pointer.matches('/').count() > 1;
        if members.shift_remove(&name).is_some() && is_known {
            left_out.push(name);
        }
    }
    for (name, example) in operation.stand_ins() {
        members.entry(name).or_insert_with(|| example.clone());
    }
    let lacks = left_out.iter().any(|name| !members.contains_key(name));
    let is_sound = input::faults(operation.validator().ok()?, &body).is_empty();
    is_sound.then_some(Sound { body, lacks })
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::contract::Contract;
    use serde_json::json;

    fn contract() -> Contract {
        Contract::new(&json!({
            "components": { "schemas": {
                "Way": { "type": "string", "enum": ["up", "down"] },
                "Move": { "type": "object", "additionalProperties": false, "required": ["reason", "way"], "properties": {
                    "reason": { "type": "string", "minLength": 1, "examples": ["because"] },
                    "way": { "$ref": "#/components/schemas/Way" },
                    "to": { "type": "string" }, "by": { "type": "object", "required": ["x"], "properties": { "x": { "type": "integer" } } }
                } }
            } },
            "paths": { "/v1/moves": { "post": { "operationId": "move", "requestBody": { "required": true, "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/Move" } } } } } } }
        }))
    }

    fn tried(body: Value) -> Option<Sound> {
        let contract = contract();
        let operation = contract.find("POST", "/v1/moves").ok()?;
        let faults = input::faults(operation.validator().unwrap(), &body);
        sound(operation, body, &faults)
    }

    #[test]
    fn what_is_at_fault_is_left_out_and_what_must_be_there_stands_in() {
        let body = json!({ "to": "there", "reason": "because", "way": "up" });
        for (faulty, lacks) in [
            (json!({ "to": "there", "zz": 1 }), false),
            (json!({ "to": "there", "reason": "", "way": "left" }), false),
            (json!({ "to": "there", "reason": 1, "by": { "x": "one" } }), true),
        ] {
            let body = body.clone();
            assert_eq!(tried(faulty.clone()), Some(Sound { body, lacks }), "{faulty}");
        }
        assert_eq!(tried(json!([])), None);
        assert_eq!(
            tried(json!({ "to": 1, "way": "down" })).unwrap().body["way"],
            "down"
        );
    }

    #[test]
    fn of_what_stands_in_or_was_left_out_nothing_is_said() {
        let faults = vec![Fault::required("/reason"), Fault::unknown_field("/a~1b")];
        let found = AppError::invalid(vec![
            Fault::not_found("/reason"),
            Fault::not_found("/to"),
            Fault::required("/way"),
            Fault::not_found(""),
        ]);
        for (lacks, expected) in [
            (false, &["/reason", "/a~1b", "/to", "/way", ""][..]),
            (true, &["/reason", "/a~1b", "/to"][..]),
        ] {
            let faults = faults.clone();
            let told = all(Attempted { faults, lacks }, Some(&found.to_refusal()));
            let pointers = told
                .iter()
                .map(|fault| fault.pointer.as_str())
                .collect::<Vec<_>>();
            assert_eq!(pointers, expected);
        }
        let other = AppError::not_found();
        let attempted = Attempted {
            faults: faults.clone(),
            lacks: false,
        };
        assert_eq!(all(attempted, Some(&other.to_refusal())), faults);
    }
}
