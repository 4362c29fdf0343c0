//! Signing in and out, and one's own password.

use super::passwords;
use super::sessions::{self, Tokens};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::problem::Code;
use crate::kernel::text::say;
use crate::platform::auth::{Caller, unauthenticated};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::gatekeeper::{Command, Input, Shared};
use crate::platform::reply::Reply;
use actix_web::{HttpMessage, HttpRequest, post, web};
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::json;
use std::cell::Cell;
use std::net::IpAddr;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most companies of one e-mail whose passwords are tried without a company being named.
const MOST_COMPANIES: i64 = 8;

/// Who one is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// E-mail, in any case.
    #[schema(max_length = 254, min_length = 3, example = "li@example.com")]
    email: String,
    /// Password, taken as it is.
    #[schema(
        max_length = 256,
        min_length = 1,
        format = "password",
        example = "correct horse battery staple"
    )]
    password: String,
    /// Slug or id of the company; needed only when the e-mail is known in several.
    #[schema(max_length = 100, min_length = 1, example = "acme")]
    tenant: Option<String>,
}

/// A refresh token to be spent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token of the last answer.
    #[schema(
        max_length = 4096,
        min_length = 1,
        example = "psr_AZfJoF0-fBGeYQxqHI5LKgGXyaBdPnwRnmEMahyOSys"
    )]
    refresh_token: String,
}

/// One's old and new password.
#[derive(Deserialize, Clone, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    #[schema(
        max_length = 256,
        min_length = 1,
        format = "password",
        example = "correct horse battery staple"
    )]
    current_password: String,
    /// The new one: at least 15 characters, none of the common ones.
    #[schema(
        max_length = 256,
        min_length = 1,
        format = "password",
        example = "another horse battery staple"
    )]
    new_password: String,
}

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    password_hash: Option<String>,
}

fn source_of(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
}

fn bad_credentials() -> AppError {
    AppError::refuse(
        Code::Unauthenticated,
        say("E-mail or password is wrong", "邮箱或密码错误"),
    )
}

/// Sign in
///
/// Answers an access token for a few minutes and a refresh token for the next. A wrong e-mail and a wrong password are
/// not told apart. After ten failures in a row an account is slowed down for that source, never locked. When the e-mail
/// is known in several companies and the password is right, 422 asks for `tenant`.
#[utoipa::path(tag = "sign-in", operation_id = "sign_in", security(()), request_body = SignIn, responses((status = 200, body = Tokens)))]
#[post("/v1/auth/login")]
pub async fn login(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    Input(input): Input<SignIn>,
) -> AppResult<Reply> {
    let email = input.email.to_lowercase();
    let attempt = shared.sign_ins.attempt(&email, source_of(&request)).await?;
    let candidates = candidates(&db, &email, input.tenant.as_deref()).await?;
    let is_ambiguous = candidates.len() > 1;
    let Some(found) = matching(candidates, &input.password).await? else {
        attempt.failed();
        return Err(bad_credentials());
    };
    attempt.succeeded();
    if is_ambiguous {
        let fault = Fault::new(
            "/tenant",
            "required",
            say(
                "is needed: this e-mail is known in several companies",
                "必须填写:该邮箱属于多家企业",
            ),
        );
        return Err(AppError::invalid(vec![fault]));
    }
    let ctx = sessions::terms_of(&db, found.tenant_id, found.id)
        .await?
        .ok_or_else(bad_credentials)?;
    db.write(&ctx, async |tx| {
        hold_with_password(tx, &ctx, found.password_hash.as_deref()).await?;
        Ok(Reply::ok(&sessions::open(tx, &ctx, &shared.auth.secrets).await?)?.with_secret())
    })
    .await
}

async fn candidates(db: &Db, email: &str, tenant: Option<&str>) -> AppResult<Vec<Candidate>> {
    db.read(async |conn| {
        let query = sql_query(
            "SELECT u.tenant_id, u.id, u.password_hash FROM users u JOIN tenants c ON c.tenant_id = u.tenant_id \
             WHERE u.email = $1 AND u.is_active AND u.archived_at IS NULL AND ($2 IS NULL OR c.slug = $2 OR c.tenant_id::text = lower($2)) \
             ORDER BY u.id LIMIT $3",
        )
        .bind::<Text, _>(email)
        .bind::<Nullable<Text>, _>(tenant)
        .bind::<diesel::sql_types::BigInt, _>(MOST_COMPANIES);
        Ok(Cached(query).load(conn).await?)
    })
    .await
}

