//! Campaigns of the channels, what they cost, and which leads they won.

use super::resources::LEAD_SOURCE;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Access, Act, Change, Hooks, Member, Resource, Verbs};
use chrono::NaiveDate;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::future::LocalBoxFuture;
use serde_json::{Map, Value};
use std::collections::HashMap;
use uuid::Uuid;

pub static CAMPAIGN: Resource = Resource {
    singular: "campaign",
    plural: "campaigns",
    table: "campaigns",
    tag: "leads",
    about: "Something that a channel does to win leads, for a time and a budget. Leads name it by `campaign_key`, until it is archived.",
    permission: "source",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::key(
            "key",
            "Stable key, by which leads name it: what links carry as `utm_campaign`, say.",
            "\"spring_2024\"",
        )
        .required()
        .fixed()
        .filter()
        .sort(),
        Member::text("name", 200, "Name.", "\"春季展会\"")
            .required()
            .search()
            .sort(),
        Member::to("source_id", &LEAD_SOURCE, "The source that it is run on.").required(),
        Member::day("starts_on", "First day.").sort(),
        Member::day("ends_on", "Last day; not before the first.").sort(),
        Member::money("budget", "What it may cost."),
        Member::currency("Currency of the budget; the company's when not given."),
        Member::text("description", 5000, "Notes.", "null"),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(before),
        ..Hooks::NONE
    },
};

pub static CAMPAIGN_COST: Resource = Resource {
    singular: "campaign_cost",
    plural: "campaign-costs",
    table: "campaign_costs",
    tag: "leads",
    about: "What a campaign cost on a day.",
    permission: "source",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::to("campaign_id", &CAMPAIGN, "The campaign.")
            .required()
            .fixed(),
        Member::day("cost_on", "The day.").required().sort(),
        Member::money("amount", "What it cost.").required(),
        Member::currency("Currency in which it was paid; the company's when not given."),
        Member::text("note", 500, "For what.", "\"展位费\""),
    ],
    default_sort: "-cost_on",
    hooks: Hooks::NONE,
};

/// A campaign ends on or after the day on which it starts.
fn before<'a>(_: &'a mut Tx, _: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        let day = |member| change.text(member).and_then(|day| day.parse::<NaiveDate>().ok());
        let ends_early = day("starts_on")
            .zip(day("ends_on"))
            .is_some_and(|(starts, ends)| ends < starts);
        if ends_early && matches!(change.act, Act::Create | Act::Update) {
            return Err(AppError::invalid(vec![Fault::out_of_range(
                "/ends_on",
                "must not be before starts_on",
                "不能早于 starts_on",
            )]));
        }
        Ok(())
    })
}

#[derive(QueryableByName)]
struct Running {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// What a write says about the campaign that won a lead.
#[derive(Clone, Copy)]
pub(super) enum Naming {
    Nothing,
    TakenAway,
    Named(Uuid),
}

/// What the writes of some leads say of their campaigns, in their order.
///
/// # Errors
/// Database errors; by lead, `invalid` when no campaign with that key runs.
pub(super) async fn named(tx: &mut Tx, ctx: &Ctx, changes: &[Change]) -> AppResult<Vec<AppResult<Naming>>> {
    let mut keys = changes.iter().filter_map(key_of).collect::<Vec<_>>();
    keys.sort_unstable();
    keys.dedup();
    let running = match keys.is_empty() {
        true => HashMap::new(),
        false => running(tx, ctx.tenant, &keys).await?,
    };
    let naming = |change: &Change| match key_of(change) {
        _ if !change.was_sent("campaign_key") => Ok(Naming::Nothing),
        None => Ok(Naming::TakenAway),
        Some(key) => match running.get(key) {
            Some(id) => Ok(Naming::Named(*id)),
            None => Err(AppError::invalid(vec![Fault::not_found("/campaign_key")])),
        },
    };
    Ok(changes.iter().map(naming).collect())
}

fn key_of(change: &Change) -> Option<&str> {
    let key = change.text("campaign_key").filter(|key| !key.is_empty());
    key.filter(|_| change.was_sent("campaign_key"))
}

/// The fault of a lead that names a campaign that does not run, for whoever has other faults to tell of it already.
///
/// # Errors
/// Database errors.
pub(super) async fn fault(
    conn: &mut &AsyncPgConnection,
    tenant: Uuid,
    lead: &Map<String, Value>,
) -> AppResult<Option<Fault>> {
    let key = lead.get("campaign_key").and_then(Value::as_str);
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let query =
        sql_query("SELECT key, id FROM campaigns WHERE tenant_id = $1 AND key = $2 AND archived_at IS NULL")
            .bind::<SqlUuid, _>(tenant)
            .bind::<Text, _>(key);
    let found: Option<Running> = Cached(query).get_result(conn).await.optional()?;
    Ok(found.is_none().then(|| Fault::not_found("/campaign_key")))
}

/// Those of these campaigns that run, held until the transaction ends.
async fn running(tx: &mut Tx, tenant: Uuid, keys: &[&str]) -> AppResult<HashMap<String, Uuid>> {
    let query = sql_query(
        "SELECT key, id FROM campaigns WHERE tenant_id = $1 AND key = ANY($2) AND archived_at IS NULL FOR KEY SHARE",
    )
    .bind::<SqlUuid, _>(tenant)
    .bind::<Array<Text>, _>(keys);
    let rows: Vec<Running> = Cached(query).load(&mut **tx).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.id)).collect())
}

/// Notes it. Once this was done the leads must be written: the rows name them.
///
/// # Errors
/// Database errors.
pub(super) async fn note(tx: &mut Tx, ctx: &Ctx, changes: &mut [Change], said: &[Naming]) -> AppResult<()> {
    let (mut freed, mut leads, mut campaigns) = (Vec::new(), Vec::new(), Vec::new());
    for (change, naming) in changes.iter_mut().zip(said) {
        match naming {
            Naming::Nothing => {}
            Naming::TakenAway => freed.push(change.id),
            Naming::Named(campaign) => {
                leads.push(change.id);
                campaigns.push(*campaign);
                change.also.push((CAMPAIGN.singular, *campaign));
            }
        }
    }
    if !freed.is_empty() {
        let query = sql_query("DELETE FROM lead_campaigns WHERE tenant_id = $1 AND lead_id = ANY($2)")
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<Array<SqlUuid>, _>(freed);
        Cached(query).execute(&mut **tx).await?;
    }
    if !leads.is_empty() {
        let query = sql_query(
            "INSERT INTO lead_campaigns (tenant_id, lead_id, campaign_id) \
             SELECT $1, x.* FROM unnest($2::uuid[], $3::uuid[]) AS x (lead_id, campaign_id) \
             ON CONFLICT (tenant_id, lead_id) DO UPDATE SET campaign_id = EXCLUDED.campaign_id",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SqlUuid>, _>(leads)
        .bind::<Array<SqlUuid>, _>(campaigns);
        Cached(query).execute(&mut **tx).await?;
    }
    Ok(())
}

/// The key of the campaign that won a lead.
///
/// # Errors
/// Database errors.
pub async fn key_of_lead(tx: &mut Tx, ctx: &Ctx, lead: Uuid) -> AppResult<Option<String>> {
    let query = sql_query(
        "SELECT c.key, c.id FROM lead_campaigns l JOIN campaigns c ON c.tenant_id = l.tenant_id AND c.id = l.campaign_id \
         WHERE l.tenant_id = $1 AND l.lead_id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(lead);
    let found: Option<Running> = Cached(query).get_result(&mut **tx).await.optional()?;
    Ok(found.map(|found| found.key))
}
