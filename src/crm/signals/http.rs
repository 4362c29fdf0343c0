//! Confirming buying signals, and taking that back.

use super::rules::{Signal, together};
use crate::crm::hooks::already_converted;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Db, Tx};
use crate::platform::gatekeeper::{Command, Id};
use crate::platform::records::http::written_reply;
use crate::platform::records::store::{self, For};
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub fn routes(config: &mut ServiceConfig) {
    config.service(confirm).service(unconfirm);
}

/// How a buying signal was confirmed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "phone_call")]
enum ConfirmationMethod {
    PhoneCall,
    Visit,
    Meeting,
    Message,
    Document,
    Other,
}

/// Whether they can pay.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "insufficient")]
enum AbilityToPay {
    Sufficient,
    Insufficient,
    None,
}

/// That a buying signal is as the lead says.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// How it was confirmed.
    #[serde(default)]
    method: Option<ConfirmationMethod>,
    /// What was said.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1000, example = "王总电话确认")]
    note: Option<String>,
}

/// What was found out about the ability to pay.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BudgetConfirmation {
    /// Money enough, too little, or none.
    ability_to_pay: AbilityToPay,
    /// How it was found out.
    #[serde(default)]
    method: Option<ConfirmationMethod>,
    /// What was said.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1000, example = "预算明年才批")]
    note: Option<String>,
}

/// What is confirmed; at least one.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "need": { "method": "phone_call", "note": "王总电话确认" } }))]
struct ConfirmSignals {
    /// The need, as `need` says it.
    #[serde(default)]
    need: Option<Confirmation>,
    /// The budget: `budget_amount`, when it is known, and whether it suffices.
    #[serde(default)]
    budget: Option<BudgetConfirmation>,
    /// The window in which they decide, as `decision_from` and `decision_until` say it.
    #[serde(default)]
    decision_window: Option<Confirmation>,
}

/// Which confirmations are taken back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UnconfirmSignals {
    /// The signals; each must be confirmed.
    #[schema(min_items = 1, max_items = 3, example = json!(["budget"]))]
    signals: Vec<Signal>,
}

impl ConfirmSignals {
    /// What each confirmation says beside who and when.
    fn said(&self) -> Vec<(Signal, Value)> {
        let plain = |of: &Confirmation| json!({ "method": of.method, "note": of.note });
        let budget = |of: &BudgetConfirmation| json!({ "method": of.method, "note": of.note, "ability_to_pay": of.ability_to_pay });
        let said = [
            (Signal::Need, self.need.as_ref().map(plain)),
            (Signal::Budget, self.budget.as_ref().map(budget)),
            (Signal::DecisionWindow, self.decision_window.as_ref().map(plain)),
        ];
        said.into_iter()
            .filter_map(|(signal, said)| Some((signal, said?)))
            .collect()
    }
}

/// Confirm buying signals of a lead
///
/// Says that the need, the budget or the window in which they decide are as the lead says, by you, now. What is not named
/// stays as it is; confirming again takes the place of what was confirmed before. A confirmation is of a value: changing that
/// takes it back. So send `If-Match` to confirm what you read. A need and a window must be there to be confirmed (`invalid`);
/// of a budget it can also be confirmed that there is none: then let the lead rest (`nurture_lead`).
#[utoipa::path(tag = "leads", operation_id = "confirm_lead_signals", security(("bearer" = ["lead.write"])), request_body = ConfirmSignals,
    responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/confirm")]
async fn confirm(db: web::Data<Db>, id: Id, command: Command<ConfirmSignals>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let said = input.said();
    if said.is_empty() {
        return Err(AppError::invalid(vec![Fault::new(
            "",
            "required",
            say(
                "names nothing: give need, budget or decision_window",
                "未指定内容:请给出 need、budget 或 decision_window",
            ),
        )]));
    }
    db.write(&ctx, async |tx| {
        let (by, at) = (
            (ctx.user != Uuid::nil()).then_some(ctx.user),
            ctx.now.to_rfc3339_opts(SecondsFormat::Micros, true),
        );
        change(tx, &ctx, id.0, "signals_confirmed", |lead| {
            valued(lead, &said)?;
            let confirmed = said.iter().map(|(signal, said)| {
                let mut confirmation = said.clone();
                confirmation["confirmed_by"] = json!(by);
                confirmation["confirmed_at"] = json!(at);
                (*signal, confirmation)
            });
            let is_named = |signal: &Signal| said.iter().any(|(named, _)| named == signal);
            let others = Signal::ALL.into_iter().filter(|signal| !is_named(signal));
            let others = others.filter_map(|signal| Some((signal, signal.confirmation(lead)?.clone())));
            Ok(together(confirmed.chain(others)))
        })
        .await
    })
    .await
}

/// Take confirmations of a lead's buying signals back
///
/// For what turned out not to be as it was confirmed; the values stay. What is not confirmed is `conflict`.
#[utoipa::path(tag = "leads", operation_id = "unconfirm_lead_signals", security(("bearer" = ["lead.write"])), request_body = UnconfirmSignals,
    responses((status = 200, description = "The lead", body = ref("#/components/schemas/Lead"))))]
#[post("/v1/leads/{id}/unconfirm")]
async fn unconfirm(db: web::Data<Db>, id: Id, command: Command<UnconfirmSignals>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        change(tx, &ctx, id.0, "signals_unconfirmed", |lead| {
            let mut signals = input.signals.iter();
            if let Some(signal) = signals.find(|signal| signal.confirmation(lead).is_none()) {
                return Err(not_confirmed(*signal));
            }
            let others = Signal::ALL
                .into_iter()
                .filter(|signal| !input.signals.contains(signal));
            Ok(together(others.filter_map(|signal| {
                Some((signal, signal.confirmation(lead)?.clone()))
            })))
        })
        .await
    })
    .await
}

/// Gives a lead other confirmations.
async fn change(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    verb: &'static str,
    confirmations: impl FnOnce(&Map<String, Value>) -> AppResult<Value>,
) -> AppResult<Reply> {
    let locked = store::lock(tx, ctx, &LEAD, id, For::Write).await?;
    let mut lead = locked.record()?;
    if lead["status"] == "converted" {
        return Err(already_converted());
    }
    let confirmations = confirmations(&lead)?;
    lead.insert("confirmations".to_owned(), confirmations);
    let written = store::save_as(tx, ctx, &LEAD, id, &locked, lead, verb).await?;
    written_reply(&LEAD, ctx, 200, written)
}

/// There is something to confirm.
fn valued(lead: &Map<String, Value>, said: &[(Signal, Value)]) -> AppResult<()> {
    let blank = said
        .iter()
        .filter(|(signal, _)| *signal != Signal::Budget && !signal.has_value(lead));
    let faults = blank.map(|(signal, _)| {
        Fault::invalid(
            format!("/{}", signal.name()),
            "cannot be confirmed: the lead says nothing of it yet",
            "无法确认:线索尚未填写该信息",
        )
    });
    let faults = faults.collect::<Vec<_>>();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

fn not_confirmed(signal: Signal) -> AppError {
    let name = signal.name();
    AppError::refuse(
        Code::Conflict,
        say(format!("{name} is not confirmed"), format!("{name} 尚未确认")),
    )
}
