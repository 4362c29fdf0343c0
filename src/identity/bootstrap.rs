//! Makes a company: its settings, the shipped roles, its first administrator.

use super::passwords;
use crate::kernel::ctx::{ActorKind, Company, Ctx, Duplicates};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::permission::{ADMINISTRATOR, SHIPPED_ROLES};
use crate::platform::clock;
use crate::platform::db::{Db, Tx};
use crate::platform::events::Event;
use crate::platform::hand_over::Ship;
use crate::platform::reply::Reply;
use crate::schema::{company_slugs, roles, tenants, user_roles, users};
use chrono::{DateTime, Utc};
use diesel::ExpressionMethods;
use diesel_async::RunQueryDsl;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// A company to be made.
#[derive(Debug, Clone)]
pub struct NewCompany {
    pub name: String,
    pub slug: String,
    /// IANA name, e.g. `Asia/Shanghai`.
    pub time_zone: String,
    /// ISO 4217.
    pub currency: String,
    /// `en`, `zh-CN` or `ru`; names of shipped roles follow it.
    pub locale: String,
    /// A sandbox company's clock, if it is to be one.
    pub sandbox_now: Option<DateTime<Utc>>,
    pub administrator: NewPerson,
}

/// A person to be made, with a password.
#[derive(Debug, Clone)]
pub struct NewPerson {
    pub name: String,
    pub email: String,
    pub password: String,
}

/// What was made.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    pub tenant: Uuid,
    pub administrator: Uuid,
}

impl Made {
    /// Ids for a company to be.
    pub fn fresh() -> Made {
        Made {
            tenant: Uuid::now_v7(),
            administrator: Uuid::now_v7(),
        }
    }
}

/// Makes a company in a transaction of its own.
///
/// # Errors
/// `invalid` when a setting cannot be used, `duplicate` when the short name is taken.
pub async fn make_company(db: &Db, new: &NewCompany, ships: &[Ship]) -> AppResult<Made> {
    let hash = passwords::hash(&new.administrator.password).await?;
    let made = Made::fresh();
    let ctx = terms(new, made)?;
    db.write(&ctx, async |tx| {
        insert_company(tx, &ctx, new, made, &hash).await?;
        ship(tx, &ctx, new, ships).await?;
        Ok(Reply::no_content())
    })
    .await?;
    Ok(made)
}

/// Makes a company within another's command. `hash`: of the administrator's password. Events recorded before it in the
/// transaction would be written as the new company's; record the command's own afterwards.
///
/// # Errors
/// As [`make_company`].
pub async fn make_company_in(
    tx: &mut Tx,
    new: &NewCompany,
    made: Made,
    hash: &str,
    ships: &[Ship],
) -> AppResult<()> {
    let ctx = terms(new, made)?;
    insert_company(tx, &ctx, new, made, hash).await?;
    ship(tx, &ctx, new, ships).await?;
    tx.flush_events(&ctx).await
}

async fn ship(tx: &mut Tx, ctx: &Ctx, new: &NewCompany, ships: &[Ship]) -> AppResult<()> {
    for ship in ships {
        ship(tx, ctx, &new.locale).await?;
    }
    Ok(())
}

/// The terms under which the system sets a company up.
fn terms(new: &NewCompany, made: Made) -> AppResult<Ctx> {
    let time_zone = new.time_zone.parse::<chrono_tz::Tz>();
    let time_zone = time_zone.map_err(|_| AppError::invalid(vec![unknown_time_zone()]))?;
    let recorded_at = clock::real_now();
    let company = Company {
        name: new.name.clone(),
        currency: new.currency.clone(),
        time_zone,
        is_phone_strict: false,
        grade_a_days: 30,
        grade_b_months: 6,
        is_sandbox: new.sandbox_now.is_some(),
        duplicates: Duplicates::default(),
    };
    Ok(Ctx::system(
        Arc::new(company),
        made.tenant,
        ActorKind::System,
        new.sandbox_now.unwrap_or(recorded_at),
        recorded_at,
    ))
}

pub(super) fn unknown_time_zone() -> Fault {
    Fault::invalid("/time_zone", "is not an IANA time zone", "不是有效的 IANA 时区")
}

