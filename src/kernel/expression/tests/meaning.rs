use serde_json::json;

use super::*;

#[test]
fn conditions_over_what_is_known_are_met_or_unmet() {
    let met = [
        "amount >= 500000",
        "amount == 500000.0 && currency == 'CNY'",
        "amount * 0.6 == 300000",
        "0.1 + 0.2 == 0.3",
        "-0.5 < 0 && - 1 < .5 && 1.5e3 == 1500 && 25e-1 == 2.5",
        "7 / 2 == 3 && 7 % 4 == 3 && 7.0 / 2 == 3.5",
        "amount / 3 > 166666.66",
        "cycle > 1.5 && cycle < 2.5",
        "is_strategic && !custom.budget_confirmed",
        "is_strategic == true",
        "account.industry.startsWith(\"制造\") && account.industry.endsWith('业') && account.industry.contains('造')",
        "size(account.industry) == 3 && currency.size() == 3",
        "currency in ['CNY', \"USD\"] && !(currency in ['EUR'])",
        "'renewal' in tags && size(tags) == 2",
        "tags.exists(tag, tag.startsWith('重'))",
        "tags.exists_one(tag, tag == 'renewal') && tags.all(tag, size(tag) > 1)",
        "lines.exists(line, line.product == '阀门' && line.amount >= amount * 0.4)",
        "lines.all(line, line.amount > 100)",
        "size(lines.filter(line, line.amount > 250000)) == 1",
        "lines.filter(line, line.amount > 250000).exists(line, line.quantity == 3)",
        "'pump' in lines.map(line, line.product)",
        "lines.map(line, line.amount).exists(sum, sum == 200000)",
        "days_between(today, expected_close_on) == 26",
        "expected_close_on <= day('2024-03-31')",
        "stage_entered_at == instant('2024-03-01T00:00:00Z') && now > stage_entered_at",
        "(amount > 1000000 ? 5 : 2.5) == 2.5",
        "[].all(x, x == 1) && size([]) == 0",
        "amount > 1 // a remark (((((((((((((((",
        "\"((((((((((((((((\" != currency",
        "\"\\u4e2d\\\"\" == '中\"'",
    ];
    for source in met {
        assert_eq!(truth(source), Truth::Met, "{source}");
        assert_eq!(truth(&format!("!({source}\n)")), Truth::Unmet, "not {source}");
    }
}

#[test]
fn a_null_or_absent_member_makes_a_condition_unknown_and_is_named() {
    let cases: [(&str, &[&str]); 13] = [
        ("account.employees > 100", &["account.employees"]),
        (
            "custom.discount + 1 > account.employees",
            &["account.employees", "custom.discount"],
        ),
        ("!(custom.discount > 0.1)", &["custom.discount"]),
        ("custom.discount != 0.1", &["custom.discount"]),
        ("is_strategic && custom.discount > 0.1", &["custom.discount"]),
        (
            "custom.discount > 0.1 && account.employees > 5",
            &["account.employees", "custom.discount"],
        ),
        (
            "custom.budget_confirmed || custom.discount > 0.1",
            &["custom.discount"],
        ),
        ("custom.discount > 0.1 ? true : false", &["custom.discount"]),
        ("custom.discount in [0.1, 0.2]", &["custom.discount"]),
        ("0.1 in [0.2, custom.discount]", &["custom.discount"]),
        ("lines.exists(line, line.quantity > 5)", &["lines[].quantity"]),
        ("lines.all(line, line.quantity > 1)", &["lines[].quantity"]),
        (
            "size(lines.filter(line, line.quantity > 1)) > 0",
            &["lines[].quantity"],
        ),
    ];
    for (source, missing) in cases {
        assert_eq!(truth(source), unknown(missing), "{source}");
    }
    assert_eq!(
        expression("size(lines) == 0").evaluate(&json!({})),
        unknown(&["lines"])
    );
    assert_eq!(
        expression("account.industry == 'x'").evaluate(&json!({ "account": null })),
        unknown(&["account.industry"])
    );
    assert_eq!(
        expression("today > day('2024-01-01')").evaluate(&json!({})),
        unknown(&["today"])
    );
    assert_eq!(
        expression("'x' in tags").evaluate(&json!({ "tags": ["a", null] })),
        unknown(&["tags[]"])
    );
    assert_eq!(
        expression("'a' in tags").evaluate(&json!({ "tags": ["a", null] })),
        Truth::Met
    );
}

#[test]
fn what_is_decided_anyway_needs_no_unknown_member() {
    let met = [
        "custom.discount > 0.1 || is_strategic",
        "is_strategic || custom.discount > 0.1",
        "!(custom.discount > 0.1 && !is_strategic)",
        "lines.exists(line, line.quantity == 3)",
        "!lines.all(line, line.quantity > 3)",
        "0.2 in [custom.discount, 0.2]",
        "!(custom.discount in [])",
        "is_strategic ? true : custom.discount > 0.1",
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
    ];
    for source in met {
        assert_eq!(truth(source), Truth::Met, "{source}");
    }
}

