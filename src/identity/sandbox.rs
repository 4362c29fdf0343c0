//! Sandbox companies: apart from the company that makes them, with a clock that can be moved.

use super::bootstrap::{self, Made, NewCompany, NewPerson};
use super::passwords;
use super::resources::LOCALES;
use super::rows::JsonRow;
use super::sign_in::usable_hash;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::kernel::text::say;
use crate::platform::contract;
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Shared};
use crate::platform::input;
use crate::platform::reply::Reply;
use actix_web::{post, web};
use chrono::{DateTime, Utc};
use diesel::sql_query;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// A sandbox company to be made.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSandbox {
    /// Its name.
    #[schema(max_length = 200, min_length = 1, example = "演练企业")]
    name: String,
    /// Short name for sign-in; one is made when it is not given.
    #[schema(
        max_length = 60,
        pattern = "^[a-z0-9](-?[a-z0-9])*$",
        example = "acme-rehearsal"
    )]
    slug: Option<String>,
    /// Where its clock stands at first.
    #[schema(example = "2024-03-05T00:30:00Z")]
    now: DateTime<Utc>,
    /// Its first administrator, who signs in there.
    administrator: NewAdministrator,
}

/// The first administrator of a company.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdministrator {
    /// Name.
    #[schema(max_length = 100, min_length = 1, example = "李伟")]
    name: String,
    /// Sign-in name.
    #[schema(max_length = 254, format = "email", example = "li@example.com")]
    email: String,
    /// Password, at least 15 characters.
    #[schema(
        max_length = 256,
        min_length = 1,
        format = "password",
        example = "correct horse battery staple"
    )]
    password: String,
}

/// Everything that is wrong with a company to be, by the same limits as one that is made through the API; pointers as there.
///
/// # Errors
/// When the limits are no schema: a bug.
pub fn faults(new: &NewCompany) -> AppResult<Vec<Fault>> {
    let mut schema = serde_json::to_value(NewSandbox::schema()).map_err(AppError::internal)?;
    schema["components"] = json!({ "schemas": { "NewAdministrator": NewAdministrator::schema() } });
    let schema = contract::compile(&schema).map_err(AppError::internal)?;
    let person = &new.administrator;
    let sent = json!({
        "name": new.name, "slug": new.slug, "now": DateTime::<Utc>::UNIX_EPOCH,
        "administrator": { "name": person.name, "email": person.email, "password": person.password }
    });
    let mut faults = input::faults(&schema, &sent);
    let about = [person.email.as_str(), &person.name, &new.name, &new.slug];
    if let Some((en, zh)) = passwords::weakness(&person.password, &about) {
        let pointer = "/administrator/password";
        faults.retain(|fault| fault.pointer != pointer);
        faults.push(Fault::new(pointer, "weak_password", say(en, zh)));
    }
    if !money::is_currency(&new.currency) {
        faults.push(money::unknown_currency("/currency"));
    }
    if new.time_zone.parse::<chrono_tz::Tz>().is_err() {
        faults.push(bootstrap::unknown_time_zone());
    }
    if !LOCALES.contains(&new.locale.as_str()) {
        let allowed = LOCALES.join(", ");
        faults.push(Fault::new(
            "/locale",
            "unknown_value",
            say(
                format!("must be one of: {allowed}"),
                format!("必须是以下之一:{allowed}"),
            ),
        ));
    }
    Ok(faults)
}

/// A sandbox company that was made.
#[derive(Serialize, ToSchema)]
pub struct SandboxView {
    /// Id of the company, for `tenant` at sign-in.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    id: Uuid,
    /// Its name.
    #[schema(example = "演练企业")]
    name: String,
    /// Its short name, for `tenant` at sign-in.
    #[schema(example = "acme-rehearsal")]
    slug: String,
    /// Where its clock stands.
    #[schema(example = "2024-03-05T00:30:00Z")]
    now: DateTime<Utc>,
    /// Id of its first administrator, in the sandbox.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2b")]
    administrator_id: Uuid,
}

/// Make a sandbox company
///
/// A company apart from this one, with its time zone, currency and language, and a clock that stands where it is told.
/// Its administrator signs in there.
#[utoipa::path(tag = "identity", operation_id = "create_sandbox", security(("bearer" = ["sandbox.write"])), request_body = NewSandbox, responses((status = 201, body = SandboxView)))]
#[post("/v1/sandboxes")]
pub async fn create_sandbox(
    db: web::Data<Db>,
    shared: Shared,
    command: Command<NewSandbox>,
) -> AppResult<Reply> {
    let Command { ctx, input } = command;
    let administrator = &input.administrator;
    let mut about = vec![&*administrator.email, &administrator.name, &input.name];
    about.extend(input.slug.as_deref());
    let hash = usable_hash("/administrator/password", &administrator.password, &about).await?;
    db.write(&ctx, async |tx| {
        let new = company_of(tx, &ctx, &input).await?;
        let made = Made::fresh();
        bootstrap::make_company_in(tx, &new, made, &hash, &shared.ships).await?;
        tx.record(Event::new(
            "company.sandbox_made",
            "company",
            ctx.tenant,
            json!({ "sandbox_id": made.tenant, "name": new.name }),
        ));
        let view = SandboxView {
            id: made.tenant,
            name: new.name,
            slug: new.slug,
            now: input.now,
            administrator_id: made.administrator,
        };
        Reply::json(201, &view)
    })
    .await
}

/// The sandbox with its maker's settings.
async fn company_of(tx: &mut Tx, ctx: &Ctx, input: &NewSandbox) -> AppResult<NewCompany> {
    let query = sql_query("SELECT to_json(locale) AS value FROM tenants WHERE tenant_id = $1")
        .bind::<SqlUuid, _>(ctx.tenant);
    let locale: JsonRow = Cached(query).get_result(&mut **tx).await?;
    let slug = match &input.slug {
        Some(slug) => slug.clone(),
        None => format!("sandbox-{}", Uuid::now_v7().simple()),
    };
    Ok(NewCompany {
        name: input.name.clone(),
        slug,
        time_zone: ctx.principal.company.time_zone.name().to_owned(),
        currency: ctx.currency().to_owned(),
        locale: locale.value.as_str().unwrap_or("en").to_owned(),
        sandbox_now: Some(input.now),
        administrator: NewPerson {
            name: input.administrator.name.clone(),
            email: input.administrator.email.clone(),
            password: String::new(),
        },
    })
}
