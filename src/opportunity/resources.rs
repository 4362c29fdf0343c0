//! Opportunities as the API shows them.

use super::{hooks, repricing};
use crate::crm::resources::{ACCOUNT, LEAD_SOURCE};
use crate::identity::resources::USER;
use crate::platform::records::{Access, Member, Resource, Verbs};

pub static OPPORTUNITY: Resource = Resource {
    singular: "opportunity",
    plural: "opportunities",
    table: "opportunities",
    tag: "opportunities",
    about: "An intended purchase travelling through a pipeline.",
    permission: "opportunity",
    access: Access::Owned {
        assign: "opportunity.assign",
        unowned: "opportunity.assign",
        within: None,
    },
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 200, "Name.", "\"客户管理系统采购\"")
            .required()
            .search()
            .sort(),
        Member::to("account_id", &ACCOUNT, "The account that buys.").required(),
        Member::to("owner_id", &USER, "Who drives it; you, when not given."),
        Member::id(
            "pipeline_id",
            "The pipeline; the company's default one when not given.",
        )
        .fixed()
        .or("null"),
        Member::id("pipeline_version_id", "The version it entered and stays on.").read_only(),
        Member::id("stage_id", "The present stage.").read_only(),
        Member::choice(
            "status",
            &["open", "won", "lost"],
            "Whether it is open, won or lost.",
            "\"open\"",
        )
        .or("\"open\"")
        .read_only(),
        Member::int("cycle", 1, 10_000, "Number of the present cycle.", "1")
            .or("1")
            .read_only(),
        Member::id("visit_id", "The present stay in the stage.").read_only(),
        Member::instant("stage_entered_at", "When the present stage was entered.")
            .read_only()
            .sort(),
        Member::instant(
            "stage_due_at",
            "Until when it is expected to stay in its stage, the time it was closed left out: overdue afterwards. Null when it is closed, or the stage has no expected dwell.",
        )
        .read_only()
        .sort(),
        Member::money("amount", "Expected amount.").sort(),
        Member::currency("Currency of the amount; the company's when not given.").or("null"),
        repricing::PRICES,
        Member::day("expected_close_on", "Expected day of closing.").sort(),
        Member::share(
            "probability_default",
            "The stage's chance of finally winning.",
            "\"0.6000\"",
        )
        .read_only(),
        Member::share(
            "probability_calibrated",
            "The calibrated one, when the version carries it.",
            "null",
        )
        .read_only(),
        Member::share(
            "probability_by_hand",
            "Set by hand; needs `opportunity.set_probability` and a reason.",
            "null",
        ),
        Member::text(
            "probability_reason",
            500,
            "Why the probability was set by hand.",
            "null",
        ),
        Member::share(
            "probability",
            "The effective one: set by hand, else calibrated, else the stage's.",
            "\"0.6000\"",
        )
        .computed("coalesce(t.probability_by_hand, t.probability_calibrated, t.probability_default)"),
        Member::choice(
            "forecast_category",
            &["omitted", "pipeline", "best_case", "commit"],
            "Set by hand; the stage's when null.",
            "null",
        ),
        Member::to("source_id", &LEAD_SOURCE, "Where it came from."),
        Member::text("next_step", 500, "What comes next.", "\"发送报价\"").search(),
        Member::day("next_step_on", "When it comes.").sort(),
        Member::flag(
            "is_as_is_purchase",
            "false",
            "Whether the customer buys the product as it is.",
        ),
        Member::text("description", 5000, "Notes.", "null").search(),
        Member::tags(),
        Member::custom(),
    ],
    default_sort: "-created_at",
    hooks: hooks::HOOKS,
};
