//! Keeping one verified delivery and making its lead, once.

use super::raw::Raw;
use super::source::{SignedBy, Source};
use super::{all_faults, arrival, mapping, outcome, read, rejection};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::text::{Lang, say};
use crate::platform::db::{Cached, Db, Tx};
use crate::platform::events::Event;
use crate::platform::reply::Reply;
use bytes::Bytes;
use diesel::sql_types::{Binary, Integer, Json, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::sync::Arc;
use uuid::Uuid;

/// One verified delivery.
pub(super) struct Delivery<'a> {
    pub source: &'a Arc<Source>,
    pub id: &'a str,
    pub body: &'a Bytes,
    /// Of its bytes.
    pub hash: Vec<u8>,
    pub signed_by: SignedBy,
    pub lang: Lang,
}

/// Why the first attempt made no lead.
enum Setback {
    Faults(Vec<Fault>),
    /// It was delivered before, or the source changed.
    NotTaken,
}

impl Delivery<'_> {
    /// Keeps the delivery and makes its lead. `None` when the source changed since it was read.
    pub async fn take(&self, db: &Db) -> AppResult<Option<Reply>> {
        let ctx = self.source.terms(db).await?;
        let (lead, faults) = read(self.body, &self.source.reading);
        let setback = if faults.is_empty() {
            match self.accept(db, &ctx, lead).await? {
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
    async fn accept(
        &self,
        db: &Db,
        ctx: &Ctx,
        lead: Map<String, Value>,
    ) -> AppResult<Result<Reply, Setback>> {
        let lead = self.source.addressed(lead);
        let is_not_taken = Cell::new(false);
        let outcome = db
            .write(ctx, async |tx| {
                is_not_taken.set(false);
                let arrived = arrival::arrive(tx, ctx, &lead).await?;
                let intake = Uuid::now_v7();
                if !self.keep(tx, ctx, intake, Some(arrived.lead()), &[]).await? {
                    is_not_taken.set(true);
                    return Err(AppError::internal("the delivery is not taken"));
                }
                arrived.told(tx, ctx, intake, self.source.address.id).await?;
                let status = if arrived.is_new() { 201 } else { 200 };
                outcome(
                    status,
                    intake,
                    Some(arrived.lead()),
                    &json!([]),
                    &self.warnings(arrived.warnings()),
                    self.lang,
                )
            })
            .await;
        match outcome {
            Ok(reply) => Ok(Ok(reply)),
            Err(_) if is_not_taken.get() => Ok(Err(Setback::NotTaken)),
            Err(error) => rejection(error).map(|faults| Err(Setback::Faults(faults))),
        }
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

    /// Writes the raw delivery with what became of it, unless it was delivered before or the source is no longer the one
    /// that was read.
    async fn keep(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        intake: Uuid,
        lead: Option<Uuid>,
        faults: &[Fault],
    ) -> AppResult<bool> {
        let status = if lead.is_some() { "accepted" } else { "rejected" };
        let raw = Raw::of(self.body);
        let query = sql_query(
            "INSERT INTO intakes (tenant_id, id, source_id, delivery_id, body, status, faults, lead_id, received_at, created_at, updated_at, body_hash, raw) \
             SELECT $1, $2, s.id, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13 FROM lead_sources s \
             WHERE s.tenant_id = $1 AND s.id = $3 AND s.version = $4 AND s.is_intake_open AND s.archived_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM intakes f WHERE f.tenant_id = $1 AND f.source_id = $3 AND f.delivery_id = $5 \
                AND NOT f.is_remembered AND f.body_hash = $12) \
             ON CONFLICT (tenant_id, source_id, delivery_id) WHERE is_remembered DO NOTHING",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(intake)
        .bind::<SqlUuid, _>(self.source.address.id)
        .bind::<Integer, _>(self.source.version)
        .bind::<Text, _>(self.id)
        .bind::<Text, _>(&raw.text)
        .bind::<Text, _>(status)
        .bind::<Jsonb, _>(mapping::kept(faults))
        .bind::<Nullable<SqlUuid>, _>(lead)
        .bind::<Timestamptz, _>(ctx.recorded_at)
        .bind::<Timestamptz, _>(ctx.now)
        .bind::<Binary, _>(self.hash.as_slice())
        .bind::<Nullable<Binary>, _>(raw.bytes);
        let is_kept = Cached(query).execute(&mut **tx).await? == 1;
        if is_kept {
            let about = json!({ "source_id": self.source.address.id, "lead_id": lead });
            tx.record(Event::new(format!("intake.{status}"), "intake", intake, about).and_on("lead", lead));
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
                .bind::<Text, _>(self.id)
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

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    lead_id: Option<Uuid>,
    #[diesel(sql_type = Json)]
    faults: Value,
}
