//! What becomes of a deal's prices when its currency changes: the caller says so, since a number that stays means a
//! mistake put right, and one that is converted another offer.

use super::parts::LINE;
use crate::approval::queries::exchange_rate;
use crate::kernel::ctx::{ActorKind, Ctx};
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::money;
use crate::kernel::text::say;
use crate::platform::db::{Cached, Tx};
use crate::platform::records::store;
use crate::platform::records::{Change, Member};
use diesel::sql_types::{Numeric, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NAME: &str = "prices";
/// Places of a unit price.
const PLACES: u32 = 4;
/// By how much of it a small price may change when it is rounded, without a word.
const NOTABLE: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// Most lines that a refusal names.
const NAMED: usize = 10;

/// Says what becomes of the prices.
pub const PRICES: Member = Member::json(
    NAME,
    "null",
    r#"{"type":"string","enum":["keep","convert"]}"#,
    "What a change of `currency` makes of the unit prices of the lines: `keep` leaves the numbers as they are, `convert` takes them, and an \
     `amount` that is not sent along, into the new currency by the rates of the day. Needed where a line has a price.",
    "\"keep\"",
)
.instruction()
.converting_money("convert");

#[derive(QueryableByName)]
struct Priced {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Numeric)]
    unit_price: Decimal,
}

/// Lets the prices of an open deal, which is locked, follow its new currency. An import says the prices of its lines itself.
///
/// # Errors
/// `invalid` where it is not said what becomes of them, or where they cannot be converted.
pub(super) async fn follow(tx: &mut Tx, ctx: &Ctx, change: &mut Change) -> AppResult<()> {
    let currency = |record: &Map<String, Value>| Some(record.get("currency")?.as_str()?.to_owned());
    let (Some(from), Some(to)) = (currency(&change.before), currency(&change.after)) else {
        return Ok(());
    };
    if ctx.actor_kind == ActorKind::Job {
        return Ok(());
    }
    match change.text(NAME) {
        Some("convert") => convert(tx, ctx, change, &from, &to).await,
        Some(_) => Ok(()),
        None => {
            let lines = priced(tx, ctx, change.id).await?;
            match lines.is_empty() {
                true => Ok(()),
                false => Err(unsaid(&lines, &from)),
            }
        }
    }
}

/// Refuses to be told what becomes of the prices where no other currency is named.
///
/// # Errors
/// A fault at `/currency`.
pub(super) fn refuse_idle(change: &Change) -> AppResult<()> {
    if change.was_sent(NAME) && !change.was_sent("currency") {
        return Err(AppError::invalid(vec![Fault::required("/currency")]));
    }
    Ok(())
}

/// Archived lines too: restored, they are read in the deal's currency.
async fn priced(tx: &mut Tx, ctx: &Ctx, deal: Uuid) -> AppResult<Vec<Priced>> {
    let query = sql_query(
        "SELECT l.id, l.name, l.unit_price FROM opportunity_lines l WHERE l.tenant_id = $1 AND l.opportunity_id = $2 \
         AND l.unit_price <> 0 ORDER BY l.created_at, l.id",
    )
    .bind::<SqlUuid, _>(ctx.tenant)
    .bind::<SqlUuid, _>(deal);
    Ok(Cached(query).load(&mut **tx).await?)
}

fn unsaid(lines: &[Priced], from: &str) -> AppError {
    let names = lines.iter().take(NAMED).map(|line| line.name.as_str());
    let names = names.collect::<Vec<_>>();
    let more = match lines.len() > NAMED {
        true => ", …",
        false => "",
    };
    let (en, zh) = (names.join(", "), names.join("、"));
    let reason = say(
        format!("is required: lines have prices in {from} ({en}{more}); say keep or convert"),
        format!("为必填项：以下产品行以 {from} 计价（{zh}{more}）；请指定 keep 或 convert"),
    );
    AppError::invalid(vec![Fault::new(format!("/{NAME}"), "required", reason)])
}

async fn convert(tx: &mut Tx, ctx: &Ctx, change: &mut Change, from: &str, to: &str) -> AppResult<()> {
    let rates = (rate(tx, ctx, from).await?, rate(tx, ctx, to).await?);
    let (Some(of_old), Some(of_new)) = rates else {
        let lacking = if rates.0.is_none() { from } else { to };
        return Err(without_rate(lacking));
    };
    let amount = change.before.get("amount").and_then(Value::as_str);
    let amount = amount
        .and_then(money::parse)
        .filter(|_| !change.was_sent("amount"));
    if let Some(amount) = amount {
        let places = money::minor_unit(to);
        let amount = converted(amount, of_old, of_new, places).ok_or_else(too_large)?;
        change
            .after
            .insert("amount".to_owned(), json!(money::to_text(amount, to)));
    }
    // What the request said of the deal's version is not said of the lines'.
    let ctx = &Ctx {
        if_match: None,
        ..ctx.clone()
    };
    for line in priced(tx, ctx, change.id).await? {
        let price = converted(line.unit_price, of_old, of_new, PLACES).ok_or_else(too_large)?;
        if price.is_zero() {
            return Err(too_small(&line.name, to));
        }
        if is_notable((price, of_new), (line.unit_price, of_old)) {
            change.warnings.push(rounded(&line.name, price, to));
        }
        let patch = Map::from_iter([("unit_price".to_owned(), json!(price.to_string()))]);
        store::update_even_archived(tx, ctx, &LINE, Some(change.id), line.id, patch).await?;
    }
    Ok(())
}

