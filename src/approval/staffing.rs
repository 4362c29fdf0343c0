//! People for pending requests when somebody leaves, hands over, becomes able to decide, or comes to own what is decided
//! on. A request is never skipped for want of people, and never approved by it.

use super::definition::SubjectKind;
use super::queries::{self, About, Loaded};
use super::rules::{self, Setting};
use super::service::{Rule, apply, lock};
use super::subjects::Subjects;
use crate::identity::staffing::people_changed;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::{Cached, Tx};
use crate::platform::events::Event;
use diesel::sql_types::{Array, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

/// Hands on every undecided seat of somebody who leaves or hands over: to the successor where they may sit, else, of one
/// who is deactivated by now in this transaction, to whomever the process finds; answers how many requests that touched.
///
/// # Errors
/// Database errors.
pub async fn give_up_seats(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    giver: Uuid,
    successor: Option<Uuid>,
) -> AppResult<i64> {
    let replace =
        |loaded: &Loaded, setting: Setting<'_>| Ok(rules::replace(&loaded.state, setting, giver, successor));
    let requests = queries::pending_with_seat_of(&mut &**tx, ctx.tenant, giver).await?;
    staff(tx, ctx, subjects, &requests, &replace).await
}

/// Gives every pending request the people that it lacks, as after an administrator was appointed; answers how many it
/// touched.
///
/// # Errors
/// Database errors.
pub async fn fill(tx: &mut Tx, ctx: &Ctx, subjects: Subjects) -> AppResult<i64> {
    let fill = |loaded: &Loaded, setting: Setting<'_>| Ok(rules::fill(&loaded.state, setting));
    let requests = queries::pending_that_lack_people(&mut &**tx, ctx.tenant).await?;
    staff(tx, ctx, subjects, &requests, &fill).await
}

async fn staff(
    tx: &mut Tx,
    ctx: &Ctx,
    subjects: Subjects,
    requests: &[About],
    rule: Rule<'_>,
) -> AppResult<i64> {
    let people = queries::people(&mut &**tx, ctx).await?;
    let mut touched = 0;
    for about in requests {
        let (_, loaded) = lock(tx, ctx, subjects, about).await?;
        let outcome = apply(tx, ctx, &people, &loaded, rule).await?;
        touched += i64::from(!outcome.acts.is_empty());
    }
    Ok(touched)
}

#[derive(QueryableByName)]
struct Owned {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    subject_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    before: Option<Uuid>,
}

/// Tells pending requests who owns these subjects from now on: nobody approves what they own, also when they came to
/// own it after they were asked. They cannot decide from now on; their seats go to others by [`separate`], or else right
/// after this transaction. The caller holds the locks of the subjects. Answers the requests.
///
/// # Errors
/// Database errors.
pub async fn owner_changed(
    tx: &mut Tx,
    ctx: &Ctx,
    kind: SubjectKind,
    subjects: &[Uuid],
    owner: Option<Uuid>,
) -> AppResult<Vec<About>> {
    let kind: &'static str = kind.into();
    let query = sql_query(
        "UPDATE approval_requests r SET subject_owner_id = $4, version = r.version + 1, updated_at = $5 \
         FROM (SELECT id, subject_owner_id FROM approval_requests WHERE tenant_id = $1 AND subject_kind = $2 \
            AND subject_id = ANY($3) AND state = 'pending' AND subject_owner_id IS DISTINCT FROM $4 ORDER BY id FOR UPDATE) old \
         WHERE r.tenant_id = $1 AND r.id = old.id RETURNING r.id, r.subject_id, old.subject_owner_id AS before",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<Text, _>(kind)
    .bind::<Array<SqlUuid>, _>(subjects)
    .bind::<Nullable<SqlUuid>, _>(owner)
    .bind::<Timestamptz, _>(ctx.now);
    let changed: Vec<Owned> = Cached(query).load(&mut **tx).await?;
    for request in &changed {
        let changes = json!({ "changes": { "owner_id": { "before": request.before, "after": owner } } });
        tx.record(Event::new(
            "approval_request.owner_changed",
            "approval_request",
            request.id,
            changes,
        ));
    }
    if !changed.is_empty() {
        people_changed(tx, ctx).await?;
    }
    let about = changed.iter().map(|request| About {
        id: request.id,
        subject_kind: kind.to_owned(),
        subject_id: request.subject_id,
    });
    Ok(about.collect())
}

/// Gives the seats of these requests that came to be their subject's owner's to others, where there are any, so that none
/// names somebody who may not decide. The caller holds the locks of the subjects.
///
/// # Errors
/// Database errors.
pub async fn separate(tx: &mut Tx, ctx: &Ctx, subjects: Subjects, requests: &[About]) -> AppResult<()> {
    if !requests.is_empty() {
        let fill = |loaded: &Loaded, setting: Setting<'_>| Ok(rules::fill(&loaded.state, setting));
        staff(tx, ctx, subjects, requests, &fill).await?;
    }
    Ok(())
}
