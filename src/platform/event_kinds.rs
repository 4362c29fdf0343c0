//! What kinds of events there are: a closed list, of what the declared resources' plain writes tell and what commands tell.

use super::records::{Access, Resource};
use crate::kernel::fault::Fault;
use crate::kernel::nearest::nearest;
use crate::kernel::text::say;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// What commands tell, by the record that they are about. Plain writes of declared resources are not among them.
const COMMANDS: [(&str, &[&str]); 30] = [
    (
        "account",
        &[
            "assigned",
            "claimed",
            "external_id_added",
            "external_id_removed",
            "followed_up",
            "graded",
            "handed_over",
            "merged",
            "merged_into",
            "participant_added",
            "participant_removed",
            "pooled",
            "recycled",
            "recycling_near",
            "released",
            "repointed",
            "returned",
            "unmerged",
        ],
    ),
    ("account_verification", &["repointed"]),
    ("api_key", &["created", "revoked"]),
    ("approval_process", &["created", "published"]),
    ("approval_process_version", &["created", "published", "updated"]),
    (
        "approval_request",
        &[
            "approved",
            "approver_added",
            "commented",
            "decided",
            "delegated",
            "escalated",
            "lapsed",
            "owner_changed",
            "pending",
            "rejected",
            "reminded",
            "requested",
            "restaffed",
            "returned",
            "updated",
            "withdrawn",
        ],
    ),
    (
        "company",
        &[
            "assignment_updated",
            "clock_moved",
            "created",
            "sandbox_made",
            "updated",
        ],
    ),
    (
        "contact",
        &[
            "assigned",
            "external_id_added",
            "external_id_removed",
            "handed_over",
            "merged",
            "merged_into",
            "participant_added",
            "participant_removed",
            "pooled",
            "repointed",
            "unmerged",
        ],
    ),
    ("contact_verification", &["repointed"]),
    ("criterion", &["answered", "unanswered"]),
    ("decision_chain_member", &["repointed"]),
    (
        "duplicate_review",
        &[
            "created",
            "distinct",
            "later",
            "merged",
            "reopened",
            "repointed",
            "unmerged",
        ],
    ),
    ("export", &["made"]),
    ("intake", &["accepted", "rejected", "replayed", "repointed"]),
    ("job", &["asked", "cancel_asked", "cancelled", "done", "failed"]),
    (
        "lead",
        &[
            "accepted",
            "assigned",
            "claimed",
            "disqualified",
            "external_id_added",
            "external_id_removed",
            "followed_up",
            "handed_over",
            "marketing_qualified",
            "merged",
            "merged_into",
            "nurtured",
            "participant_added",
            "participant_removed",
            "pooled",
            "qualified",
            "recycled",
            "recycling_near",
            "released",
            "reopened",
            "repointed",
            "return_due",
            "returned",
            "sales_qualified",
            "score_overridden",
            "scored",
            "signals_confirmed",
            "signals_unconfirmed",
            "touched",
            "unassigned",
            "unmerged",
            "worked",
            "working",
        ],
    ),
    ("lead_behaviour", &["recorded", "repointed"]),
    (
        "lead_handover",
        &[
            "closed",
            "due_soon",
            "missed",
            "reopened",
            "repointed",
            "responded",
            "started",
            "superseded",
            "withdrawn",
        ],
    ),
    (
        "lead_review",
        &["accepted", "opened", "rejected", "repointed", "withdrawn"],
    ),
    ("lead_source", &["handed_over", "secret_rotated"]),
    (
        "opportunity",
        &[
            "advanced",
            "assigned",
            "entered",
            "external_id_added",
            "external_id_removed",
            "handed_over",
            "imported",
            "lost",
            "migrated",
            "overridden",
            "participant_added",
            "participant_removed",
            "regressed",
            "reopened",
            "repointed",
            "restarted",
            "skipped",
            "won",
        ],
    ),
    ("pipeline", &["created", "published"]),
    (
        "pipeline_migration",
        &["finished", "roll_back_started", "rolled_back", "started"],
    ),
    (
        "pipeline_version",
        &["created", "published", "retired", "updated"],
    ),
    ("result_sheet", &["frozen"]),
    ("role", &["created"]),
    ("scoring_model", &["created", "published", "updated"]),
    (
        "scoring_model_version",
        &["created", "published", "retired", "updated"],
    ),
    ("team", &["handed_over"]),
    (
        "user",
        &[
            "created",
            "deactivated",
            "handed_over",
            "password_changed",
            "reactivated",
            "roles_changed",
            "signed_in",
            "signed_out",
        ],
    ),
];

/// Every kind of event that these resources and all commands tell of, in alphabetical order.
pub fn all(resources: &[&Resource]) -> BTreeSet<String> {
    let by_commands = COMMANDS.iter().flat_map(|(subject, verbs)| {
        let of_subject = verbs.iter().map(move |verb| format!("{subject}.{verb}"));
        of_subject.collect::<Vec<_>>()
    });
    let declared = resources
        .iter()
        .filter(|resource| !matches!(resource.access, Access::Derived));
    let by_writes = declared.flat_map(|resource| {
        let verbs = resource.verbs;
        let told = [
            (verbs.create, "created"),
            (verbs.update, "updated"),
            (verbs.archive, "archived"),
            (verbs.archive, "restored"),
        ];
        let told = told.into_iter().filter(|(is_told, _)| *is_told);
        told.map(|(_, verb)| format!("{}.{verb}", resource.singular))
    });
    by_commands.chain(by_writes).collect()
}

/// Those of this service.
static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Says which resources are declared; the first word counts.
pub fn declare(resources: &[&Resource]) {
    KNOWN.get_or_init(|| all(resources));
}

/// Whether there is such a kind, as far as resources are declared.
pub(super) fn is_known(kind: &str) -> bool {
    KNOWN.get().is_none_or(|known| known.contains(kind))
}

/// The fault of a kind that there is not; it names the nearest one.
pub fn fault(pointer: &str, kind: &str) -> Option<Fault> {
    if is_known(kind) {
        return None;
    }
    let known = KNOWN.get().into_iter().flatten().map(String::as_str);
    let message = match nearest(kind, known) {
        Some(near) => say(
            format!("is no kind of event; did you mean {near}?"),
            format!("不是事件类型；您是否想用 {near}？"),
        ),
        None => say(
            "is no kind of event; list_events names all in its description",
            "不是事件类型；list_events 的说明列出全部类型",
        ),
    };
    Some(Fault::new(pointer, "unknown_value", message))
}

/// All of them in words, for the document: each record with what is told of it.
pub fn listed(resources: &[&Resource]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut last = String::new();
    for kind in all(resources) {
        let (subject, verb) = kind.split_once('.').unwrap_or((&kind, ""));
        match lines.last_mut().filter(|_| subject == last) {
            Some(line) => line.push_str(&format!(", {verb}")),
            None => lines.push(format!("- `{subject}.`{verb}")),
        }
        last = subject.to_owned();
    }
    lines.join("\n")
}
