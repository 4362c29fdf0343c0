//! What arrived, as the API shows it.

use crate::crm::resources::{LEAD, LEAD_SOURCE};
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

pub static INTAKE: Resource = Resource {
    singular: "intake",
    plural: "intakes",
    table: "intakes",
    tag: "leads",
    about: "A delivery that arrived at a source, raw, with what became of it.",
    permission: "intake",
    access: Access::Shared,
    verbs: Verbs::READ,
    members: &[
        Member::to("source_id", &LEAD_SOURCE, "The source that it arrived at.").required(),
        Member::text(
            "delivery_id",
            255,
            "The sender's id of the delivery (`webhook-id`).",
            "\"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W\"",
        )
        .required()
        .filter(),
        Member::choice(
            "status",
            &["accepted", "rejected"],
            "`accepted`: it made a lead. `rejected`: it waits to be corrected and replayed.",
            "\"rejected\"",
        )
        .required(),
        Member::json(
            "faults",
            "[]",
            r#"{"type":"array","items":{"type":"object","required":["pointer","code","message","message_zh"],"properties":{"pointer":{"type":"string","description":"JSON Pointer of the lead's member.","examples":["/name"]},"code":{"type":"string","description":"Stable code of the fault.","examples":["required"]},"message":{"type":"string","description":"The fault in English.","examples":["is required"]},"message_zh":{"type":"string","description":"The fault in Chinese.","examples":["为必填项"]}}}}"#,
            "Why it was rejected when it arrived.",
            r#"[{"pointer":"/name","code":"required","message":"is required","message_zh":"为必填项"}]"#,
        ),
        Member::to("lead_id", &LEAD, "The lead that it made."),
        Member::text(
            "body",
            262_144,
            "What arrived, as text: what is no UTF-8 is read in the encoding that it seems to be in where that makes JSON of it; else bytes that are no UTF-8, and NUL, stand as replacement characters. Empty once it expired.",
            "\"{\\\"company\\\":\\\"制造有限公司\\\"}\"",
        )
        .required(),
        Member::text(
            "body_base64",
            349_528,
            "The very bytes that arrived, where `body` is not just these; null where it is, and once they expired.",
            "null",
        )
        .computed("replace(encode(t.raw, 'base64'), chr(10), '')"),
        Member::text(
            "corrected_body",
            1_048_576,
            "What was replayed in its place, when it was corrected.",
            "null",
        ),
        Member::instant("received_at", "When it arrived, in real time.").required(),
        Member::instant(
            "raw_expired_at",
            "When the raw delivery was emptied, in real time: the company's `raw_intake_days` after an accepted one arrived.",
        ),
    ],
    default_sort: "-created_at",
    hooks: Hooks::NONE,
};
