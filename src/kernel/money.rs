//! Money and shares: decimals that never pass through a binary float.

use super::fault::Fault;
use super::text::say;
use rust_decimal::{Decimal, RoundingStrategy};
use std::str::FromStr;

/// The active codes of ISO 4217 in which things are paid, each with its decimal places, in alphabetical order. Codes of
/// funds, metals and tests are no money of a sale. The SQL function `minor_unit` gives the same places.
#[rustfmt::skip]
const CURRENCIES: &[(&str, u32)] = &[
    ("AED", 2), ("AFN", 2), ("ALL", 2), ("AMD", 2), ("ANG", 2), ("AOA", 2), ("ARS", 2), ("AUD", 2),
    ("AWG", 2), ("AZN", 2), ("BAM", 2), ("BBD", 2), ("BDT", 2), ("BGN", 2), ("BHD", 3), ("BIF", 0),
    ("BMD", 2), ("BND", 2), ("BOB", 2), ("BRL", 2), ("BSD", 2), ("BTN", 2), ("BWP", 2), ("BYN", 2),
    ("BZD", 2), ("CAD", 2), ("CDF", 2), ("CHF", 2), ("CLP", 0), ("CNY", 2), ("COP", 2), ("CRC", 2),
    ("CUP", 2), ("CVE", 2), ("CZK", 2), ("DJF", 0), ("DKK", 2), ("DOP", 2), ("DZD", 2), ("EGP", 2),
    ("ERN", 2), ("ETB", 2), ("EUR", 2), ("FJD", 2), ("FKP", 2), ("GBP", 2), ("GEL", 2), ("GHS", 2),
    ("GIP", 2), ("GMD", 2), ("GNF", 0), ("GTQ", 2), ("GYD", 2), ("HKD", 2), ("HNL", 2), ("HTG", 2),
    ("HUF", 2), ("IDR", 2), ("ILS", 2), ("INR", 2), ("IQD", 3), ("IRR", 2), ("ISK", 0), ("JMD", 2),
    ("JOD", 3), ("JPY", 0), ("KES", 2), ("KGS", 2), ("KHR", 2), ("KMF", 0), ("KPW", 2), ("KRW", 0),
    ("KWD", 3), ("KYD", 2), ("KZT", 2), ("LAK", 2), ("LBP", 2), ("LKR", 2), ("LRD", 2), ("LSL", 2),
    ("LYD", 3), ("MAD", 2), ("MDL", 2), ("MGA", 2), ("MKD", 2), ("MMK", 2), ("MNT", 2), ("MOP", 2),
    ("MRU", 2), ("MUR", 2), ("MVR", 2), ("MWK", 2), ("MXN", 2), ("MYR", 2), ("MZN", 2), ("NAD", 2),
    ("NGN", 2), ("NIO", 2), ("NOK", 2), ("NPR", 2), ("NZD", 2), ("OMR", 3), ("PAB", 2), ("PEN", 2),
    ("PGK", 2), ("PHP", 2), ("PKR", 2), ("PLN", 2), ("PYG", 0), ("QAR", 2), ("RON", 2), ("RSD", 2),
    ("RUB", 2), ("RWF", 0), ("SAR", 2), ("SBD", 2), ("SCR", 2), ("SDG", 2), ("SEK", 2), ("SGD", 2),
    ("SHP", 2), ("SLE", 2), ("SOS", 2), ("SRD", 2), ("SSP", 2), ("STN", 2), ("SVC", 2), ("SYP", 2),
    ("SZL", 2), ("THB", 2), ("TJS", 2), ("TMT", 2), ("TND", 3), ("TOP", 2), ("TRY", 2), ("TTD", 2),
    ("TWD", 2), ("TZS", 2), ("UAH", 2), ("UGX", 0), ("USD", 2), ("UYU", 2), ("UZS", 2), ("VED", 2),
    ("VES", 2), ("VND", 0), ("VUV", 0), ("WST", 2), ("XAF", 0), ("XCD", 2), ("XCG", 2), ("XOF", 0),
    ("XPF", 0), ("YER", 2), ("ZAR", 2), ("ZMW", 2), ("ZWG", 2),
];

