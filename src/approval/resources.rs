//! Approval processes as the API shows them.

use crate::platform::records::versions::{NUMBER, PUBLISHED_AT, STATE};
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

pub static APPROVAL_PROCESS: Resource = Resource {
    singular: "approval_process",
    plural: "approval-processes",
    table: "approval_processes",
    tag: "approvals",
    about: "Who decides on something, in what order. Its documents stand in its versions.",
    permission: "process",
    access: Access::Shared,
    verbs: Verbs {
        create: false,
        update: false,
        archive: true,
    },
    members: &[
        Member::key(
            "key",
            "Stable key, by which gates name it.",
            "\"contract_approval\"",
        )
        .required()
        .read_only()
        .filter()
        .sort(),
        Member::text(
            "name",
            200,
            "Name, that of the version published last.",
            "\"合同审批\"",
        )
        .required()
        .read_only()
        .search()
        .sort(),
        Member::choice(
            "subject_kind",
            &["opportunity", "lead", "result_sheet"],
            "What it decides on.",
            "\"opportunity\"",
        )
        .required()
        .read_only(),
        Member::int(
            "published_number",
            1,
            1_000_000,
            "Number of the version that new requests freeze; null while none is published.",
            "1",
        )
        .read_only(),
    ],
    default_sort: "key",
    hooks: Hooks {
        before: Some(super::uses::before),
        ..Hooks::NONE
    },
};

/// A version in lists; its document is read by number. Not among the declared resources, since it is found by number.
pub static VERSION: Resource = Resource {
    singular: "approval_process_version",
    plural: "versions",
    table: "approval_process_versions",
    tag: "approvals",
    about: "A version of an approval process.",
    permission: "process",
    access: Access::Part {
        parent: &APPROVAL_PROCESS,
        key: "process_id",
        closed_sql: None,
    },
    verbs: Verbs::READ,
    members: &[NUMBER, STATE, PUBLISHED_AT],
    default_sort: "-number",
    hooks: Hooks::NONE,
};
