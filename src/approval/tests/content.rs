use super::*;
use crate::approval::content::{content, hash};
use proptest::prelude::*;
use rstest::rstest;

fn declared() -> Vec<String> {
    ["amount", "currency", "account_id", "lines"]
        .map(str::to_owned)
        .to_vec()
}

fn deal() -> Value {
    json!({
        "name": "客户管理系统", "amount": "220000.00", "currency": "CNY", "account_id": "a", "version": 7,
        "lines": [
            { "id": "1", "product": "CRM", "quantity": "5", "price": "22.00", "position": 1, "updated_at": "2024-03-13T09:00:00Z" },
            { "id": "2", "product": "实施", "quantity": "1", "price": "30000", "position": 2, "updated_at": "2024-03-13T09:00:00Z" },
        ],
    })
}

fn edited(pointer: &str, value: Value) -> Value {
    let mut deal = deal();
    if let Some(place) = deal.pointer_mut(pointer) {
        *place = value;
    } else {
        deal[pointer.trim_start_matches('/')] = value;
    }
    deal
}

#[rstest]
#[case::a_member_not_declared("/name", json!("另一个名称"))]
#[case::its_version("/version", json!(8))]
#[case::a_new_member("/next_step", json!("call"))]
#[case::zeros("/amount", json!("220000"))]
#[case::more_zeros("/amount", json!("220000.0000"))]
#[case::zeros_in_a_line("/lines/0/price", json!("22"))]
#[case::when_a_line_was_touched("/lines/0/updated_at", json!("2024-03-14T09:00:00Z"))]
#[case::a_new_empty_member_of_a_line("/lines/0", json!({ "id": "1", "product": "CRM", "quantity": "5", "price": "22.00", "discount": null }))]
fn an_approval_outlives_a_change_of(#[case] pointer: &str, #[case] value: Value) {
    assert_eq!(
        hash(&declared(), &deal()),
        hash(&declared(), &edited(pointer, value))
    );
}

#[rstest]
#[case::the_amount("/amount", json!("220000.01"))]
#[case::no_amount("/amount", Value::Null)]
#[case::the_currency("/currency", json!("USD"))]
#[case::the_account("/account_id", json!("b"))]
#[case::a_quantity("/lines/0/quantity", json!("50"))]
#[case::fewer_lines("/lines", json!([]))]
#[case::no_lines("/lines", Value::Null)]
fn an_approval_lapses_with_a_change_of(#[case] pointer: &str, #[case] value: Value) {
    assert_ne!(
        hash(&declared(), &deal()),
        hash(&declared(), &edited(pointer, value))
    );
}

#[test]
fn the_order_of_lines_is_of_no_account() {
    let mut turned = deal();
    turned["lines"].as_array_mut().unwrap().reverse();
    assert_eq!(hash(&declared(), &deal()), hash(&declared(), &turned));
}

#[test]
fn the_order_of_single_values_counts() {
    let tags = ["tags".to_owned()];
    assert_ne!(
        hash(&tags, &json!({ "tags": ["a", "b"] })),
        hash(&tags, &json!({ "tags": ["b", "a"] }))
    );
}

#[test]
fn an_absent_member_is_a_null_one() {
    assert_eq!(
        hash(&declared(), &json!({})),
        hash(&declared(), &json!({ "amount": null }))
    );
}

#[test]
fn a_path_reads_one_member_of_each_line() {
    let paths = ["lines.quantity".to_owned()];
    assert_eq!(content(&paths, &deal()), json!({ "lines.quantity": ["5", "1"] }));
    let dearer = edited("/lines/0/price", json!("99"));
    assert_eq!(hash(&paths, &deal()), hash(&paths, &dearer));
}

#[rstest]
#[case("-0.00", "0")]
#[case("0.50", "0.5")]
#[case("-12.340", "-12.34")]
#[case("100", "100")]
#[case("007", "007")]
#[case("1.2.0", "1.2.0")]
#[case("5.", "5.")]
#[case(".50", ".50")]
#[case("2024-03-10", "2024-03-10")]
#[case(
    "12345678901234567890123456789012345.10",
    "12345678901234567890123456789012345.1"
)]
fn only_needless_zeros_of_decimals_are_dropped(#[case] text: &str, #[case] short: &str) {
    let paths = ["a".to_owned()];
    assert_eq!(content(&paths, &json!({ "a": text })), json!({ "a": short }));
}

proptest! {
    #[test]
    fn amounts_hash_alike_exactly_when_they_are_equal(a in -9_999i64..9_999, b in -9_999i64..9_999, places in 0u32..4, more in 0u32..3) {
        let one = rust_decimal::Decimal::new(a, places);
        let mut other = rust_decimal::Decimal::new(b, places);
        other.rescale(places + more);
        let paths = ["amount".to_owned()];
        let hash_of = |amount: rust_decimal::Decimal| hash(&paths, &json!({ "amount": amount.to_string() }));
        prop_assert_eq!(hash_of(one) == hash_of(other), one == other);
    }
}
