//! What in these rooms names accounts, contacts and leads.

use crate::platform::merging::Link;

const ACCOUNT: &[&str] = &["account"];
const CONTACT: &[&str] = &["contact"];
const LEAD: &[&str] = &["lead"];

/// Whoever supports the record that goes on already stays a supporter of the other only.
const SUPPORTS_ALREADY: &str = "EXISTS (SELECT 1 FROM participants o WHERE o.tenant_id = $1 AND o.record_kind = t.record_kind \
     AND o.record_id = $3 AND o.user_id = t.user_id)";

/// What the same sender told of both is behaviour of one person, done once.
const TOLD_ALREADY: &str = "EXISTS (SELECT 1 FROM lead_behaviours o WHERE o.tenant_id = $1 AND o.lead_id = $3 AND o.external_id = t.external_id)";

pub static LINKS: &[Link] = &[
    Link::records(ACCOUNT, "contacts", "account_id", "contact"),
    Link {
        unless: "t.id = $3",
        ..Link::records(ACCOUNT, "accounts", "parent_id", "account")
    },
    Link::records(ACCOUNT, "leads", "converted_account_id", "lead"),
    Link {
        unless: "t.archived_at IS NULL AND EXISTS (SELECT 1 FROM account_verifications o WHERE o.tenant_id = $1 \
            AND o.account_id = $3 AND o.member = t.member AND o.archived_at IS NULL)",
        leaves_twins: true,
        ..Link::records(
            ACCOUNT,
            "account_verifications",
            "account_id",
            "account_verification",
        )
    },
    Link {
        unless: "t.archived_at IS NULL AND EXISTS (SELECT 1 FROM contact_verifications o WHERE o.tenant_id = $1 \
            AND o.contact_id = $3 AND o.member = t.member AND o.archived_at IS NULL)",
        leaves_twins: true,
        ..Link::records(
            CONTACT,
            "contact_verifications",
            "contact_id",
            "contact_verification",
        )
    },
    Link::records(CONTACT, "leads", "converted_contact_id", "lead"),
    Link::records(LEAD, "intakes", "lead_id", "intake"),
    Link {
        unless: TOLD_ALREADY,
        leaves_twins: true,
        ..Link::records(LEAD, "lead_behaviours", "lead_id", "lead_behaviour")
    },
    Link {
        unless: "t.status = 'open'",
        ..Link::records(LEAD, "lead_reviews", "lead_id", "lead_review")
    },
    Link {
        unless: "t.status = 'open'",
        ..Link::records(LEAD, "lead_handovers", "lead_id", "lead_handover")
    },
    Link::rows("participants", SUPPORTS_ALREADY),
    Link::rows("external_ids", "FALSE"),
];
