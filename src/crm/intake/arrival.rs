//! What a delivery becomes: a lead of its own, or a touch of the open lead that it is about.

use super::touch::{Touched, touch};
use crate::crm::duplicates::gate;
use crate::crm::resources::LEAD;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::store::{self, Written};
use diesel::sql_types::Uuid as SqlUuid;
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value};
use uuid::Uuid;

/// How often it is begun again because the lead to attach to ended meanwhile.
const MOST_TRIES: u32 = 3;

/// What became of a delivery.
pub enum Arrival {
    Made(Written),
    Attached(Touched),
}

impl Arrival {
    pub fn lead(&self) -> Uuid {
        match self {
            Arrival::Made(written) => written.id,
            Arrival::Attached(touched) => touched.lead,
        }
    }

    pub fn is_new(&self) -> bool {
        matches!(self, Arrival::Made(_))
    }

    pub fn warnings(&self) -> Vec<Warning> {
        match self {
            Arrival::Made(written) => written.warnings.clone(),
            Arrival::Attached(touched) => vec![noted_warning(touched)],
        }
    }

    /// Notes a touch on the lead that the delivery was attached to and on its timeline, and tells its owner.
    ///
    /// # Errors
    /// Database errors.
    pub async fn told(&self, tx: &mut Tx, ctx: &Ctx, intake: Uuid, source: Uuid) -> AppResult<()> {
        match self {
            Arrival::Attached(touched) => touched.told(tx, ctx, intake, source).await,
            Arrival::Made(_) => Ok(()),
        }
    }
}

/// That a delivery would be noted on a lead that is there.
pub fn attached_warning() -> Warning {
    attached("an open", "", true)
}

/// That a delivery was noted on a lead that is there, and what becomes of that.
fn noted_warning(touched: &Touched) -> Warning {
    let (lead, chinese) = match touched.status() {
        "nurturing" => ("a nurtured", "培育中的"),
        "disqualified" => ("a disqualified", "已判定无效的"),
        _ => ("an open", ""),
    };
    attached(lead, chinese, touched.has_owner())
}

fn attached(lead: &str, chinese: &str, has_owner: bool) -> Warning {
    let (owner, its_owner) = match has_owner {
        true => (", and its owner is told", ",并通知其负责人"),
        false => ("", ""),
    };
    Fault::new(
        "",
        "attached",
        say(
            format!("{lead} lead has the same phone or e-mail: it was noted there{owner}"),
            format!("已有相同电话或邮箱的{chinese}线索,已记录到该线索{its_owner}"),
        ),
    )
}

#[derive(QueryableByName)]
struct Open {
    #[diesel(sql_type = SqlUuid)]
    #[expect(dead_code, reason = "that there is a row is all that is asked")]
    id: Uuid,
}

/// Makes the delivery's lead, or finds the open one that it is about and notes it there.
///
/// # Errors
/// As making a lead.
pub async fn arrive(tx: &mut Tx, ctx: &Ctx, lead: &Map<String, Value>) -> AppResult<Arrival> {
    for _ in 0..MOST_TRIES {
        let error = match store::create(tx, ctx, &LEAD, None, lead.clone()).await {
            Ok(written) => return Ok(Arrival::Made(written)),
            Err(error) => error,
        };
        let Some(id) = gate::attach_to(&error) else {
            return Err(error);
        };
        let query = sql_query(
            "SELECT id FROM leads WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL AND status <> 'converted' FOR UPDATE",
        )
        .bind::<SqlUuid, _>(ctx.tenant)
        .bind::<SqlUuid, _>(id);
        let open: Option<Open> = Cached(query).get_result(&mut **tx).await.optional()?;
        if open.is_some() {
            return touch(tx, ctx, id, lead).await.map(Arrival::Attached);
        }
    }
    Err(AppError::internal("the lead to attach to keeps changing"))
}
