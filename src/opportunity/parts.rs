//! The parts of an opportunity: everything that is noted while it is pushed forward. They can be read as long as the
//! opportunity can, and change only while it is open.

use super::resources::OPPORTUNITY;
use super::{part_hooks, result_sheets};
use crate::catalog::resources::{COMPETITOR, PRODUCT};
use crate::crm::resources::CONTACT;
use crate::identity::resources::USER;
use crate::platform::records::{Access, Hooks, Member, Resource, Verbs};

const PART: Access = Access::Part {
    parent: &OPPORTUNITY,
    key: "opportunity_id",
    closed_sql: Some("p.status <> 'open'"),
};

const fn part(
    singular: &'static str,
    plural: &'static str,
    table: &'static str,
    about: &'static str,
    members: &'static [Member],
) -> Resource {
    Resource {
        singular,
        plural,
        table,
        tag: "opportunities",
        about,
        permission: "opportunity",
        access: PART,
        verbs: Verbs::ALL,
        members,
        default_sort: "created_at",
        hooks: Hooks::NONE,
    }
}

const fn with(hooks: Hooks, part: Resource) -> Resource {
    Resource { hooks, ..part }
}

pub static LINE: Resource = with(part_hooks::LINE, part(
    "line",
    "lines",
    "opportunity_lines",
    "A product that the customer wants; prices are in the opportunity's currency.",
    &[
        Member::to("product_id", &PRODUCT, "The product, when it is in the catalog."),
        Member::text("name", 200, "What is wanted.", "\"客户管理系统 标准版\"").required(),
        Member::decimal("quantity", 4, "Quantity, above 0.", "\"1\"").required(),
        Member::text("unit", 30, "Unit.", "\"年\""),
        Member::decimal(
            "unit_price",
            4,
            "Price of one unit, 0 at least. May have up to four decimal places, more than the currency has: what is counted \
             in thousands costs less than its minor unit apiece. Only the line's amount is rounded to that.",
            "\"220000\"",
        )
        .required(),
        Member::share("discount", "Discount as a share.", "\"0.1200\"").or("\"0\""),
        Member::money("amount", "Quantity × price less the discount, rounded to the currency's minor unit.")
            .or("\"0\"")
            .computed(
                "SELECT money_text(t.quantity * t.unit_price * (1 - t.discount), o.currency) FROM opportunities o \
                 WHERE o.tenant_id = t.tenant_id AND o.id = t.opportunity_id",
            ),
        Member::text("note", 1000, "Note.", "null"),
    ],
));

pub static DECISION_CHAIN_MEMBER: Resource = with(
    part_hooks::DECISION_CHAIN_MEMBER,
    part(
        "decision_chain_member",
        "decision-chain-members",
        "decision_chain_members",
        "Somebody at the customer who has a say. The influences of an opportunity add to at most 1.",
        &[
            Member::to(
                "contact_id",
                &CONTACT,
                "The contact, when known; else give a title.",
            ),
            Member::text(
                "title",
                100,
                "Title, for somebody not yet known by name.",
                "\"总经理\"",
            ),
            Member::choice(
                "role",
                &["user", "technical", "procurement", "decision_maker"],
                "Role in the decision.",
                "\"decision_maker\"",
            )
            .required(),
            Member::share("influence", "Influence as a share.", "\"0.6000\"").required(),
            Member::choice(
                "stance",
                &["unknown", "supporter", "neutral", "opponent"],
                "How they stand to us.",
                "\"supporter\"",
            )
            .or("\"unknown\""),
            Member::text("note", 1000, "Note.", "null"),
        ],
    ),
);

pub static NEED_ANALYSIS: Resource = part(
    "need_analysis",
    "need-analyses",
    "need_analyses",
    "What an interview brought to light of the customer's needs.",
    &[
        Member::instant("held_at", "When the interview was held.")
            .required()
            .sort(),
        Member::text("participants", 500, "Who took part.", "\"销售李、客户张\""),
        Member::text("situation", 5000, "Their situation.", "null"),
        Member::text(
            "problem",
            5000,
            "Their core problem.",
            "\"客户信息分散,跟进效率低\"",
        ),
        Member::text("implication", 5000, "What the problem leads to.", "null"),
        Member::text("payoff", 5000, "What solving it is worth to them.", "null"),
        Member::text(
            "explicit_needs",
            5000,
            "Needs they stated.",
            "\"需要统一的客户管理平台\"",
        ),
        Member::text(
            "hidden_needs",
            5000,
            "Needs we infer.",
            "\"希望实现客户数据与销售业绩联动\"",
        ),
        Member::money("budget_amount", "Budget."),
        Member::currency("Currency of the budget; the company's when not given."),
        Member::text("decision_process", 5000, "How they decide.", "null"),
        Member::instant(
            "confirmation_sent_at",
            "When the letter of confirmation was sent (within 24 h).",
        ),
        Member::instant("confirmed_at", "When the customer confirmed."),
        Member::flag(
            "is_late",
            "false",
            "Whether it was entered more than 24 h after it was held.",
        )
        .computed("t.created_at > t.held_at + interval '24 hours'"),
    ],
);