/// The first whose password it is. Nobody costs as much as somebody.
async fn matching(candidates: Vec<Candidate>, password: &str) -> AppResult<Option<Candidate>> {
    if candidates.is_empty() {
        passwords::verify(password, None).await?;
    }
    for candidate in candidates {
        if passwords::verify(password, candidate.password_hash.as_deref()).await? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

#[derive(QueryableByName)]
struct HashRow {
    #[diesel(sql_type = Nullable<Text>)]
    password_hash: Option<String>,
}

/// The password was compared outside the transaction; this holds its user and sees that it is still theirs.
async fn hold_with_password(tx: &mut Tx, ctx: &Ctx, hash: Option<&str>) -> AppResult<()> {
    let query = sql_query(
        "SELECT password_hash FROM users WHERE tenant_id = $1 AND id = $2 AND is_active AND archived_at IS NULL FOR SHARE",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(ctx.user);
    let row: Option<HashRow> = Cached(query).get_result(&mut **tx).await.optional()?;
    match row {
        Some(row) if row.password_hash.as_deref() == hash => Ok(()),
        _ => Err(bad_credentials()),
    }
}

/// Refresh
///
/// Spends a refresh token for a fresh pair. A repetition within ten seconds gets the same successor; any other reuse of a
/// spent token ends the whole session.
#[utoipa::path(tag = "sign-in", operation_id = "refresh_tokens", security(()), request_body = Refresh, responses((status = 200, body = Tokens)))]
#[post("/v1/auth/refresh")]
pub async fn refresh(db: web::Data<Db>, shared: Shared, Input(input): Input<Refresh>) -> AppResult<Reply> {
    let secrets = &shared.auth.secrets;
    let (tenant, id) = secrets
        .read_refresh_token(&input.refresh_token)
        .ok_or_else(unauthenticated)?;
    let holder = sessions::holder(&db, tenant, id).await?;
    let ctx = sessions::terms_of(&db, tenant, holder.user_id)
        .await?
        .ok_or_else(unauthenticated)?;
    let is_refused = Cell::new(false);
    let reply = db
        .write(&ctx, async |tx| {
            let turned = sessions::rotate(tx, &ctx, secrets, holder.family_id, id).await?;
            is_refused.set(turned.is_none());
            match turned {
                Some(tokens) => Ok(Reply::ok(&tokens)?.with_secret()),
                None => Ok(Reply::no_content()),
            }
        })
        .await?;
    if is_refused.get() {
        shared.auth.forget_principals();
        return Err(unauthenticated());
    }
    Ok(reply)
}

/// The session of a signed-in person.
///
/// # Errors
/// `conflict` for an API key, which has none.
fn session_of(request: &HttpRequest) -> AppResult<Uuid> {
    let session = request
        .extensions()
        .get::<Caller>()
        .and_then(|caller| caller.session);
    session.ok_or_else(|| {
        AppError::refuse(
            Code::Conflict,
            say(
                "An API key has no session and no password; revoke it instead",
                "API 密钥没有会话和密码,请改为撤销该密钥",
            ),
        )
    })
}

/// Sign out
///
/// Ends this session: its refresh token and its access tokens are void at once.
#[utoipa::path(tag = "sign-in", operation_id = "sign_out", security(("bearer" = [])), responses((status = 204, description = "Signed out")))]
#[post("/v1/auth/logout")]
pub async fn logout(request: HttpRequest, db: web::Data<Db>, shared: Shared, ctx: Ctx) -> AppResult<Reply> {
    let session = session_of(&request)?;
    let reply = db
        .write(&ctx, async |tx| {
            sessions::revoke_family(tx, &ctx, session, "signed_out").await?;
            Ok(Reply::no_content())
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

/// Sign out everywhere
///
/// Ends every session of yours. API keys stay; revoke them singly.
#[utoipa::path(tag = "sign-in", operation_id = "logout_everywhere", security(("bearer" = [])), responses((status = 204, description = "Signed out")))]
#[post("/v1/auth/logout-everywhere")]
pub async fn logout_everywhere(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    ctx: Ctx,
) -> AppResult<Reply> {
    session_of(&request)?;
    let reply = db
        .write(&ctx, async |tx| {
            sessions::revoke_all(tx, &ctx, ctx.user).await?;
            tx.record(Event::new(
                "user.signed_out",
                "user",
                ctx.user,
                json!({ "reason": "everywhere" }),
            ));
            Ok(Reply::no_content())
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

/// Change one's password
///
/// Ends every session, this one too, and answers the tokens of a new one.
#[utoipa::path(tag = "sign-in", operation_id = "change_password", security(("bearer" = [])), request_body = PasswordChange, responses((status = 200, body = Tokens)))]
#[post("/v1/auth/change-password")]
pub async fn change_password(
    request: HttpRequest,
    db: web::Data<Db>,
    shared: Shared,
    command: Command<PasswordChange>,
) -> AppResult<Reply> {
    session_of(&request)?;
    let Command { ctx, input } = command;
    let attempt = shared
        .sign_ins
        .attempt(&ctx.principal.email, source_of(&request))
        .await?;
    let old = hash_of(&db, &ctx).await?;
    if !passwords::verify(&input.current_password, old.as_deref()).await? {
        attempt.failed();
        let fault = Fault::invalid("/current_password", "is not your password", "不是您当前的密码");
        return Err(AppError::invalid(vec![fault]));
    }
    attempt.succeeded();
    if input.new_password == input.current_password {
        let fault = Fault::invalid(
            "/new_password",
            "is the password that you have; choose another",
            "与当前密码相同,请换一个",
        );
        return Err(AppError::invalid(vec![fault]));
    }
    let company = company_words(&db, &ctx).await?;
    let person = &ctx.principal;
    let about = [&*person.email, &person.name, &company.name, &company.slug];
    let fresh = usable_hash("/new_password", &input.new_password, &about).await?;
    let reply = db
        .write(&ctx, async |tx| {
            hold_with_password(tx, &ctx, old.as_deref()).await?;
            store_hash(tx, &ctx, ctx.user, &fresh).await?;
            Ok(Reply::ok(&sessions::open(tx, &ctx, &shared.auth.secrets).await?)?.with_secret())
        })
        .await?;
    shared.auth.forget_principals();
    Ok(reply)
}

async fn hash_of(db: &Db, ctx: &Ctx) -> AppResult<Option<String>> {
    db.read(async |conn| {
        let query = sql_query("SELECT password_hash FROM users WHERE tenant_id = $1 AND id = $2")
            .bind::<SqlUuid, _>(ctx.tenant)
            .bind::<SqlUuid, _>(ctx.user);
        let row: HashRow = Cached(query).get_result(conn).await?;
        Ok(row.password_hash)
    })
    .await
}

/// What a company is called.
#[derive(QueryableByName)]
pub struct CompanyWords {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub slug: String,
}

/// What the caller's company is called: no password is made of that.
///
/// # Errors
/// Database errors.
pub async fn company_words(db: &Db, ctx: &Ctx) -> AppResult<CompanyWords> {
    db.read(async |conn| {
        let query = sql_query("SELECT name, slug FROM tenants WHERE tenant_id = $1");
        let query = query.bind::<SqlUuid, _>(ctx.tenant);
        Ok(Cached(query).get_result(conn).await?)
    })
    .await
}

/// The hash of a new password. `about`: what is known of its person.
///
/// # Errors
/// `invalid` at `pointer` when it is too weak.
pub async fn usable_hash(pointer: &str, password: &str, about: &[&str]) -> AppResult<String> {
    require_strong(pointer, password, about)?;
    passwords::hash(password).await
}

/// # Errors
/// `invalid` at `pointer` when a password is too weak.
pub fn require_strong(pointer: &str, password: &str, about: &[&str]) -> AppResult<()> {
    match passwords::weakness(password, about) {
        None => Ok(()),
        Some((en, zh)) => {
            let fault = Fault::new(pointer, "weak_password", say(en, zh));
            Err(AppError::invalid(vec![fault]))
        }
    }
}

/// Gives a user a new password and ends their sessions.
///
/// # Errors
/// Database errors.
pub async fn store_hash(tx: &mut Tx, ctx: &Ctx, user: Uuid, hash: &str) -> AppResult<()> {
    let query = sql_query(
        "UPDATE users SET password_hash = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(user)
    .bind::<Text, _>(hash)
    .bind::<Timestamptz, _>(ctx.now);
    Cached(query).execute(&mut **tx).await?;
    sessions::revoke_all(tx, ctx, user).await?;
    tx.record(Event::new("user.password_changed", "user", user, json!({})));
    Ok(())
}
