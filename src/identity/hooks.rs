//! What is particular to users, teams and roles.

use super::rows::{CountRow, IdRow};
use super::{rights, territory};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::permission::{self, Grants, Scope};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::Change;
use crate::platform::records::spec::Act;
use chrono::DateTime;
use diesel::sql_query;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use uuid::Uuid;

/// Nobody changes somebody who holds more, nor the teams by which their own rights go; an absence ends after it begins, and
/// nobody stands in for themselves.
pub fn before_user<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act == Act::Update {
            rights::require_reach(tx, ctx, change.id).await?;
            territory::require_user_kept(tx, ctx, change).await?;
        }
        let mut faults = Vec::new();
        let at = |member: &str| {
            change
                .text(member)
                .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        };
        if let (Some(from), Some(until)) = (at("away_from"), at("away_until"))
            && until <= from
        {
            let fault = Fault::out_of_range("/away_until", "must be after away_from", "必须晚于 away_from");
            faults.push(fault);
        }
        if change.id_of("delegate_id") == Some(change.id) {
            let fault = Fault::invalid("/delegate_id", "must be somebody else", "必须是其他人");
            faults.push(fault);
        }
        refuse(faults)
    })
}

fn refuse(faults: Vec<Fault>) -> AppResult<()> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}

/// The teams stay a tree, nobody widens their own reach by them, and one with members or teams below it is not archived.
pub fn before_team<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        territory::require_team_kept(tx, ctx, change).await?;
        match change.act {
            Act::Archive => require_empty_team(tx, ctx, change.id).await,
            Act::Restore => require_live_parent(tx, ctx, change).await,
            Act::Update if change.changed("parent_id") => require_tree(tx, ctx, change).await,
            Act::Create | Act::Update => Ok(()),
        }
    })
}

async fn require_tree(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let Some(parent) = change.id_of("parent_id") else {
        return Ok(());
    };
    rights::queue(tx, ctx).await?;
    let query = sql_query(
        "WITH RECURSIVE above AS ( \
            SELECT id, parent_id FROM teams WHERE tenant_id = $1 AND id = $2 \
            UNION SELECT t.id, t.parent_id FROM teams t JOIN above a ON t.id = a.parent_id WHERE t.tenant_id = $1 \
         ) SELECT id FROM above WHERE id = $3",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(parent)
    .bind::<SqlUuid, _>(change.id);
    let ring: Vec<IdRow> = Cached(query).load(&mut **tx).await?;
    if ring.is_empty() {
        return Ok(());
    }
    let fault = Fault::invalid(
        "/parent_id",
        "is the team itself or below it",
        "是该团队自身或其下级团队",
    );
    Err(AppError::invalid(vec![fault]))
}

async fn require_empty_team(tx: &mut Tx, ctx: &Ctx, team: Uuid) -> AppResult<()> {
    let members = count(
        tx,
        ctx,
        "SELECT count(*) AS count FROM users WHERE tenant_id = $1 AND team_id = $2 AND is_active",
        team,
    )
    .await?;
    let below = count(
        tx,
        ctx,
        "SELECT count(*) AS count FROM teams WHERE tenant_id = $1 AND parent_id = $2 AND archived_at IS NULL",
        team,
    )
    .await?;
    if members + below == 0 {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::InUse,
        say(
            format!("The team has {members} active member(s) and {below} team(s) below it"),
            format!("该团队有 {members} 名在职成员和 {below} 个下级团队"),
        ),
    ))
}

async fn require_live_parent(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    let Some(parent) = change.id_of("parent_id") else {
        return Ok(());
    };
    let sql = "SELECT count(*) AS count FROM teams WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL";
    if count(tx, ctx, sql, parent).await? > 0 {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::Conflict,
        say(
            "The team above it is archived; restore that first",
            "上级团队已归档,请先恢复上级团队",
        ),
    ))
}

async fn count(tx: &mut Tx, ctx: &Ctx, sql: &'static str, id: Uuid) -> AppResult<i64> {
    let query = sql_query(sql)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id);
    let row: CountRow = Cached(query).get_result(&mut **tx).await?;
    Ok(row.count)
}

/// Shipped roles are frozen; nobody changes a role they hold, nor makes one that grants more than they hold.
pub fn before_role<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    change: &'a mut Change,
) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        if change.act != Act::Create {
            require_foreign_role(tx, ctx, change).await?;
        }
        if change.act == Act::Archive {
            return require_unused_role(tx, ctx, change.id).await;
        }
        let grants = change.after.get("grants").cloned().unwrap_or_default();
        let grants: Grants = serde_json::from_value(grants).map_err(AppError::internal)?;
        if change.changed("grants") {
            refuse(grant_faults(&grants))?;
        }
        rights::require_within_own(ctx, &grants)
    })
}

/// Permissions that there are not, and scopes that a permission does not take.
fn grant_faults(grants: &Grants) -> Vec<Fault> {
    let fault = |(name, scope): (&String, &Scope)| {
        let pointer = format!("/grants/{name}");
        match permission::find(name) {
            None => Some(Fault::not_found(pointer)),
            Some(known) if known.scopes().contains(scope) => None,
            Some(_) => Some(Fault::invalid(
                pointer,
                "takes the scope all only: nobody owns what it is about, so nothing narrower has a meaning",
                "仅接受范围 all:其对象不属于任何人,更窄的范围没有意义",
            )),
        }
    };
    grants.iter().filter_map(fault).collect()
}

async fn require_foreign_role(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    if change.before.get("is_shipped") == Some(&Value::Bool(true)) {
        return Err(AppError::refuse(
            Code::Frozen,
            say(
                "Shipped roles do not change; make one of your own",
                "预置角色不可更改,请另建角色",
            ),
        ));
    }
    let query = sql_query(
        "SELECT count(*) AS count FROM user_roles WHERE tenant_id = $1 AND role_id = $2 AND user_id = $3",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(change.id)
    .bind::<SqlUuid, _>(ctx.user);
    let held: CountRow = Cached(query).get_result(&mut **tx).await?;
    if held.count == 0 {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::OwnRoles,
        say("You hold this role yourself", "您自己拥有此角色"),
    ))
}

async fn require_unused_role(tx: &mut Tx, ctx: &Ctx, role: Uuid) -> AppResult<()> {
    let holders = count(
        tx,
        ctx,
        "SELECT count(*) AS count FROM user_roles WHERE tenant_id = $1 AND role_id = $2",
        role,
    )
    .await?;
    let keys = count(
        tx,
        ctx,
        "SELECT count(*) AS count FROM api_keys WHERE tenant_id = $1 AND role_id = $2 AND archived_at IS NULL",
        role,
    )
    .await?;
    if holders + keys == 0 {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::InUse,
        say(
            format!("{holders} user(s) and {keys} API key(s) have this role"),
            format!("{holders} 名用户和 {keys} 个 API 密钥正在使用此角色"),
        ),
    ))
}