/// Units of the company's currency for one of this.
async fn rate(tx: &mut Tx, ctx: &Ctx, currency: &str) -> AppResult<Option<Decimal>> {
    if currency == ctx.currency() {
        return Ok(Some(Decimal::ONE));
    }
    exchange_rate(&mut &**tx, ctx.tenant, currency, ctx.today()).await
}

/// A number in the new currency, to so many places; none where it has too many digits.
fn converted(number: Decimal, of_old: Decimal, of_new: Decimal, places: u32) -> Option<Decimal> {
    let number = number.checked_mul(of_old)?.checked_div(of_new)?;
    let number = number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    Some(number).filter(|number| number.abs() < money::BEYOND)
}

/// Whether a price at a rate is notably another one than it was.
fn is_notable((now, of_new): (Decimal, Decimal), (before, of_old): (Decimal, Decimal)) -> bool {
    let values = now.checked_mul(of_new).zip(before.checked_mul(of_old));
    values.is_some_and(|(now, before)| (now - before).abs() > before.abs() * NOTABLE)
}

fn rounded(line: &str, price: Decimal, currency: &str) -> Warning {
    let message = say(
        format!(
            "the price of {line} became {currency} {price}: rounding changed it by more than a hundredth"
        ),
        format!("“{line}”的单价变为 {currency} {price}：四舍五入造成的变化超过百分之一"),
    );
    Warning::new(format!("/{NAME}"), "rounded", message)
}

fn too_small(line: &str, currency: &str) -> AppError {
    let reason = say(
        format!("would make nothing of the price of {line} in {currency}"),
        format!("换算后“{line}”的 {currency} 单价将为零"),
    );
    AppError::invalid(vec![Fault::new(format!("/{NAME}"), "out_of_range", reason)])
}

fn too_large() -> AppError {
    let fault = Fault::out_of_range(
        format!("/{NAME}"),
        "would give a number with too many digits",
        "换算后的数值位数过多",
    );
    AppError::invalid(vec![fault])
}

fn without_rate(currency: &str) -> AppError {
    let reason = say(
        format!("needs an exchange rate of {currency}, and there is none for today; enter it, or say keep"),
        format!("需要 {currency} 的汇率，而今日没有可用汇率；请录入汇率，或指定 keep"),
    );
    AppError::invalid(vec![Fault::new(format!("/{NAME}"), "no_rate", reason)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use rust_decimal_macros::dec;

    #[rstest]
    #[case::rounded_away(dec!(0.0001), dec!(7.1), dec!(0.0004), true)]
    #[case::to_the_fourth_place(dec!(0.0141), dec!(7.1), dec!(0.1), false)]
    #[case::exact(dec!(100), dec!(7.2), dec!(720), false)]
    #[case::beyond_counting(Decimal::MAX, dec!(7.2), dec!(1), false)]
    fn a_small_price_that_rounding_changes_is_told(
        #[case] now: Decimal,
        #[case] of_new: Decimal,
        #[case] before: Decimal,
        #[case] expected: bool,
    ) {
        assert_eq!(is_notable((now, of_new), (before, Decimal::ONE)), expected);
    }

    #[rstest]
    #[case::into_the_companys_currency(dec!(100), dec!(7.2), dec!(1), Some(dec!(720)))]
    #[case::out_of_it(dec!(720), dec!(1), dec!(7.2), Some(dec!(100)))]
    #[case::between_two_foreign_ones(dec!(10), dec!(8), dec!(0.05), Some(dec!(1600)))]
    #[case::to_the_places_that_there_are(dec!(10), dec!(1), dec!(3), Some(dec!(3.33)))]
    #[case::the_largest_number(dec!(999999999999999.99), dec!(1), dec!(1), Some(dec!(999999999999999.99)))]
    #[case::more_than_fits(dec!(999999999999999), dec!(2), dec!(1), None)]
    #[case::more_than_fits_once_rounded(dec!(333333333333333.332), dec!(3), dec!(1), None)]
    #[case::more_than_can_be_counted(Decimal::MAX, dec!(7.2), dec!(1), None)]
    fn a_number_is_converted_through_the_companys_currency(
        #[case] number: Decimal,
        #[case] of_old: Decimal,
        #[case] of_new: Decimal,
        #[case] expected: Option<Decimal>,
    ) {
        assert_eq!(converted(number, of_old, of_new, 2), expected);
    }
}
