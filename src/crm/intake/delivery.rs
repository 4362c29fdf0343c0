//! Keeping one verified delivery and making its lead, once.

use super::raw::Raw;
use super::source::{SignedBy, Source};
use super::together::{Arriving, Convoy};
use super::{all_faults, arrival, mapping, outcome, read, rejection};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::text::{Lang, say};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::reply::Reply;
use actix_web::web;
use bytes::Bytes;
use diesel::sql_types::{Array, Binary, Integer, Json, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use uuid::Uuid;

/// One verified delivery.
pub(super) struct Delivery {
    pub source: Arc<Source>,
    pub id: String,
    pub body: Bytes,
    /// Of its bytes.
    pub hash: Vec<u8>,
    pub signed_by: SignedBy,
    pub lang: Lang,
}

/// Why the first attempt made no lead.
#[derive(Debug, Clone)]
pub(super) enum Setback {
    Faults(Vec<Fault>),
    /// It was delivered before, or the source changed.
    NotTaken,
}

/// A lead that is to be kept with its delivery.
pub(super) struct Keeping<'a> {
    pub delivery: &'a Delivery,
    pub ctx: &'a Ctx,
    pub intake: Uuid,
    pub lead: Option<Uuid>,
    pub faults: &'a [Fault],
}

impl Keeping<'_> {
    fn status(&self) -> &'static str {
        if self.lead.is_some() {
            "accepted"
        } else {
            "rejected"
        }
    }

    /// What the history says of it.
    pub fn event(&self) -> Event {
        let about = json!({ "source_id": self.delivery.source.address.id, "lead_id": self.lead });
        let kind = format!("intake.{}", self.status());
        Event::new(kind, "intake", self.intake, about).and_on("lead", self.lead)
    }
}

impl Delivery {
    /// Keeps the delivery and makes its lead. `None` when the source changed since it was read.
    pub async fn take(self: &Rc<Self>, db: &web::Data<Db>, convoy: &Convoy) -> AppResult<Option<Reply>> {
        let ctx = self.source.terms(db).await?;
        let (lead, faults) = read(&self.body, &self.source.reading);
        let setback = if faults.is_empty() {
            let arriving = Arriving {
                delivery: Rc::clone(self),
                ctx: ctx.clone(),
                lead: self.source.addressed(lead),
            };
            match convoy.accept(db, arriving).await? {
                Ok(reply) => return Ok(Some(reply)),
                Err(setback) => setback,
            }
        } else {
            let all = db.read(async |conn| all_faults(conn, ctx.tenant, &lead, faults.clone()).await);
            Setback::Faults(all.await?)
        };
        if let Setback::Faults(faults) = setback
            && let Some(reply) = self.reject(db, &ctx, &faults).await?
        {
            return Ok(Some(reply));
        }
        self.as_before(db).await
    }

    /// Lead and intake in one transaction. The lead goes first, since the intake names it; a twin waits at the intake's
    /// unique index, finds it taken, and gives its own lead up.
    pub async fn accept(
        &self,
        db: &Db,
        ctx: &Ctx,
        lead: &Map<String, Value>,
    ) -> AppResult<Result<Reply, Setback>> {
        let is_not_taken = Cell::new(false);
        let outcome = db
            .write(ctx, async |tx| {
                is_not_taken.set(false);
                let arrived = arrival::arrive(tx, ctx, lead).await?;
                let intake = Uuid::now_v7();
                if !self.keep(tx, ctx, intake, Some(arrived.lead()), &[]).await? {
                    is_not_taken.set(true);
                    return Err(AppError::internal("the delivery is not taken"));
                }
                arrived.told(tx, ctx, intake, self.source.address.id).await?;
                let status = if arrived.is_new() { 201 } else { 200 };
                self.accepted(status, intake, arrived.lead(), arrived.warnings())
            })
            .await;
        match outcome {
            Ok(reply) => Ok(Ok(reply)),
            Err(_) if is_not_taken.get() => Ok(Err(Setback::NotTaken)),
            Err(error) => rejection(error).map(|faults| Err(Setback::Faults(faults))),
        }
    }

    /// The answer to one that made a lead, or was noted on one.
    pub fn accepted(
        &self,
        status: u16,
        intake: Uuid,
        lead: Uuid,
        warnings: Vec<Warning>,
    ) -> AppResult<Reply> {
        let warnings = self.warnings(warnings);
        outcome(status, intake, Some(lead), &json!([]), &warnings, self.lang)
    }

    /// Keeps a delivery that makes no lead. `None` when it was kept before, or the source changed.
    async fn reject(&self, db: &Db, ctx: &Ctx, faults: &[Fault]) -> AppResult<Option<Reply>> {
        let is_not_taken = Cell::new(false);
        let written = db
            .write(ctx, async |tx| {
                is_not_taken.set(false);
                let intake = Uuid::now_v7();
                if !self.keep(tx, ctx, intake, None, faults).await? {
                    is_not_taken.set(true);
                    return Err(AppError::internal("the delivery is not taken"));
                }
                let warnings = self.warnings(Vec::new());
                outcome(202, intake, None, &mapping::kept(faults), &warnings, self.lang)
            })
            .await;
        match written {
            Err(_) if is_not_taken.get() => Ok(None),
            written => written.map(Some),
        }
    }

