//! Assembles the rooms: which resources and routes there are, and the document that follows from them.

use crate::approval::subjects::Subjects;
use crate::event::timeline::Owned;
use crate::jobs::Kinds;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Db, Tx};
use crate::platform::document::{self, Tag};
use crate::platform::gatekeeper::{MOST_BODY, Platform, front_door, preflights};
use crate::platform::hand_over::{HandOver, Ship};
use crate::platform::merging::{Link, Links};
use crate::platform::records::{self, Resource};
use crate::platform::{pages, problem};
use crate::time::clock::TimerHandlers;
use crate::time::timer::Handlers;
use crate::{
    approval, catalog, crm, event, identity, insight, jobs, opportunity, pipeline, search, time, transfer,
    view,
};
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, web};
use futures::future::LocalBoxFuture;
use serde_json::Value;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

/// The document's tags, one for each room.
pub const TAGS: &[Tag] = &[
    ("sign-in", "Signing in and out, tokens, keys."),
    ("identity", "Room 1: the company, its people, teams, roles."),
    ("accounts", "Room 2: accounts and contacts."),
    ("leads", "Room 3: lead sources, signed intake, leads, conversion."),
    (
        "scoring",
        "Room 3: how leads are scored, recorded behaviour, reviews of candidates; room 2: ideal customers.",
    ),
    (
        "pool",
        "Rooms 2 and 3: the public pool of leads and accounts that nobody owns, and the rules by which they go there.",
    ),
    (
        "assignment",
        "Room 3: who gets which leads, absences, and the clock until the first response.",
    ),
    (
        "pipelines",
        "Room 4: the company's processes, their versions, stages and gates.",
    ),
    ("opportunities", "Room 5: running deals and their parts."),
    ("approvals", "Room 6: approval processes, requests, decisions."),
    ("catalog", "Products, competitors, loss reasons, exchange rates."),
    (
        "duplicates",
        "Rooms 2 and 3: records that may be one, and merging them.",
    ),
    ("fields", "Room 13: the company's own fields."),
    (
        "search",
        "One search over accounts, contacts, leads and opportunities.",
    ),
    ("views", "Saved views and segments: filter trees that are kept."),
    ("figures", "Room 15: the funnel."),
    (
        "calendar",
        "Room 17: the working week, holidays and make-up days, deadlines by them.",
    ),
    ("jobs", "Long work: its progress, its errors, its end."),
    ("events", "Room 16: the feed of everything that happened."),
    ("operations", "Health of the server."),
    ("reference", "Problem codes, keys, schemas."),
];

/// What can be approved, and whom to tell when a request ends.
pub const SUBJECTS: Subjects = opportunity::APPROVAL_SUBJECTS;

/// Every declared resource.
pub fn resources() -> Vec<&'static Resource> {
    let areas = [
        identity::RESOURCES,
        catalog::RESOURCES,
        crm::RESOURCES,
        pipeline::RESOURCES,
        opportunity::RESOURCES,
        approval::RESOURCES,
        view::RESOURCES,
        time::RESOURCES,
    ];
    areas.iter().flat_map(|area| area.iter().copied()).collect()
}

/// Those whose records have owners.
fn owned() -> Vec<&'static Resource> {
    let mut resources = resources();
    resources.retain(|resource| resource.is_owned());
    resources
}

/// What each kind of timer does.
pub const TIMERS: Handlers = &[
    (identity::staffing::TIMER, |tx, ctx, _| {
        Box::pin(async move { approval::staffing::fill(tx, ctx, SUBJECTS).await.map(|_| ()) })
    }),
    (approval::timers::REMINDER, |tx, ctx, timer| {
        Box::pin(approval::timers::fire_reminder(
            tx,
            ctx,
            SUBJECTS,
            timer.subject_id,
            &timer.details,
        ))
    }),
    (approval::timers::DEADLINE, |tx, ctx, timer| {
        Box::pin(approval::timers::fire_deadline(
            tx,
            ctx,
            SUBJECTS,
            timer.subject_id,
            &timer.details,
        ))
    }),
    (crm::grading::DAILY, |tx, ctx, timer| {
        Box::pin(crm::grading::fire_daily(tx, ctx, timer))
    }),
    (crm::scoring::refresh::DAILY, |tx, ctx, timer| {
        Box::pin(crm::scoring::refresh::fire_daily(tx, ctx, timer))
    }),
    (crm::duplicates::reviews::DUE, |tx, ctx, timer| {
        Box::pin(crm::duplicates::reviews::fire_due(tx, ctx, timer))
    }),
    (crm::handover::record::WARNING, |tx, ctx, timer| {
        Box::pin(crm::handover::timers::fire_warning(tx, ctx, timer))
    }),
    (crm::handover::record::DEADLINE, |tx, ctx, timer| {
        Box::pin(crm::handover::timers::fire_deadline(tx, ctx, timer))
    }),
    (crm::nurturing::RETURN, |tx, ctx, timer| {
        Box::pin(crm::nurturing::fire(tx, ctx, timer))
    }),
    (crm::field_index::TIMER, |tx, ctx, timer| {
        Box::pin(crm::field_index::fire(tx, ctx, timer))
    }),
    (crm::pool::recycling::DAILY, |tx, ctx, timer| {
        Box::pin(crm::pool::recycling::fire_daily(
            tx,
            ctx,
            timer,
            opportunity::holding::DEALS,
        ))
    }),
    (crm::pool::recycling::RULES, |tx, ctx, timer| {
        Box::pin(crm::pool::recycling::fire_rules(tx, ctx, timer))
    }),
];
/// The long work that there is.
pub const JOBS: Kinds = &[
    &crm::scoring::rescore::RESCORE,
    &opportunity::migration::MIGRATE,
    &opportunity::migration::ROLL_BACK,
    &transfer::import::LEADS,
    &transfer::import::ACCOUNTS,
    &transfer::import::CONTACTS,
    &transfer::import::OPPORTUNITIES,
    &transfer::export::LEADS,
    &transfer::export::ACCOUNTS,
    &transfer::export::CONTACTS,
    &transfer::export::OPPORTUNITIES,
];