async fn insert_company(tx: &mut Tx, ctx: &Ctx, new: &NewCompany, made: Made, hash: &str) -> AppResult<()> {
    // First of all: whoever asks for the same name at the same time waits here, and is then refused.
    diesel::insert_into(company_slugs::table)
        .values((
            company_slugs::slug.eq(&new.slug),
            company_slugs::tenant_id.eq(made.tenant),
        ))
        .execute(&mut **tx)
        .await?;
    diesel::insert_into(tenants::table)
        .values((
            tenants::tenant_id.eq(made.tenant),
            tenants::name.eq(&new.name),
            tenants::slug.eq(&new.slug),
            tenants::time_zone.eq(&new.time_zone),
            tenants::currency.eq(&new.currency),
            tenants::locale.eq(&new.locale),
            tenants::sandbox_now.eq(new.sandbox_now),
            tenants::created_at.eq(ctx.now),
            tenants::updated_at.eq(ctx.now),
        ))
        .execute(&mut **tx)
        .await?;
    tx.record(Event::new(
        "company.created",
        "company",
        made.tenant,
        json!({ "name": new.name }),
    ));
    let administrator = insert_roles(tx, ctx, &new.locale).await?;
    insert_user(
        tx,
        ctx,
        made.administrator,
        &new.administrator.name,
        &new.administrator.email,
        Some(hash),
    )
    .await?;
    give_role(tx, ctx, made.administrator, administrator).await
}

/// Makes the shipped roles; answers the administrator's.
async fn insert_roles(tx: &mut Tx, ctx: &Ctx, locale: &str) -> AppResult<Uuid> {
    let mut administrator = Uuid::nil();
    for shipped in SHIPPED_ROLES {
        let id = Uuid::now_v7();
        if shipped.key == ADMINISTRATOR {
            administrator = id;
        }
        let grants = serde_json::to_value(shipped.grants()).map_err(AppError::internal)?;
        let name = if locale == "zh-CN" {
            shipped.name_zh
        } else {
            shipped.name
        };
        diesel::insert_into(roles::table)
            .values((
                roles::tenant_id.eq(ctx.tenant),
                roles::id.eq(id),
                roles::key.eq(shipped.key),
                roles::name.eq(name),
                roles::description.eq(shipped.description),
                roles::is_shipped.eq(true),
                roles::grants.eq(grants),
                roles::created_at.eq(ctx.now),
                roles::updated_at.eq(ctx.now),
            ))
            .execute(&mut **tx)
            .await?;
        tx.record(Event::new(
            "role.created",
            "role",
            id,
            json!({ "key": shipped.key }),
        ));
    }
    Ok(administrator)
}

/// Makes a user. `hash`: of the password, when they are to sign in with one.
///
/// # Errors
/// `duplicate` when the e-mail is taken in the company.
pub async fn insert_user(
    tx: &mut Tx,
    ctx: &Ctx,
    id: Uuid,
    name: &str,
    email: &str,
    hash: Option<&str>,
) -> AppResult<()> {
    diesel::insert_into(users::table)
        .values((
            users::tenant_id.eq(ctx.tenant),
            users::id.eq(id),
            users::email.eq(email.to_lowercase()),
            users::name.eq(name),
            users::password_hash.eq(hash),
            users::sessions_valid_from.eq(ctx.recorded_at),
            users::created_at.eq(ctx.now),
            users::updated_at.eq(ctx.now),
        ))
        .execute(&mut **tx)
        .await?;
    tx.record(Event::new(
        "user.created",
        "user",
        id,
        json!({ "name": name, "email": email.to_lowercase() }),
    ));
    Ok(())
}

/// Gives a user a role.
///
/// # Errors
/// Database errors.
pub async fn give_role(tx: &mut Tx, ctx: &Ctx, user: Uuid, role: Uuid) -> AppResult<()> {
    diesel::insert_into(user_roles::table)
        .values((
            user_roles::tenant_id.eq(ctx.tenant),
            user_roles::user_id.eq(user),
            user_roles::role_id.eq(role),
        ))
        .on_conflict_do_nothing()
        .execute(&mut **tx)
        .await?;
    Ok(())
}
