//! What every company begins with.

use super::resources::LOSS_REASON;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::platform::db::Tx;
use crate::platform::records::store;
use futures::future::LocalBoxFuture;
use serde_json::{Map, json};

/// Key, English and Chinese name. Source: DOMAIN.md, room 5.
const LOSS_REASONS: [(&str, &str, &str); 6] = [
    ("price_too_high", "The price is too high", "价格过高"),
    ("competitor_won", "A competitor was chosen", "选择了竞争对手"),
    ("misleading_information", "Misleading information", "信息有误导"),
    ("no_fit", "No fit with the need", "与需求不符"),
    ("change_not_feasible", "A change is not feasible", "变更不可行"),
    ("no_budget", "There is no budget", "没有预算"),
];

/// Makes the shipped loss reasons of a new company, in its language.
pub fn loss_reasons<'a>(tx: &'a mut Tx, ctx: &'a Ctx, locale: &'a str) -> LocalBoxFuture<'a, AppResult<()>> {
    Box::pin(async move {
        for (key, english, chinese) in LOSS_REASONS {
            let name = if locale == "zh-CN" { chinese } else { english };
            let reason = [("key", json!(key)), ("name", json!(name))];
            let reason = reason.map(|(member, value)| (member.to_owned(), value));
            store::create(tx, ctx, &LOSS_REASON, None, Map::from_iter(reason)).await?;
        }
        Ok(())
    })
}