fn places(currency: &str) -> Option<u32> {
    let found = CURRENCIES.binary_search_by_key(&currency, |(code, _)| code);
    CURRENCIES.get(found.ok()?).map(|(_, places)| *places)
}

/// Above every amount and price: they have at most fifteen digits before the point.
pub const BEYOND: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0);

/// Whether it is an active currency of ISO 4217.
pub fn is_currency(code: &str) -> bool {
    places(code).is_some()
}

/// The fault of a code that is no currency.
pub fn unknown_currency(pointer: impl Into<String>) -> Fault {
    Fault::new(
        pointer,
        "unknown_value",
        say(
            "is not an active currency code of ISO 4217",
            "不是 ISO 4217 中有效的币种代码",
        ),
    )
}

/// How many decimal places a currency has; two for a code that is none.
pub fn minor_unit(currency: &str) -> u32 {
    places(currency).unwrap_or(2)
}

/// Whether an amount, as the API spells it, has more decimal places than the currency.
pub fn is_too_precise(amount: &str, currency: &str) -> bool {
    parse(amount).is_some_and(|amount| amount.normalize().scale() > minor_unit(currency))
}

/// The fault of an amount with more decimal places than the currency.
pub fn too_precise(pointer: impl Into<String>, currency: &str) -> Fault {
    Fault::new(
        pointer,
        "too_precise",
        say(
            format!("has more decimal places than {currency} has"),
            format!("小数位数超过 {currency} 的最小单位"),
        ),
    )
}

/// Rounds half away from zero to the currency's minor unit.
pub fn rounded(amount: Decimal, currency: &str) -> Decimal {
    amount.round_dp_with_strategy(minor_unit(currency), RoundingStrategy::MidpointAwayFromZero)
}

/// The amount as JSON text, padded to the minor unit: `"12.50"`.
pub fn to_text(amount: Decimal, currency: &str) -> String {
    let mut amount = rounded(amount, currency);
    amount.rescale(minor_unit(currency));
    amount.to_string()
}

/// A share as JSON text with four places: `"0.6000"`.
pub fn share_text(share: Decimal) -> String {
    let mut share = share.round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero);
    share.rescale(4);
    share.to_string()
}

/// Reads the API's strict decimal form `-?(0|[1-9]\d*)(\.\d+)?`: no exponent, sign, underscore or bare point.
pub fn parse(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed =
        all_digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(all_digits);
    if well_formed {
        Decimal::from_str(text).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("CNY", "12.5", "12.50")]
    #[case("JPY", "12.5", "13")]
    #[case("KWD", "1", "1.000")]
    #[case("CNY", "-0.005", "-0.01")]
    fn amounts_are_padded_to_the_minor_unit(
        #[case] currency: &str,
        #[case] amount: &str,
        #[case] text: &str,
    ) {
        assert_eq!(to_text(parse(amount).unwrap(), currency), text);
    }

    #[rstest]
    #[case("1e3")]
    #[case("+5")]
    #[case("1_000")]
    #[case("NaN")]
    #[case("")]
    #[case("-")]
    #[case(".5")]
    #[case("5.")]
    #[case("007")]
    #[case("１")]
    fn loose_spellings_are_refused(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[test]
    fn the_currencies_are_the_active_ones_in_order() {
        assert!(CURRENCIES.is_sorted());
        for (code, is_known) in [
            ("CNY", true),
            ("XCG", true),
            ("ZZZ", false),
            ("XXX", false),
            ("XAU", false),
            ("DEM", false),
        ] {
            assert_eq!(is_currency(code), is_known, "{code}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units in -1_000_000_000_000i64..1_000_000_000_000i64) {
            let amount = Decimal::new(units, 2);
            prop_assert_eq!(parse(&to_text(amount, "CNY")), Some(amount));
        }
    }
}
