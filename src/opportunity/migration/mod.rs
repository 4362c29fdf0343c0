//! Moving deals in flight to another version of their pipeline: looked at beforehand, done as a job, taken back.
//!
//! A migration fixes at its start which deals it is about: the open ones on the versions left. Each is planned anew under
//! its row lock, by the one pure function that the preview asks too. Mapped to the same stage it keeps its visit, with the
//! ticks, answers and approvals that the version entered still asks for; mapped to another its visit is cut, and a new one
//! begins. A visit that a migration cut can be told later: it ended with a transition of kind `migrate` that names another
//! visit.

mod facts;
mod http;
mod listing;
mod plan;
mod preview;
mod queries;
mod resource;
mod roll_back;
mod run;
mod setting_out;
mod wire;
mod writing;

pub use http::routes;
pub use roll_back::ROLL_BACK;
pub use run::MIGRATE;

use crate::kernel::money;
use crate::pipeline::service::Definition;
use plan::Mapping;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
use wire::AnswerRule;

/// The versions left and the one entered, ready to run deals.
pub struct Course {
    pub left: Vec<Arc<Definition>>,
    pub to: Arc<Definition>,
    /// Of each stage entered: its calibrated chance of winning, else its default one.
    pub chances: BTreeMap<Uuid, Decimal>,
}

/// How deals go from one to the other.
pub struct Terms {
    pub mapping: Mapping,
    pub answers: AnswerRule,
    pub reason: Option<String>,
}

impl Course {
    /// The version of that id, if it is one of those left.
    fn left(&self, version: Uuid) -> Option<&Definition> {
        let mut left = self.left.iter();
        left.find(|definition| definition.version_id == version)
            .map(Arc::as_ref)
    }

    /// The chance of winning that the stage entered gives, as text.
    fn probability(&self, stage: Uuid) -> String {
        money::share_text(self.chances.get(&stage).copied().unwrap_or_default())
    }

    fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.left.iter().chain([&self.to]).map(Arc::as_ref)
    }
}
