//! Scoring of leads: versioned models of rules, recorded behaviour, scores that explain themselves, limits and reviews,
//! ideal customers.
//!
//! A score is computed in the transaction that changes the lead or records behaviour, by the company's published version,
//! and stands in `leads.score` (what counts) and `lead_scores` (what it is made of). Time moves it too: a daily timer
//! brings the stored one up to date, and `GET …/score` computes it as of now.

pub mod apply;
pub mod behaviours;
pub mod by_hand;
pub mod document;
pub mod explain;
pub mod http;
pub mod matching;
pub mod model;
pub mod profiles;
pub mod refresh;
pub mod rescore;
pub mod resources;
pub mod reviews;
pub mod rules;
pub mod standing;
pub mod tally;
pub mod versions;
pub mod wire;

use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::records::{Act, Change};
use apply::Occasion;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::slice::from_mut;
use utoipa_actix_web::service_config::ServiceConfig;

/// The commands of this area.
pub fn routes(config: &mut ServiceConfig) {
    http::routes(config);
    config
        .service(behaviours::record_lead_behaviour)
        .service(explain::get_lead_score)
        .service(rescore::rescore_leads)
        .service(by_hand::override_lead_score)
        .service(reviews::list_review_queue)
        .service(reviews::accept_lead)
        .service(reviews::reject_lead)
        .service(matching::get_lead_profile_match)
        .service(matching::get_account_profile_match);
}

/// A lead that was written is scored with it.
pub fn after_lead<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act == Act::Archive {
            return Ok(());
        }
        if change.text("status") == Some("converted") {
            return reviews::withdraw(tx, ctx, change.id).await;
        }
        after_leads(tx, ctx, from_mut(change)).await
    })
}

/// Leads that were written, none of them converted or archived, are scored together.
///
/// # Errors
/// Database errors.
pub async fn after_leads(tx: &mut Tx, ctx: &Ctx, changes: &mut [Change]) -> AppResult<()> {
    let leads = changes
        .iter()
        .map(|change| change.after.clone())
        .collect::<Vec<_>>();
    let moved = apply::apply(tx, ctx, &leads, Occasion::Written).await?;
    let moved = moved.into_iter().map(|moved| (moved.lead_id, moved));
    let mut moved = moved.collect::<HashMap<_, _>>();
    for change in changes {
        let Some(moved) = moved.remove(&change.id) else {
            continue;
        };
        let status: &'static str = moved.status.into();
        let score = moved.after.map(rules::points_text);
        change
            .after
            .insert("score".to_owned(), score.map_or(Value::Null, Value::from));
        change.after.insert("status".to_owned(), json!(status));
    }
    Ok(())
}
