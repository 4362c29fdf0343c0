//! Who may give which rights, and the administrator that a company always keeps.

use super::rows::{CountRow, IdRow};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::permission::{self, ADMINISTRATOR, Grants, Scope};
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use diesel::sql_types::{Array, Json, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// The first permission, in alphabetical order, that reaches beyond one's own.
pub fn exceeding<'a>(own: &Grants, wanted: &'a Grants) -> Option<(&'a str, Scope)> {
    wanted
        .iter()
        .find(|(permission, scope)| own.get(*permission).is_none_or(|held| held < *scope))
        .map(|(permission, scope)| (permission.as_str(), *scope))
}

/// # Errors
/// `grant_exceeds_own` naming the first permission beyond the caller's own.
pub fn require_within_own(ctx: &Ctx, wanted: &Grants) -> AppResult<()> {
    let Some((permission, scope)) = exceeding(&ctx.principal.grants, wanted) else {
        return Ok(());
    };
    let scope = serde_json::to_value(scope).map_err(AppError::internal)?;
    let scope = scope.as_str().unwrap_or_default();
    Err(AppError::refuse(
        Code::GrantExceedsOwn,
        say(
            format!("You do not hold {permission} over {scope} yourself"),
            format!("您自己不具有权限 {permission}(范围 {scope})"),
        ),
    ))
}

/// Whether the caller may command over somebody: over oneself always, over others who hold no more.
///
/// # Errors
/// `grant_exceeds_own` naming the first permission beyond the caller's own.
pub async fn require_reach(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<()> {
    if user == ctx.user {
        return Ok(());
    }
    let theirs = grants_of(tx, ctx, user).await?;
    require_within_own(ctx, &theirs)
}

/// Queues the commands that could take a company's last administrator away, cross two hand-overs or close a ring of
/// teams. Taken before the records themselves.
///
/// # Errors
/// Database errors.
pub async fn queue(tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
    let query = sql_query("SELECT id FROM roles WHERE tenant_id = $1 AND key = $2 FOR NO KEY UPDATE")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Text, _>(ADMINISTRATOR);
    Cached(query).get_result::<IdRow>(&mut **tx).await.optional()?;
    Ok(())
}

/// To be asked after the change, in a transaction that queued.
///
/// # Errors
/// `last_administrator` when no active administrator is left.
pub async fn require_an_administrator(tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
    let query = sql_query(
        "SELECT count(*) AS count FROM user_roles ur \
         JOIN roles r ON r.tenant_id = $1 AND r.id = ur.role_id AND r.key = $2 \
         JOIN users u ON u.tenant_id = $1 AND u.id = ur.user_id AND u.is_active AND u.archived_at IS NULL \
         WHERE ur.tenant_id = $1",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(ADMINISTRATOR);
    let left: CountRow = Cached(query).get_result(&mut **tx).await?;
    if left.count > 0 {
        return Ok(());
    }
    Err(AppError::refuse(
        Code::LastAdministrator,
        say(
            "The company would be left without an active administrator",
            "企业将没有任何在职管理员",
        ),
    ))
}

/// A role to be given.
#[derive(QueryableByName)]
pub struct Role {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Json)]
    grants: serde_json::Value,
}

impl Role {
    /// # Errors
    /// When the stored grants cannot be read: a bug.
    pub fn grants(&self) -> AppResult<Grants> {
        serde_json::from_value(self.grants.clone()).map_err(AppError::internal)
    }
}

/// The live roles with these ids or keys, held against being archived.
///
/// # Errors
/// Database errors.
pub async fn hold_roles(tx: &mut Tx, ctx: &Ctx, ids: &[Uuid], keys: &[String]) -> AppResult<Vec<Role>> {
    let query = sql_query(
        "SELECT id, key, grants::json AS grants FROM roles \
         WHERE tenant_id = $1 AND archived_at IS NULL AND (id = ANY($2) OR key = ANY($3)) ORDER BY id FOR KEY SHARE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Array<SqlUuid>, _>(ids.to_vec())
    .bind::<Array<Text>, _>(keys.to_vec());
    Ok(Cached(query).load(&mut **tx).await?)
}

/// What a user's roles grant together.
///
/// # Errors
/// Database errors.
pub async fn grants_of(tx: &mut Tx, ctx: &Ctx, user: Uuid) -> AppResult<Grants> {
    let query = sql_query(
        "SELECT r.id, r.key, r.grants::json AS grants FROM user_roles ur \
         JOIN roles r ON r.tenant_id = $1 AND r.id = ur.role_id AND r.archived_at IS NULL WHERE ur.tenant_id = $1 AND ur.user_id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user);
    let roles: Vec<Role> = Cached(query).load(&mut **tx).await?;
    let grants = roles.iter().map(Role::grants).collect::<AppResult<Vec<_>>>()?;
    Ok(permission::union(&grants))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_one_lacks_or_holds_more_narrowly_exceeds_ones_own() {
        let grants = |permission: &str, scope| Grants::from([(permission.to_owned(), scope)]);
        let own = grants("lead.read", Scope::Team);
        assert_eq!(exceeding(&own, &grants("lead.read", Scope::Own)), None);
        assert_eq!(exceeding(&own, &grants("lead.read", Scope::Team)), None);
        assert_eq!(
            exceeding(&own, &grants("lead.read", Scope::TeamTree)),
            Some(("lead.read", Scope::TeamTree))
        );
        assert_eq!(
            exceeding(&own, &grants("lead.write", Scope::Own)),
            Some(("lead.write", Scope::Own))
        );
    }
}
