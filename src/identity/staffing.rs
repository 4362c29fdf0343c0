//! Tells the later rooms that somebody may have become able to do what nobody could before: a role was given, somebody
//! came back, a team got a leader.
//!
//! It goes through a timer that is due at once, so that what follows runs in a transaction of its own, after this one,
//! and takes its locks in the order of the room that it is in. `app.rs` says what follows.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::records::Change;
use crate::platform::records::spec::Act;
use crate::time::timer;
use futures::future::LocalBoxFuture;
use serde_json::json;

/// The timer that follows such a change; its subject is the company.
pub const TIMER: &str = "people_changed";

/// Notes that somebody may have become able to decide. To be called last: it holds one row of the company's until the
/// commit.
///
/// # Errors
/// Database errors.
pub async fn people_changed(tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
    timer::set(tx, ctx, TIMER, ("company", ctx.tenant), ctx.now, json!({})).await
}

/// Whoever comes under other leaders may be decided for by those.
pub fn after_user<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act == Act::Update && change.changed("team_id") {
            people_changed(tx, ctx).await?;
        }
        Ok(())
    })
}

/// A team's leader, or those above it, may be new.
pub fn after_team<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        let leads_anew = match change.act {
            Act::Create | Act::Archive => false, // nobody is in it
            Act::Update => change.changed("leader_id") || change.changed("parent_id"),
            Act::Restore => true,
        };
        if leads_anew {
            people_changed(tx, ctx).await?;
        }
        Ok(())
    })
}
