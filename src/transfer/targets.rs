//! What is imported or exported, and what a column can be imported into.

use crate::crm::resources::{ACCOUNT, CONTACT, LEAD};
use crate::opportunity::resources::OPPORTUNITY;
use crate::platform::records::{Kind, Resource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is imported or exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferSubject {
    Lead,
    Account,
    Contact,
    Opportunity,
}

impl TransferSubject {
    pub const ALL: [TransferSubject; 4] = [
        TransferSubject::Lead,
        TransferSubject::Account,
        TransferSubject::Contact,
        TransferSubject::Opportunity,
    ];

    pub fn resource(self) -> &'static Resource {
        match self {
            TransferSubject::Lead => &LEAD,
            TransferSubject::Account => &ACCOUNT,
            TransferSubject::Contact => &CONTACT,
            TransferSubject::Opportunity => &OPPORTUNITY,
        }
    }

    /// What a column can say beside the members.
    pub fn extras(self) -> &'static [&'static str] {
        match self {
            TransferSubject::Lead | TransferSubject::Contact => &[EXTERNAL_ID],
            TransferSubject::Account => &[
                EXTERNAL_ID,
                "contact.name",
                "contact.job_title",
                "contact.phone",
                "contact.email",
            ],
            TransferSubject::Opportunity => &[
                EXTERNAL_ID,
                "stage",
                "entered_on",
                "closed_on",
                "loss_reason",
                "lost_because",
                "product",
            ],
        }
    }

    /// Everything that a column can be imported into; `custom.KEY` for the company's own fields besides.
    pub fn targets(self) -> Vec<&'static str> {
        let resource = self.resource();
        let members = resource.kept().chain(resource.instructions());
        let members = members
            .filter(|member| !member.is_read_only && !matches!(member.kind, Kind::Custom | Kind::Json));
        let mut targets = members.map(|member| member.name).collect::<Vec<_>>();
        targets.extend(self.extras());
        targets
    }
}

/// The record's id in the system that it comes from.
pub const EXTERNAL_ID: &str = "external_id";