/// What each area does when somebody hands everything over.
pub fn hand_overs() -> Vec<HandOver> {
    vec![
        identity::handing::teams,
        crm::hand_over::hand_over,
        opportunity::hand_over::hand_over,
    ]
}

/// What names records that can be merged.
pub fn links() -> Vec<&'static Link> {
    let areas = [crm::merging::links::LINKS, opportunity::merging::LINKS];
    areas.iter().flat_map(|area| area.iter()).collect()
}

/// What the areas put into a new company.
pub const SHIPS: &[Ship] = &[catalog::shipped::loss_reasons];

/// What happens to the undecided seats of somebody who leaves or hands over.
pub fn leave_seats<'a>(
    tx: &'a mut Tx,
    ctx: &'a Ctx,
    giver: Uuid,
    successor: Option<Uuid>,
) -> LocalBoxFuture<'a, AppResult<i64>> {
    Box::pin(approval::staffing::give_up_seats(
        tx, ctx, SUBJECTS, giver, successor,
    ))
}

/// What is asked most of what the annotated operations do.
fn hot(config: &mut ServiceConfig) {
    crm::intake::hot(config);
    opportunity::hot(config);
}

/// The annotated operations of all rooms.
fn rooms(config: &mut ServiceConfig) {
    // The router tries one path after the other.
    hot(config);
    opportunity::routes(config);
    crm::routes(config);
    config
        .service(problem::list_problems)
        .service(problem::get_problem);
    pages::routes(config);
    identity::routes(config);
    pipeline::routes(config);
    event::routes(config);
    jobs::routes(config);
    transfer::routes(config);
    time::routes(config);
    insight::routes(config);
    view::routes(config);
    search::routes(config);
    approval::routes(config);
}

/// The OpenAPI document.
pub fn document() -> Value {
    #[derive(OpenApi)]
    #[openapi(components(schemas(problem::Problem, problem::ProblemFault)))]
    struct Base;
    let (_, annotated) = App::new()
        .into_utoipa_app()
        .openapi(Base::openapi())
        .configure(rooms)
        .split_for_parts();
    document::assemble(annotated, &resources(), TAGS)
}

/// The service as one worker runs it.
pub fn service(
    platform: web::Data<Platform>,
    db: Db,
    cors: actix_cors::Cors,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let db = db.sealing_with(Arc::clone(&platform.auth.secrets));
    let app = App::new()
        .app_data(platform)
        .app_data(web::Data::new(db))
        .app_data(web::Data::new(TimerHandlers(TIMERS)))
        .app_data(web::Data::new(jobs::Registered(JOBS)))
        .app_data(web::Data::new(Owned(owned())))
        .app_data(web::Data::new(Links(links())))
        .app_data(web::Data::new(opportunity::SUBJECTS))
        .app_data(web::Data::new(SUBJECTS))
        .app_data(web::Data::new(opportunity::holding::DEALS))
        .app_data(web::Data::new(opportunity::advance::together::Convoy::default()))
        .app_data(web::Data::new(crm::intake::together::Convoy::default()))
        .app_data(web::PayloadConfig::new(MOST_BODY))
        // The router tries one path after the other, so what is asked most stands first.
        .configure(|config| records::http::routes(&opportunity::resources::OPPORTUNITY, config))
        .into_utoipa_app()
        .configure(rooms)
        .into_app();
    app.configure(|config| {
        let others = resources()
            .into_iter()
            .filter(|resource| resource.singular != "opportunity");
        others.for_each(|resource| records::http::routes(resource, config))
    })
    .configure(pages::documentation)
    .wrap(actix_web::middleware::from_fn(front_door))
    .wrap(actix_web::middleware::Compat::new(cors))
    .wrap(actix_web::middleware::from_fn(preflights))
}