pub static SOLUTION_CHECKLIST_ITEM: Resource = with(
    part_hooks::SOLUTION_CHECKLIST_ITEM,
    part(
        "solution_checklist_item",
        "solution-checklist-items",
        "solution_checklist_items",
        "A module that the solution must contain.",
        &[
            Member::int("position", 0, 1000, "Place in the list.", "1")
                .or("0")
                .sort(),
            Member::text("module", 200, "Module.", "\"客户痛点分析\"").required(),
            Member::text("required_content", 2000, "What it must contain.", "null"),
            Member::flag("is_done", "false", "Whether it is done."),
            Member::text(
                "responsible",
                100,
                "Who does it, person or department.",
                "\"产品部\"",
            ),
            Member::to("responsible_id", &USER, "The user who does it.").embedded_as("responsible_user"),
            Member::day("done_on", "When it was done."),
        ],
    ),
);

pub static OBJECTION: Resource = part(
    "objection",
    "objections",
    "objections",
    "Something the customer objected to, and how it was answered.",
    &[
        Member::day("raised_on", "When it was raised.").required().sort(),
        Member::choice(
            "category",
            &["price", "function", "delivery", "fit", "other"],
            "Category.",
            "\"price\"",
        ),
        Member::text("content", 2000, "The objection.", "\"系统价格偏高\"").required(),
        Member::text(
            "demand",
            2000,
            "What the customer wants.",
            "\"预算控制在20万以内\"",
        ),
        Member::text("answer", 2000, "How we answer.", "null"),
        Member::text("responsible", 100, "Who resolves it.", "\"李\""),
        Member::to("responsible_id", &USER, "The user who resolves it.").embedded_as("responsible_user"),
        Member::day("resolve_by", "Day by which it is to be resolved."),
        Member::day("resolved_on", "When it was resolved."),
        Member::text("reaction", 2000, "How the customer took it.", "\"接受分期方案\""),
    ],
);

pub static NEGOTIATION_RECORD: Resource = part(
    "negotiation_record",
    "negotiation-records",
    "negotiation_records",
    "One negotiation: each topic with their position, ours, the interim agreement and what is open.",
    &[
        Member::instant("held_at", "When it was held.").required().sort(),
        Member::text("way", 200, "Where or how.", "\"客户会议室\""),
        Member::text(
            "their_people",
            500,
            "Who was there for the customer.",
            "\"总经理张、采购\"",
        ),
        Member::text(
            "our_people",
            500,
            "Who was there for us.",
            "\"销售李、销售经理赵\"",
        ),
        Member::json(
            "topics",
            "[]",
            r#"{"type":"array","maxItems":100,"items":{"type":"object","additionalProperties":false,"required":["topic"],"properties":{"topic":{"type":"string","minLength":1,"maxLength":500},"their_position":{"type":["string","null"],"maxLength":1000},"our_position":{"type":["string","null"],"maxLength":1000},"interim_agreement":{"type":["string","null"],"maxLength":1000},"open_point":{"type":["string","null"],"maxLength":1000}}}}"#,
            "What was talked about.",
            r#"[{"topic":"价格(年费25万)","their_position":"希望降至20万","our_position":"最低22万","interim_agreement":"暂定22万","open_point":"付款方式"}]"#,
        ),
        Member::text("our_floor", 2000, "Where we will not go below.", "null")
            .sensitive("opportunity.read_floor"),
        Member::flag(
            "is_late",
            "false",
            "Whether it was entered more than 24 h after it was held.",
        )
        .computed("t.created_at > t.held_at + interval '24 hours'"),
    ],
);

