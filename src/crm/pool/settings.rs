//! The quotas of the pool over HTTP.

use super::Kind;
use super::quotas::{self, Quotas};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::Command;
use crate::platform::reply::Reply;
use actix_web::{get, put, web};
use diesel::sql_query;
use diesel::sql_types::{Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// What the company lets people claim from the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSettings {
    /// For accounts.
    pub accounts: PoolQuotas,
    /// For leads.
    pub leads: LeadPoolQuotas,
}

/// What the company lets a person claim of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolQuotas {
    /// Whoever holds so many, however they got them, claims no more; null: no limit.
    #[schema(minimum = 0, maximum = 1_000_000, example = 200)]
    pub most_held: Option<i32>,
    /// Most claims of a person on one day of the company's time zone; null: no limit.
    #[schema(minimum = 0, maximum = 1_000_000, example = 50)]
    pub most_claimed_daily: Option<i32>,
    /// For how many days whoever released a record, or lost it because nobody tended it, cannot claim it.
    #[schema(minimum = 0, maximum = 3650, example = 7)]
    pub cool_down_days: i32,
}

/// What the company lets a person claim of leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadPoolQuotas {
    /// Whoever holds so many, however they got them, claims no more; null: no limit.
    #[schema(minimum = 0, maximum = 1_000_000, example = 200)]
    pub most_held: Option<i32>,
    /// Most claims of a person on one day of the company's time zone; null: no limit.
    #[schema(minimum = 0, maximum = 1_000_000, example = 50)]
    pub most_claimed_daily: Option<i32>,
    /// For how many days whoever released a record, or lost it because nobody tended it, cannot claim it.
    #[schema(minimum = 0, maximum = 3650, example = 7)]
    pub cool_down_days: i32,
    /// Whether a lead that comes without an owner is in the pool at once. Otherwise it is put there when assignment finds
    /// nobody, and until then only those see it whose scope is everything.
    #[schema(example = false)]
    pub takes_unassigned: bool,
}

impl PoolSettings {
    fn of(accounts: Quotas, leads: Quotas) -> PoolSettings {
        PoolSettings {
            accounts: PoolQuotas {
                most_held: accounts.most_held,
                most_claimed_daily: accounts.most_claimed_daily,
                cool_down_days: accounts.cool_down_days,
            },
            leads: LeadPoolQuotas {
                most_held: leads.most_held,
                most_claimed_daily: leads.most_claimed_daily,
                cool_down_days: leads.cool_down_days,
                takes_unassigned: leads.takes_unassigned,
            },
        }
    }

    fn quotas(&self, kind: Kind) -> Quotas {
        match kind {
            Kind::Account => Quotas {
                most_held: self.accounts.most_held,
                most_claimed_daily: self.accounts.most_claimed_daily,
                cool_down_days: self.accounts.cool_down_days,
                takes_unassigned: true,
            },
            Kind::Lead => Quotas {
                most_held: self.leads.most_held,
                most_claimed_daily: self.leads.most_claimed_daily,
                cool_down_days: self.leads.cool_down_days,
                takes_unassigned: self.leads.takes_unassigned,
            },
        }
    }
}

/// Read the pool's quotas
///
/// How many records a person may hold and claim, and how long a record cools down for whoever lost it.
#[utoipa::path(tag = "pool", operation_id = "get_pool_settings", security(("bearer" = ["pool_rule.read"])), responses((status = 200, description = "The quotas", body = PoolSettings)))]
#[get("/v1/pool/settings")]
pub async fn get_pool_settings(db: web::Data<Db>, ctx: Ctx) -> AppResult<Reply> {
    let settings = db
        .read(async |conn| {
            let accounts = quotas::of(conn, ctx.tenant, Kind::Account).await?;
            Ok(PoolSettings::of(
                accounts,
                quotas::of(conn, ctx.tenant, Kind::Lead).await?,
            ))
        })
        .await?;
    Ok(Reply::ok(&settings)?.with_content_tag())
}

/// Set the pool's quotas
///
/// Replaces them whole; the next claim goes by them. Nobody loses what they hold.
#[utoipa::path(tag = "pool", operation_id = "replace_pool_settings", security(("bearer" = ["pool_rule.write"])), request_body = PoolSettings, responses((status = 200, description = "The quotas", body = PoolSettings)))]
#[put("/v1/pool/settings")]
pub async fn replace_pool_settings(db: web::Data<Db>, command: Command<PoolSettings>) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    db.write(&ctx, async |tx| {
        lock(tx, &ctx).await?;
        let before = PoolSettings::of(
            quotas::of(&mut &**tx, ctx.tenant, Kind::Account).await?,
            quotas::of(&mut &**tx, ctx.tenant, Kind::Lead).await?,
        );
        Reply::ok(&before)?.require_match(&ctx)?;
        for kind in Kind::ALL {
            store(tx, &ctx, kind, input.quotas(kind)).await?;
        }
        let changes = json!({ "changes": { "pool": { "before": before, "after": input } } });
        tx.record(Event::new("company.updated", "company", ctx.tenant, changes));
        Ok(Reply::ok(&input)?.with_content_tag())
    })
    .await
}

/// One change of the quotas at a time: they may have no rows to lock yet, so the company's own row stands for them.
async fn lock(tx: &mut Tx, ctx: &Ctx) -> AppResult<()> {
    let query = sql_query("SELECT 1 FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE")
        .bind::<SqlUuid, _>(ctx.tenant);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}

async fn store(tx: &mut Tx, ctx: &Ctx, kind: Kind, quotas: Quotas) -> AppResult<()> {
    let query = sql_query(
        "INSERT INTO pool_settings (tenant_id, record_kind, most_held, most_claimed_daily, cool_down_days, takes_unassigned, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, record_kind) DO UPDATE SET most_held = EXCLUDED.most_held, \
         most_claimed_daily = EXCLUDED.most_claimed_daily, cool_down_days = EXCLUDED.cool_down_days, \
         takes_unassigned = EXCLUDED.takes_unassigned, updated_at = EXCLUDED.updated_at",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind.name())
    .bind::<Nullable<Integer>, _>(quotas.most_held)
    .bind::<Nullable<Integer>, _>(quotas.most_claimed_daily)
    .bind::<Integer, _>(quotas.cool_down_days)
    .bind::<Bool, _>(quotas.takes_unassigned)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    Ok(())
}
