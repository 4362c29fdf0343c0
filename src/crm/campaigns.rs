//! Campaigns of the channels, what they cost, and which leads they won.

use super::resources::LEAD_SOURCE;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::{Access, Act, Change, Hooks, Member, Resource, Verbs};
use chrono::NaiveDate;
use diesel::sql_types::{Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use futures::future::LocalBoxFuture;
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
struct Found {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// What a write says about the campaign that won a lead.
pub(super) enum Naming {
    Nothing,
    TakenAway,
    Named(Uuid),
}

/// The campaign that a lead's write names by its key.
///
/// # Errors
/// `invalid` when no campaign with that key runs; database errors.
pub(super) async fn named(tx: &mut Tx, ctx: &Ctx, change: &Change) -> AppResult<Naming> {
    if !change.was_sent("campaign_key") {
        return Ok(Naming::Nothing);
    }
    let Some(key) = change.text("campaign_key").filter(|key| !key.is_empty()) else {
        return Ok(Naming::TakenAway);
    };
    let query = sql_query(
        "SELECT id FROM campaigns WHERE tenant_id = $1 AND key = $2 AND archived_at IS NULL FOR KEY SHARE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(key);
    let found: Option<Found> = Cached(query).get_result(&mut **tx).await.optional()?;
    match found {
        Some(Found { id }) => Ok(Naming::Named(id)),
        None => Err(AppError::invalid(vec![Fault::not_found("/campaign_key")])),
    }
}

/// Notes it. Once this was done the lead must be written: the row names it.
///
/// # Errors
/// Database errors.
pub(super) async fn note(tx: &mut Tx, ctx: &Ctx, change: &mut Change, naming: Naming) -> AppResult<()> {
    let statement = match naming {
        Naming::Nothing => return Ok(()),
        Naming::TakenAway => {
            "DELETE FROM lead_campaigns WHERE tenant_id = $1 AND lead_id = $2 AND $3::uuid IS NULL"
        }
        Naming::Named(_) => {
            "INSERT INTO lead_campaigns (tenant_id, lead_id, campaign_id) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant_id, lead_id) DO UPDATE SET campaign_id = EXCLUDED.campaign_id"
        }
    };
    let campaign = match naming {
        Naming::Named(id) => Some(id),
        Naming::Nothing | Naming::TakenAway => None,
    };
    let query = sql_query(statement)
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(change.id)
        .bind::<Nullable<SqlUuid>, _>(campaign);
    Cached(query).execute(&mut **tx).await?;
    change.also.extend(campaign.map(|id| (CAMPAIGN.singular, id)));
    Ok(())
}
