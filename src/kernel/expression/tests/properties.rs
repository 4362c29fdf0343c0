use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use super::*;

fn decimals() -> impl Strategy<Value = Decimal> {
    (any::<i64>(), 0_u32..=9).prop_map(|(units, scale)| Decimal::new(units, scale))
}

/// Texts made of the language's own pieces reach further than arbitrary ones.
fn likely_texts() -> impl Strategy<Value = String> {
    let pieces = vec![
        "amount",
        "currency",
        "lines",
        "tags",
        "account",
        ".industry",
        ".amount",
        "x",
        "1",
        "0.5",
        "1e9",
        "'a'",
        "null",
        "true",
        "day('2024-03-05')",
        "has(",
        "size(",
        ".exists(x,",
        ".map(x,",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "?",
        ":",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        ">=",
        "==",
        "!=",
        "&&",
        "||",
        "!",
        " in ",
        ".",
        " ",
        "\n",
        "//",
        "\"",
        "\\",
        "中",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..60).prop_map(|parts| parts.concat())
}

/// The steps and the truth of an expression over facts.
fn stepped(expression: &Expression, facts: &Json) -> usize {
    let evaluation = Evaluation::new(facts);
    drop(evaluation.run(&expression.checked.root));
    evaluation.steps()
}

proptest! {
    #[test]
    fn no_text_makes_the_check_panic(text in any::<String>()) {
        drop(Expression::compile(&text, &deal()));
        if scan::scan(&text).is_ok() {
            drop(parse::check(&text, &deal()));
        }
    }

    #[test]
    fn no_likely_text_makes_the_check_or_the_evaluation_panic(text in likely_texts()) {
        if scan::scan(&text).is_ok() {
            drop(on_a_stack_of(16 << 20, {
                let text = text.clone();
                move || parse::check(&text, &deal())
            }));
        }
        if let Ok(expression) = Expression::compile(&text, &deal()) {
            for facts in [facts(), json!({}), json!(null)] {
                prop_assert!(stepped(&expression, &facts) <= evaluate::MAX_STEPS);
                if let Truth::Unknown { missing } = expression.evaluate(&facts) {
                    for path in missing {
                        prop_assert!(expression.members().contains(path.trim_end_matches("[]")), "{path}");
                    }
                }
            }
        }
    }

    #[test]
    fn decimals_compare_as_they_are(left in decimals(), right in decimals()) {
        for (operator, holds) in [
            ("<", left < right), ("<=", left <= right), ("==", left == right),
            ("!=", left != right), (">", left > right), (">=", left >= right),
        ] {
            let expected = if holds { Truth::Met } else { Truth::Unmet };
            let by_fact = expression(&format!("amount {operator} custom.discount"));
            let facts = json!({ "amount": left.to_string(), "custom": { "discount": right.to_string() } });
            prop_assert_eq!(by_fact.evaluate(&facts), expected.clone());
            let literal = format!("{left:?} {operator} {right:?}");
            if literal.matches('.').count() == 2 {
                prop_assert_eq!(expression(&literal).evaluate(&json!({})), expected);
            }
        }
    }

    #[test]
    fn sums_and_products_are_exact(left in -1_000_000_000_000_i64..1_000_000_000_000, right in -1_000_000_i64..1_000_000) {
        let (amount, factor) = (Decimal::new(left, 4), Decimal::new(right, 4));
        let facts = json!({ "amount": amount.to_string(), "custom": { "discount": factor.to_string() } });
        for (operator, result) in [("+", amount + factor), ("-", amount - factor), ("*", amount * factor)] {
            let source = format!("amount {operator} custom.discount == {:.8}", result);
            prop_assert_eq!(expression(&source).evaluate(&facts), Truth::Met, "{}", source);
        }
    }

    #[test]
    fn whole_numbers_and_decimals_compare_exactly(whole in any::<i64>(), decimal in decimals()) {
        let facts = json!({ "cycle": whole, "amount": decimal.to_string() });
        let expected = if Decimal::from(whole) < decimal { Truth::Met } else { Truth::Unmet };
        prop_assert_eq!(expression("cycle < amount").evaluate(&facts), expected);
    }
}
