//! What in this room names accounts and contacts.

use super::lapse;
use crate::platform::merging::Link;

pub static LINKS: &[Link] = &[
    Link {
        // Whom the deal is with may have been approved.
        follow: Some(|tx, ctx, opportunity| {
            Box::pin(async move { lapse::changed(tx, ctx, &[opportunity]).await })
        }),
        ..Link::records(&["account"], "opportunities", "account_id", "opportunity")
    },
    Link::records(
        &["contact"],
        "decision_chain_members",
        "contact_id",
        "decision_chain_member",
    ),
];
