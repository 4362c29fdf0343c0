//! What follows for approvals when something changed that may have been approved, or its owner, and when a deal goes
//! another way.

use super::parts::LINE;
use super::resources::OPPORTUNITY;
use crate::approval::definition::SubjectKind;
use crate::approval::queries::About;
use crate::approval::{service, staffing};
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::platform::db::{Cached, Tx};
use crate::platform::records::sql::{self, Bind, Sql};
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(QueryableByName)]
struct Content {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    doc: String,
    #[diesel(sql_type = Text)]
    lines: String,
    #[diesel(sql_type = SqlUuid)]
    visit_id: Uuid,
}

/// Lapses the approvals of locked deals whose approved content is no longer what it is. One look-up on an index where
/// nothing is pending or granted.
///
/// # Errors
/// Database errors.
pub async fn changed(tx: &mut Tx, ctx: &Ctx, deals: &[Uuid]) -> AppResult<()> {
    if deals.is_empty() {
        return Ok(());
    }
    for content in contents(tx, ctx, deals).await? {
        let mut subject: Map<String, Value> =
            serde_json::from_str(&content.doc).map_err(AppError::internal)?;
        let lines: Value = serde_json::from_str(&content.lines).map_err(AppError::internal)?;
        subject.insert("lines".to_owned(), lines);
        let (kind, visit) = (SubjectKind::Opportunity, Some(content.visit_id));
        service::lapse_if_changed(tx, ctx, kind, content.id, visit, &Value::Object(subject)).await?;
    }
    Ok(())
}

/// What those of these deals say of which something is pending or granted in their present stay.
async fn contents(tx: &mut Tx, ctx: &Ctx, deals: &[Uuid]) -> AppResult<Vec<Content>> {
    let mut sql = Sql::of(ctx.tenant);
    let ids = sql.place(Bind::Ids(deals.to_vec()));
    let (document, line) = (sql::whole_document(&OPPORTUNITY), sql::whole_document(&LINE));
    sql.push(&format!(
        "SELECT d.id, d.doc, d.visit_id, (SELECT coalesce(json_agg(l.doc::json), '[]')::text FROM (SELECT {line} AS doc \
             FROM opportunity_lines t WHERE t.tenant_id = $1 AND t.opportunity_id = d.id AND t.archived_at IS NULL \
             ORDER BY t.created_at, t.id) l) AS lines \
         FROM (SELECT t.id, {document} AS doc, t.visit_id FROM opportunities t WHERE t.tenant_id = $1 AND t.id = ANY({ids}) \
             AND EXISTS (SELECT 1 FROM approval_requests a WHERE a.tenant_id = $1 AND a.subject_kind = 'opportunity' \
                 AND a.subject_id = t.id AND a.visit_id = t.visit_id AND a.state IN ('pending', 'approved'))) d \
         ORDER BY d.id"
    ));
    Ok(sql.query().load(&mut **tx).await?)
}

/// Withdraws what is pending about a locked deal and its result sheets: it goes another way.
///
/// # Errors
/// Database errors.
pub async fn call_off(tx: &mut Tx, ctx: &Ctx, deal: Uuid, reason: &str) -> AppResult<()> {
    service::withdraw_all(tx, ctx, SubjectKind::Opportunity, &[deal], reason).await?;
    let sheets = sheets_of(tx, ctx, &[deal]).await?;
    service::withdraw_all(tx, ctx, SubjectKind::ResultSheet, &sheets, reason).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Sheet {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Tells what is asked about these locked deals and their result sheets who owns them now; answers the requests.
///
/// # Errors
/// Database errors.
pub async fn owner_changed(
    tx: &mut Tx,
    ctx: &Ctx,
    deals: &[Uuid],
    owner: Option<Uuid>,
) -> AppResult<Vec<About>> {
    let mut told = staffing::owner_changed(tx, ctx, SubjectKind::Opportunity, deals, owner).await?;
    let sheets = sheets_of(tx, ctx, deals).await?;
    told.extend(staffing::owner_changed(tx, ctx, SubjectKind::ResultSheet, &sheets, owner).await?);
    Ok(told)
}

async fn sheets_of(tx: &mut Tx, ctx: &Ctx, deals: &[Uuid]) -> AppResult<Vec<Uuid>> {
    let query = sql_query("SELECT id FROM result_sheets WHERE tenant_id = $1 AND opportunity_id = ANY($2)")
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<Array<SqlUuid>, _>(deals);
    let sheets: Vec<Sheet> = Cached(query).load(&mut **tx).await?;
    Ok(sheets.into_iter().map(|sheet| sheet.id).collect())
}
