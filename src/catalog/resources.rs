//! Products, competitors, loss reasons and exchange rates as the API shows them.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::Fault;
use crate::kernel::money;
use crate::platform::db::Tx;
use crate::platform::records::{Access, Change, Hooks, Member, Resource, Verbs};
use futures::future::LocalBoxFuture;
use rust_decimal::Decimal;

pub static PRODUCT: Resource = Resource {
    singular: "product",
    plural: "products",
    table: "products",
    tag: "catalog",
    about: "Something that is sold.",
    permission: "catalog",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::text("code", 60, "Unique code.", "\"CRM-STD\"")
            .required()
            .filter()
            .search()
            .sort(),
        Member::text("name", 200, "Name.", "\"客户管理系统 标准版\"")
            .required()
            .search()
            .sort(),
        Member::text("unit", 30, "Unit of sale.", "\"套/年\""),
        Member::text("category", 100, "Category.", "\"软件\"").filter(),
        Member::money("price", "List price of one unit."),
        Member::currency("Currency of price and cost; the company's when not given."),
        Member::money("cost", "Cost of one unit.").sensitive("catalog.read_cost"),
        Member::flag("is_active", "true", "Whether it is sold now."),
        Member::text("description", 5000, "Description.", "null"),
    ],
    default_sort: "code",
    hooks: Hooks::NONE,
};

pub static COMPETITOR: Resource = Resource {
    singular: "competitor",
    plural: "competitors",
    table: "competitors",
    tag: "catalog",
    about: "A competitor that is met on deals.",
    permission: "catalog",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::text("name", 200, "Unique name.", "\"竞品甲\"")
            .required()
            .filter()
            .search()
            .sort(),
        Member::text("website", 300, "Web site.", "null"),
        Member::text("strengths", 5000, "What they do well.", "\"价格低\""),
        Member::text("weaknesses", 5000, "Where they are weak.", "\"实施能力弱\""),
    ],
    default_sort: "name",
    hooks: Hooks::NONE,
};

pub static LOSS_REASON: Resource = Resource {
    singular: "loss_reason",
    plural: "loss-reasons",
    table: "loss_reasons",
    tag: "catalog",
    about: "A reason for which opportunities are lost.",
    permission: "catalog",
    access: Access::Shared,
    verbs: Verbs::ALL,
    members: &[
        Member::key("key", "Stable key.", "\"price_too_high\"")
            .required()
            .fixed()
            .filter()
            .sort(),
        Member::text("name", 200, "Name.", "\"价格过高\"")
            .required()
            .search()
            .sort(),
    ],
    default_sort: "key",
    hooks: Hooks::NONE,
};

pub static EXCHANGE_RATE: Resource = Resource {
    singular: "exchange_rate",
    plural: "exchange-rates",
    table: "exchange_rates",
    tag: "catalog",
    about: "What one unit of a currency is worth in the company's currency from a day on.",
    permission: "catalog",
    access: Access::Shared,
    verbs: Verbs {
        create: true,
        update: true,
        archive: false,
    },
    members: &[
        Member::currency("The foreign currency.")
            .required()
            .fixed()
            .sort(),
        Member::day("rate_on", "From this day on.")
            .required()
            .fixed()
            .sort(),
        Member::decimal(
            "rate",
            10,
            "Units of the company's currency for one unit.",
            "\"7.2451\"",
        )
        .required(),
    ],
    default_sort: "-rate_on",
    hooks: Hooks {
        before: Some(check_rate),
        ..Hooks::NONE
    },
};

/// A rate is above nothing, and of another currency than the company's, which is worth 1 by itself.
fn check_rate<'a>(_: &'a mut Tx, ctx: &'a Ctx, change: &'a mut Change) -> LocalBoxFuture<'a, AppResult<()>> {
    let mut faults = Vec::new();
    if change.changed("currency") && change.text("currency") == Some(ctx.currency()) {
        faults.push(Fault::invalid(
            "/currency",
            "is the company's own currency, which needs no rate",
            "是企业本位币，无需汇率",
        ));
    }
    let rate = change.text("rate").and_then(money::parse);
    if rate.is_some_and(|rate| rate <= Decimal::ZERO) {
        faults.push(Fault::out_of_range("/rate", "must be above 0", "必须大于 0"));
    }
    Box::pin(async move {
        match faults.is_empty() {
            true => Ok(()),
            false => Err(AppError::invalid(faults)),
        }
    })
}
