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
    Link::records(CONTACT, "leads", "converted_contact_id", "lead"),
    Link::records(LEAD, "intakes", "lead_id", "intake"),
    Link {
        unless: TOLD_ALREADY,
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