pub static COMPETITOR_MET: Resource = part(
    "competitor_met",
    "competitors-met",
    "competitors_met",
    "A competitor met on the deal.",
    &[
        Member::to("competitor_id", &COMPETITOR, "The competitor.").required(),
        Member::text("strengths", 2000, "Their strengths here.", "null"),
        Member::text("weaknesses", 2000, "Their weaknesses here.", "null"),
        Member::money("price", "What they ask."),
        Member::currency("Currency of the price; the company's when not given."),
        Member::choice(
            "outcome",
            &["open", "beaten", "beat_us"],
            "How it ended.",
            "\"open\"",
        )
        .or("\"open\""),
    ],
);

pub static VALUE_LINE: Resource = part(
    "value_line",
    "value-lines",
    "value_lines",
    "What the solution is worth to the customer by one metric.",
    &[
        Member::text("metric", 200, "Metric.", "\"客户跟进效率\"").required(),
        Member::text("before_value", 200, "Before.", "\"70%\""),
        Member::text("after_value", 200, "After.", "\"100%\""),
        Member::money("amount", "Worth in money."),
        Member::currency("Currency of the amount; the company's when not given."),
    ],
);

pub static RISK_LINE: Resource = part(
    "risk_line",
    "risk-lines",
    "risk_lines",
    "A risk and the measure against it.",
    &[
        Member::text("risk", 1000, "The risk.", "\"数据迁移延期\"").required(),
        Member::text("measure", 1000, "The measure.", "null"),
        Member::to("responsible_id", &USER, "Who sees to it."),
        Member::flag("is_settled", "false", "Whether it is settled."),
    ],
);

pub static CHANGE_REQUEST: Resource = with(
    part_hooks::CHANGE_REQUEST,
    part(
        "change_request",
        "change-requests",
        "change_requests",
        "Something that the customer wants changed.",
        &[
            Member::day("requested_on", "When it was asked for.")
                .required()
                .sort(),
            Member::text("content", 2000, "What is to change.", "\"增加数据导出\"").required(),
            Member::choice(
                "state",
                &["open", "accepted", "refused", "deferred"],
                "What became of it; a refusal needs an explanation.",
                "\"open\"",
            )
            .or("\"open\""),
            Member::text("explanation", 2000, "Why.", "null"),
            Member::day("answered_on", "When it was answered."),
        ],
    ),
);

pub static NEGOTIATION_PLAN: Resource = part(
    "negotiation_plan",
    "negotiation-plans",
    "negotiation_plans",
    "Our limits, set before talks. Its members are sensitive.",
    &[
        Member::share("floor_discount", "Deepest discount.", "\"0.1500\"")
            .sensitive("opportunity.read_floor"),
        Member::int(
            "longest_payment_days",
            0,
            3650,
            "Longest payment term in days.",
            "90",
        )
        .sensitive("opportunity.read_floor"),
        Member::text("non_negotiables", 5000, "What is not negotiable.", "null")
            .sensitive("opportunity.read_floor"),
        Member::text("concessions", 5000, "What we may give.", "null").sensitive("opportunity.read_floor"),
    ],
);

pub static NEGOTIATION_TEAM_MEMBER: Resource = part(
    "negotiation_team_member",
    "negotiation-team-members",
    "negotiation_team_members",
    "Somebody who negotiates for us.",
    &[
        Member::to("user_id", &USER, "The person.").required(),
        Member::choice(
            "role",
            &[
                "signatory",
                "finance",
                "line_manager",
                "legal",
                "technical",
                "sales",
            ],
            "What they are there for.",
            "\"signatory\"",
        )
        .required(),
    ],
);

pub static RESULT_SHEET: Resource = with(
    result_sheets::HOOKS,
    part(
        "result_sheet",
        "result-sheets",
        "result_sheets",
        "What the negotiation came to: the base of the contract draft. Frozen once approved.",
        &[
            Member::day("agreed_on", "When it was agreed.").required(),
            Member::json(
                "terms",
                "[]",
                r#"{"type":"array","maxItems":100,"items":{"type":"object","additionalProperties":false,"required":["term","agreed"],"properties":{"term":{"type":"string","minLength":1,"maxLength":200},"agreed":{"type":"string","minLength":1,"maxLength":1000}}}}"#,
                "All business terms.",
                r#"[{"term":"付款方式","agreed":"分三期"}]"#,
            ),
            Member::money("amount", "Agreed amount."),
            Member::currency("Currency of the amount; the company's when not given."),
            Member::text("note", 2000, "Note.", "null"),
            Member::instant("frozen_at", "When it was frozen.").read_only(),
        ],
    ),
);
