//! Money and shares: decimals that never pass through a binary float.

use rust_decimal::{Decimal, RoundingStrategy};
use std::str::FromStr;

/// How many decimal places a currency has. Source: ISO 4217; the SQL function `minor_unit` has the same table.
pub fn minor_unit(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
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

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units in -1_000_000_000_000i64..1_000_000_000_000i64) {
            let amount = Decimal::new(units, 2);
            prop_assert_eq!(parse(&to_text(amount, "CNY")), Some(amount));
        }
    }
}