    async fn keep(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        intake: Uuid,
        lead: Option<Uuid>,
        faults: &[Fault],
    ) -> AppResult<bool> {
        let keeping = Keeping {
            delivery: self,
            ctx,
            intake,
            lead,
            faults,
        };
        let is_kept = keep(tx, &self.source, std::slice::from_ref(&keeping)).await? == 1;
        if is_kept {
            tx.record(keeping.event());
        }
        Ok(is_kept)
    }

    /// What the same delivery was answered before.
    async fn as_before(&self, db: &Db) -> AppResult<Option<Reply>> {
        let address = self.source.address;
        let kept: Option<Kept> = db
            .read(async |conn| {
                let query = sql_query(
                    "SELECT id, lead_id, faults::json AS faults FROM intakes WHERE tenant_id = $1 AND source_id = $2 AND delivery_id = $3 \
                     AND (is_remembered OR body_hash = $4) ORDER BY is_remembered DESC, id DESC LIMIT 1",
                )
                .bind::<SqlUuid, _>(address.tenant)
                .bind::<SqlUuid, _>(address.id)
                .bind::<Text, _>(&self.id)
                .bind::<Binary, _>(self.hash.as_slice());
                Ok(Cached(query).get_result(conn).await.optional()?)
            })
            .await?;
        kept.map(|kept| {
            let status = if kept.lead_id.is_some() { 200 } else { 202 };
            let warnings = self.warnings(Vec::new());
            outcome(status, kept.id, kept.lead_id, &kept.faults, &warnings, self.lang)
        })
        .transpose()
    }

    /// What there is to say, with that the sender still signs with the secret before.
    fn warnings(&self, mut warnings: Vec<Warning>) -> Vec<Warning> {
        if let SignedBy::Previous(until) = self.signed_by {
            warnings.push(Fault::new(
                "",
                "previous_secret",
                say(
                    format!("signed with the previous secret, which is good until {until}"),
                    format!("使用旧密钥签名,旧密钥有效期至 {until}"),
                ),
            ));
        }
        warnings
    }
}

/// Writes the raw deliveries of a source with what became of them, but those that were delivered before, and none when the
/// source is no longer the one that was read; answers how many were written.
///
/// # Errors
/// Database errors.
pub(super) async fn keep(tx: &mut Tx, source: &Source, kept: &[Keeping<'_>]) -> AppResult<usize> {
    let raws = kept
        .iter()
        .map(|one| Raw::of(&one.delivery.body))
        .collect::<Vec<_>>();
    let texts = raws.iter().map(|raw| raw.text.as_str()).collect::<Vec<_>>();
    let bytes = raws.iter().map(|raw| raw.bytes).collect::<Vec<_>>();
    let query = sql_query(
        "INSERT INTO intakes (tenant_id, id, source_id, delivery_id, body, status, faults, lead_id, received_at, created_at, updated_at, body_hash, raw) \
         SELECT $1, d.id, s.id, d.delivery_id, d.body, d.status, d.faults, d.lead_id, d.received_at, d.at, d.at, d.hash, d.raw \
         FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::uuid[], $10::timestamptz[], $11::timestamptz[], $12::bytea[], $13::bytea[]) \
            AS d (id, delivery_id, body, status, faults, lead_id, received_at, at, hash, raw) \
         JOIN lead_sources s ON s.tenant_id = $1 AND s.id = $2 AND s.version = $3 AND s.is_intake_open AND s.archived_at IS NULL \
         LEFT JOIN LATERAL (SELECT TRUE AS is_known FROM intakes i WHERE i.tenant_id = $1 AND i.source_id = $2 AND i.delivery_id = d.delivery_id \
            AND NOT i.is_remembered AND i.body_hash = d.hash LIMIT 1) f ON TRUE \
         WHERE f.is_known IS NULL ORDER BY d.delivery_id \
         ON CONFLICT (tenant_id, source_id, delivery_id) WHERE is_remembered DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(source.address.tenant)
    .bind::<SqlUuid, _>(source.address.id)
    .bind::<Integer, _>(source.version)
    .bind::<Array<SqlUuid>, _>(each(kept, |one| one.intake))
    .bind::<Array<Text>, _>(each(kept, |one| one.delivery.id.as_str()))
    .bind::<Array<Text>, _>(texts)
    .bind::<Array<Text>, _>(each(kept, |one| one.status()))
    .bind::<Array<Jsonb>, _>(each(kept, |one| mapping::kept(one.faults)))
    .bind::<Array<Nullable<SqlUuid>>, _>(each(kept, |one| one.lead))
    .bind::<Array<Timestamptz>, _>(each(kept, |one| one.ctx.recorded_at))
    .bind::<Array<Timestamptz>, _>(each(kept, |one| one.ctx.now))
    .bind::<Array<Binary>, _>(each(kept, |one| one.delivery.hash.as_slice()))
    .bind::<Array<Nullable<Binary>>, _>(bytes);
    // Answered, not counted: a cluster miscounts what such a statement wrote.
    let written: Vec<Written> = Cached(query).load(&mut **tx).await?;
    Ok(written.len())
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = SqlUuid)]
    #[expect(dead_code, reason = "how many there are is all that is asked")]
    id: Uuid,
}

fn each<'a, 'k, T>(kept: &'a [Keeping<'k>], of: impl Fn(&'a Keeping<'k>) -> T) -> Vec<T> {
    kept.iter().map(of).collect()
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    lead_id: Option<Uuid>,
    #[diesel(sql_type = Json)]
    faults: Value,
}