#[test]
fn whether_a_member_is_there_is_always_known() {
    let met = [
        "has(account.industry) && !has(account.employees) && !has(custom.discount)",
        "account.employees == null && null != account.industry && amount != null",
        "has(amount) && has(lines) && has(account)",
        "lines.exists(line, line.quantity == null) && lines.exists(line, has(line.quantity))",
        "!has(custom.discount) || custom.discount < 0.3",
        "has(custom.discount) ? custom.discount < 0.3 : true",
        "tags.all(tag, tag != null)",
    ];
    for source in met {
        assert_eq!(truth(source), Truth::Met, "{source}");
    }
    assert_eq!(
        expression("has(account.industry)").evaluate(&json!({ "account": null })),
        Truth::Unmet
    );
    assert_eq!(
        expression("tags.exists(tag, tag == null)").evaluate(&json!({ "tags": [null] })),
        Truth::Met
    );
    assert_eq!(
        expression("lines.exists(l, l.amount == null)").evaluate(&json!({ "lines": [null] })),
        Truth::Met
    );
}

#[test]
fn what_cannot_be_computed_fails_with_its_reason() {
    let cases = [
        ("amount / 0 > 1", "division by zero"),
        ("1 % 0 == 1", "division by zero"),
        ("cycle / (cycle - 2) > 1", "division by zero"),
        ("9223372036854775807 + cycle > 0", "a number grows too large"),
        ("-(-9223372036854775807 - 1) > 0", "a number grows too large"),
        (
            "amount * 7922816251426433759354395033.5 > 1",
            "a number grows too large",
        ),
        ("amount / 0 > custom.discount", "division by zero"),
    ];
    for (source, reason) in cases {
        let truth = truth(source);
        assert!(
            matches!(&truth, Truth::Failed { reason: told } if told.en == reason),
            "{source}: {truth:?}"
        );
    }
    let wrong = [
        json!({ "amount": 12.5 }),
        json!({ "amount": "1e3" }),
        json!({ "amount": "1_000" }),
        json!({ "amount": true }),
        json!({ "amount": "" }),
        json!({ "amount": "0.12345678901234567890123456789012" }),
        json!([]),
        json!("x"),
    ];
    for facts in wrong {
        let truth = expression("amount > 1").evaluate(&facts);
        assert!(matches!(truth, Truth::Failed { .. }), "{facts}: {truth:?}");
    }
    assert_eq!(
        expression("amount > 1").evaluate(&json!({ "amount": 2 })),
        Truth::Met
    );
    for day in ["2024-02-30", "2024-3-5", "+2024-03-5", "2024-03-05T00:00:00Z"] {
        let truth = expression("expected_close_on > day('2024-01-01')")
            .evaluate(&json!({ "expected_close_on": day }));
        assert!(matches!(truth, Truth::Failed { .. }), "{day}: {truth:?}");
    }
}

#[test]
fn a_false_part_decides_beside_a_failed_one_and_an_unknown_one_may_yet() {
    assert_eq!(truth("1 / 0 == 1 && false"), Truth::Unmet);
    assert_eq!(
        truth("1 / 0 == 1 && custom.discount > 0.1"),
        unknown(&["custom.discount"])
    );
    assert!(matches!(truth("1 / 0 == 1 && true"), Truth::Failed { .. }));
}

#[test]
fn a_condition_names_the_members_it_reads() {
    let cases: [(&str, &[&str]); 6] = [
        (
            "amount > 1 && account.industry == 'x' || has(custom.discount)",
            &["account.industry", "amount", "custom.discount"],
        ),
        (
            "lines.exists(line, line.amount > amount)",
            &["amount", "lines", "lines[].amount"],
        ),
        (
            "lines.filter(a, a.quantity > 1).exists(b, b.product == 'x')",
            &["lines", "lines[].product", "lines[].quantity"],
        ),
        ("tags.exists(tag, tag == 'x')", &["tags", "tags[]"]),
        (
            "['a'].exists(x, x == currency) && today > day('2024-01-01')",
            &["currency", "today"],
        ),
        ("true", &[]),
    ];
    for (source, members) in cases {
        assert_eq!(
            expression(source).members().iter().collect::<Vec<_>>(),
            members,
            "{source}"
        );
    }
}

#[test]
fn an_expression_is_shared_between_threads_and_keeps_its_source() {
    fn shared<T: Clone + Send + Sync + 'static>(it: T) -> T {
        it
    }
    assert_eq!(shared(expression("amount > 1")).source(), "amount > 1");
}
