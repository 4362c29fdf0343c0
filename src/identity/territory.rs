//! Nobody widens their own reach: rights that stop short of everything go by the team, and so do the leaders who approve.
//! Moving a team or a colleague, or making oneself leader, is then a change of one's own rights, which somebody else makes.

use super::rows::CountRow;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::permission::Scope;
use crate::kernel::problem::Code;
use crate::kernel::text::{Say, say};
use crate::platform::db::{Cached, Tx};
use crate::platform::records::Change;
use crate::platform::records::spec::Act;
use diesel::sql_types::{Bool, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

/// Whose rights are all of everything gains nothing by another team.
fn holds_all(ctx: &Ctx) -> bool {
    let mut scopes = ctx.principal.grants.values();
    scopes.all(|scope| *scope == Scope::All)
}

fn own_roles(message: Say) -> AppError {
    AppError::refuse(Code::OwnRoles, message)
}

/// # Errors
/// `own_roles` when somebody changes their own team, or brings a colleague among those whom they reach.
pub async fn require_user_kept(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    if holds_all(ctx) || !change.changed("team_id") {
        return Ok(());
    }
    if change.id == ctx.user {
        return Err(own_roles(say(
            "Your own team is changed by somebody else, since your rights go by it",
            "您的权限取决于所在团队,须由他人更改",
        )));
    }
    let territory = Territory::of(tx, ctx).await?;
    if territory.gains(id_before(change, "team_id"), change.id_of("team_id")) {
        return Err(own_roles(say(
            "This team is within your reach and their present one is not: who joins it is moved by somebody else, since you would reach what they own",
            "该团队在您的权限范围内,而其现有团队不在:将其移入会扩大您的权限,须由他人操作",
        )));
    }
    Ok(())
}

/// # Errors
/// `own_roles` when somebody comes to lead a team by it, or gets a team below those that they reach.
pub async fn require_team_kept(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<()> {
    if holds_all(ctx) || change.act == Act::Archive {
        return Ok(());
    }
    // A leader counts as one only while the team is not archived.
    let comes_to_lead = change.changed("leader_id") || change.act == Act::Restore;
    if comes_to_lead && change.id_of("leader_id") == Some(ctx.user) {
        return Err(own_roles(say(
            "Somebody else makes you the leader of a team, since your rights go by it",
            "您的权限取决于所领导的团队,须由他人将您设为组长",
        )));
    }
    if change.act != Act::Update || !change.changed("parent_id") {
        return Ok(());
    }
    let territory = Territory::of(tx, ctx).await?;
    if territory.gains_below(change.id, change.id_of("parent_id")) {
        return Err(own_roles(say(
            "Somebody else puts this team below yours, since you would reach what its people own",
            "将该团队移至您的团队之下会扩大您的权限,须由他人操作",
        )));
    }
    Ok(())
}

/// # Errors
/// `own_roles` when somebody would take over the lead of a team from whoever hands over.
pub async fn require_lead_kept(tx: &mut Tx, ctx: &Ctx, from: Uuid, to: Uuid) -> AppResult<()> {
    if holds_all(ctx) || to != ctx.user {
        return Ok(());
    }
    let query = sql_query(
        "SELECT count(*) AS count FROM teams WHERE tenant_id = $1 AND leader_id = $2 AND archived_at IS NULL",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(from);
    let led: CountRow = Cached(query).get_result(&mut **tx).await?;
    if led.count == 0 {
        return Ok(());
    }
    Err(own_roles(say(
        "They lead a team, which you would lead by this: somebody else makes you its leader, since your rights go by it",
        "对方是团队组长,交接会使您成为组长并改变您的权限,须由他人操作",
    )))
}

fn id_before(change: &Change, member: &str) -> Option<Uuid> {
    change.before.get(member).and_then(Value::as_str)?.parse().ok()
}

#[derive(QueryableByName)]
struct TeamRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Bool)]
    is_root: bool,
}

/// The teams by which the caller's rights go, as they stand now.
struct Territory {
    /// Led, or their own where a right goes by it.
    roots: Vec<Uuid>,
    /// Those and all below.
    tree: Vec<Uuid>,
    /// Whether any right reaches over the team alone.
    goes_by_team: bool,
}

impl Territory {
    async fn of(tx: &mut Tx, ctx: &Ctx) -> AppResult<Territory> {
        let holds = |wanted: Scope| ctx.principal.grants.values().any(|scope| *scope == wanted);
        let (goes_by_team, goes_by_tree) = (holds(Scope::Team), holds(Scope::TeamTree));
        let query = sql_query(
            "WITH RECURSIVE roots AS ( \
                SELECT u.team_id AS id FROM users u WHERE u.tenant_id = $1 AND u.id = $2 AND u.team_id IS NOT NULL AND $3 \
                UNION SELECT t.id FROM teams t WHERE t.tenant_id = $1 AND t.leader_id = $2 AND t.archived_at IS NULL \
             ), tree AS ( \
                SELECT id FROM roots UNION SELECT t.id FROM teams t JOIN tree ON t.parent_id = tree.id WHERE t.tenant_id = $1 \
             ) SELECT id, id IN (SELECT id FROM roots) AS is_root FROM tree",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(ctx.user)
        .bind::<Bool, _>(goes_by_team || goes_by_tree);
        let rows: Vec<TeamRow> = Cached(query).load(&mut **tx).await?;
        let roots = rows.iter().filter(|row| row.is_root).map(|row| row.id);
        Ok(Territory {
            roots: roots.collect(),
            tree: rows.iter().map(|row| row.id).collect(),
            goes_by_team,
        })
    }

    /// Whether whoever moves between these teams comes within reach.
    fn gains(&self, from: Option<Uuid>, to: Option<Uuid>) -> bool {
        let comes_into = |teams: &[Uuid]| {
            to.is_some_and(|to| teams.contains(&to)) && !from.is_some_and(|from| teams.contains(&from))
        };
        comes_into(&self.tree) || self.goes_by_team && comes_into(&self.roots)
    }

    /// Whether a team comes within reach by what is to stand above it.
    fn gains_below(&self, team: Uuid, parent: Option<Uuid>) -> bool {
        parent.is_some_and(|parent| self.tree.contains(&parent)) && !self.tree.contains(&team)
    }
}
