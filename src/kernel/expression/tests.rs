use std::thread;

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use super::*;

fn deal() -> Vocabulary {
    Vocabulary::new()
        .with("amount", Kind::Decimal)
        .with("currency", Kind::Text)
        .with("cycle", Kind::Int)
        .with("is_strategic", Kind::Bool)
        .with("expected_close_on", Kind::Day)
        .with("stage_entered_at", Kind::Instant)
        .with("tags", Kind::Texts)
        .with_record(
            "account",
            Vocabulary::new()
                .with("industry", Kind::Text)
                .with("employees", Kind::Int),
        )
        .with_record(
            "custom",
            Vocabulary::new()
                .with("budget_confirmed", Kind::Bool)
                .with("discount", Kind::Decimal),
        )
        .with_records(
            "lines",
            Vocabulary::new()
                .with("product", Kind::Text)
                .with("amount", Kind::Decimal)
                .with("quantity", Kind::Int),
        )
}

fn facts() -> Json {
    json!({
        "amount": "500000.00", "currency": "CNY", "cycle": 2, "is_strategic": true,
        "expected_close_on": "2024-03-31", "stage_entered_at": "2024-03-01T08:00:00+08:00",
        "today": "2024-03-05", "now": "2024-03-05T09:30:00Z",
        "tags": ["重点", "renewal"],
        "account": { "industry": "制造业", "employees": null },
        "custom": { "budget_confirmed": false },
        "lines": [
            { "product": "pump", "amount": "300000.00", "quantity": 3 },
            { "product": "阀门", "amount": "200000.00", "quantity": null },
        ],
    })
}

fn expression(source: &str) -> Expression {
    match Expression::compile(source, &deal()) {
        Ok(expression) => expression,
        Err(faults) => panic!("{source}: {faults:?}"),
    }
}

fn truth(source: &str) -> Truth {
    expression(source).evaluate(&facts())
}

fn codes(source: &str) -> Vec<&'static str> {
    Expression::compile(source, &deal()).map_or_else(
        |faults| faults.iter().map(|it| it.code).collect(),
        |_| Vec::new(),
    )
}

fn unknown(missing: &[&str]) -> Truth {
    Truth::Unknown {
        missing: missing.iter().map(ToString::to_string).collect(),
    }
}

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
        assert_eq!(
            truth(&format!("!({source}\n)")),
            Truth::Unmet,
            "not {source}"
        );
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
        (
            "is_strategic && custom.discount > 0.1",
            &["custom.discount"],
        ),
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
        (
            "lines.exists(line, line.quantity > 5)",
            &["lines[].quantity"],
        ),
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
        (
            "9223372036854775807 + cycle > 0",
            "a number grows too large",
        ),
        (
            "-(-9223372036854775807 - 1) > 0",
            "a number grows too large",
        ),
        (
            "amount * 7922816251426433759354395033.5 > 1",
            "a number grows too large",
        ),
        ("amount / 0 > custom.discount", "division by zero"),
    ];
    for (source, reason) in cases {
        assert_eq!(
            truth(source),
            Truth::Failed {
                reason: reason.to_owned()
            },
            "{source}"
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
    for day in [
        "2024-02-30",
        "2024-3-5",
        "+2024-03-5",
        "2024-03-05T00:00:00Z",
    ] {
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
fn what_is_ill_typed_or_unknown_is_refused() {
    let cases = [
        ("amount > 'x'", "type_mismatch"),
        ("amount + 'x' > 1", "type_mismatch"),
        ("currency + 'x' == 'CNYx'", "type_mismatch"),
        ("currency == 5", "type_mismatch"),
        ("expected_close_on > '2024-03-05'", "type_mismatch"),
        ("expected_close_on > now", "type_mismatch"),
        ("is_strategic > false", "type_mismatch"),
        ("is_strategic && amount", "type_mismatch"),
        ("!currency", "type_mismatch"),
        ("-currency == 1", "type_mismatch"),
        ("lines == tags", "type_mismatch"),
        ("account == account", "type_mismatch"),
        ("amount < null", "type_mismatch"),
        ("null == null", "type_mismatch"),
        ("amount + 1 == null", "type_mismatch"),
        ("amount in tags", "type_mismatch"),
        ("currency in currency", "type_mismatch"),
        ("'a' in lines", "type_mismatch"),
        ("tags.contains('a')", "type_mismatch"),
        ("size(amount) > 1", "type_mismatch"),
        ("[1, 'a'].exists(x, x == 1)", "type_mismatch"),
        ("[null].exists(x, true)", "type_mismatch"),
        ("(true ? 1 : 'a') == 1", "type_mismatch"),
        ("currency.exists(c, true)", "type_mismatch"),
        ("tags.exists(tag, tag)", "type_mismatch"),
        ("size(lines.map(line, line)) == 1", "type_mismatch"),
        ("days_between(now, today) > 1", "type_mismatch"),
        ("acount.industry == 'x'", "unknown_member"),
        ("account.indutry == 'x'", "unknown_member"),
        ("amount.value > 1", "unknown_member"),
        ("lines.amount > 1", "unknown_member"),
        ("lines.exists(line, line.price > 1)", "unknown_member"),
        ("tags.exists(tag, true) && tag == 'x'", "unknown_member"),
        (".amount > 1", "unknown_member"),
        ("currency.matches('C.*')", "unknown_function"),
        ("duration('1h') == duration('1h')", "unknown_function"),
        ("amount.exists > 1", "unknown_member"),
        ("has(1)", "wrong_arguments"),
        ("has(size(tags))", "wrong_arguments"),
        ("size() == 1", "wrong_arguments"),
        ("currency.startsWith()", "wrong_arguments"),
        ("tags.exists(true)", "wrong_arguments"),
        ("tags.exists(1, true)", "wrong_arguments"),
        ("tags.map(a, true, a) == 1", "wrong_arguments"),
        ("today > day('2024-02-30')", "invalid_literal"),
        ("today > day(currency)", "invalid_literal"),
        ("now > instant('2024-02-03')", "invalid_literal"),
        (
            "amount > 0.12345678901234567890123456789012",
            "invalid_literal",
        ),
        ("amount > 1e300", "invalid_literal"),
        (
            "lines.exists(line, tags.exists(tag, true))",
            "nested_comprehension",
        ),
        ("tags[0] == 'a'", "unsupported_syntax"),
        ("{'a': 1}.a == 1", "unsupported_syntax"),
        ("Thing{a: 1} == 1", "unsupported_syntax"),
        ("cycle == 1u", "unsupported_syntax"),
        ("r'x' == currency", "unsupported_syntax"),
        ("b'x' == currency", "unsupported_syntax"),
        ("\"\"\"x\"\"\" == currency", "unsupported_syntax"),
        ("(amount).value == 1", "unknown_member"),
        (
            "(true ? account : account).industry == 'x'",
            "unsupported_syntax",
        ),
        ("amount", "not_a_condition"),
        ("lines", "not_a_condition"),
        ("null", "not_a_condition"),
        ("", "expression_syntax"),
        ("amount >", "expression_syntax"),
        ("amount = 5", "expression_syntax"),
        ("amount > 5 & true", "expression_syntax"),
        ("amount > 5 and true", "expression_syntax"),
        ("金额 > 5", "expression_syntax"),
        ("amount > 9223372036854775808", "expression_syntax"),
        ("currency == 'a", "expression_syntax"),
        ("currency == '\\q'", "expression_syntax"),
        ("(amount > 1", "expression_syntax"),
        ("(amount > 1]", "expression_syntax"),
        ("account.?industry == 'x'", "expression_syntax"),
        ("for == 1", "expression_syntax"),
    ];
    for (source, code) in cases {
        assert!(
            codes(source).contains(&code),
            "{source}: {:?}",
            Expression::compile(source, &deal())
        );
    }
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let source = "amount > 'x'\n  && acount == 1 && currency.matches('a')";
    let faults = Expression::compile(source, &deal()).unwrap_err();
    let told: Vec<_> = faults
        .iter()
        .map(|it| (it.code, it.position.map(|at| (at.line, at.column))))
        .collect();
    assert_eq!(
        told,
        [
            ("type_mismatch", Some((1, 8))),
            ("unknown_member", Some((2, 6))),
            ("unknown_function", Some((2, 37))),
        ]
    );
}

#[test]
fn a_fault_names_the_member_and_what_is_allowed() {
    let message = |source: &str| {
        Expression::compile(source, &deal())
            .unwrap_err()
            .remove(0)
            .message
    };
    assert_eq!(
        message("'x' == amount"),
        "`amount` is a decimal and cannot be compared with text; it can be compared with numbers such as 12.50"
    );
    assert_eq!(
        message("account.size == 1"),
        "there is no `size` in `account`; there are employees, industry"
    );
    assert_eq!(
        message("currency + 1 > 2"),
        "`currency` is text; what is wanted here is a number"
    );
    assert_eq!(message("amount = 1"), "write `==`, not `=`");
}

#[test]
fn columns_count_characters_not_bytes() {
    let faults =
        Expression::compile("currency == '人民币' && 1.5 == currency", &deal()).unwrap_err();
    assert_eq!(
        faults[0].position,
        Some(Position {
            line: 1,
            column: 26
        })
    );
}

#[test]
fn length_nesting_and_size_are_limited() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    let choices = |count: usize| format!("{}true", "true?true:".repeat(count));
    let list = |count: usize| format!("1 in [{}]", vec!["1"; count].join(","));
    let cases = [
        (nested(12), vec![]),
        (nested(13), vec!["expression_too_deep"]),
        (choices(12), vec![]),
        (choices(13), vec!["expression_too_deep"]),
        (list(197), vec![]),
        (list(198), vec!["expression_too_large"]),
        (format!("true{}", " ".repeat(1996)), vec![]),
        (
            format!("true{}", " ".repeat(1997)),
            vec!["expression_too_long"],
        ),
        (format!("'{}' == currency", "中".repeat(1900)), vec![]),
        (format!("1{} > 0", "+1".repeat(60)), vec![]),
        (
            format!("1{} > 0", "+1".repeat(80)),
            vec!["expression_too_deep"],
        ),
    ];
    for (source, faults) in cases {
        assert_eq!(codes(&source), faults, "{source}");
    }
}

/// Texts that make parsers recurse; each must be answered on a small stack.
fn hostile() -> Vec<String> {
    let shell = |open: &str, close: &str| format!("{}1{}", open.repeat(12), close.repeat(12));
    let mut texts: Vec<String> = [
        ("(", ")"),
        ("[", "]"),
        ("{1:", "}"),
        ("{'a':[", "]}"),
        ("f(", ")"),
        ("a.f(", ")"),
        ("a[", "]"),
        ("-(", ")"),
        ("!(", ")"),
        ("(1+1*1-(1)<1||1&&", ")"),
        ("A{a:", "}"),
        ("f(a.b.b.b.b.b.b,", ")"),
        ("true?(", "):1"),
        ("tags.exists(x,", ")"),
        ("has(", ")"),
        ("size([", "])"),
    ]
    .map(|(open, close)| shell(open, close))
    .into();
    for pattern in [
        "(", ")", "()", "[]", "{}", "(]", "[,", "f(", "f()", "a.f()(", "!", "-", "- ", "--!", "?",
        "1?", "1?1:", ":", "a.", ".", ".b", "a ", "1 ", "+", "1+", "1<", "true&&", "true||", "&&",
        "1 in ", "[1][", "'", "\"", "'' ", "\\", "'\\'", "\"\\q((", "r'\\'(", "'''(", "`", "`a`(",
        "0x", "1e", "1.e", "//(\n", "//(", "\u{0}", "中", "\u{202e}", "{a:", "?:", "(,)", "(:",
        "()(", "null.", "in(", "[1,", "-1-", "\r(", "\u{c}(", "b'('", "f(,", "a{", "a.?b", "a[?",
    ] {
        texts.push(pattern.repeat(2_000 / pattern.chars().count()));
        texts.push(pattern.repeat(12));
        texts.push(format!("{}1", pattern.repeat(190)));
    }
    texts
}

fn on_a_stack_of<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new()
        .stack_size(bytes)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}

#[test]
fn hostile_texts_are_answered_on_a_small_stack() {
    on_a_stack_of(256 << 10, || {
        for text in hostile() {
            let answer = Expression::compile(&text, &deal());
            assert!(
                answer.is_ok()
                    || answer.is_err_and(|faults| !faults.is_empty() && faults.len() <= 20),
                "{text}"
            );
        }
    });
}

#[test]
fn the_deepest_text_that_passes_the_scan_fits_the_stack() {
    // Half of what is given to the parser, so that the margin is a factor of two.
    on_a_stack_of(8 << 20, || {
        for text in hostile() {
            if scan::scan(&text).is_ok() {
                drop(parse::check(&text, &deal()));
            }
        }
    });
}

#[test]
fn the_deepest_condition_is_evaluated_on_a_small_stack() {
    let sources = [
        format!("1{} > 0", "+1".repeat(62)),
        format!("1 in [1{}]", "+1".repeat(62)),
        format!("{}true", "true?true:".repeat(12)),
        format!("{}is_strategic{}", "!(".repeat(12), ")".repeat(12)),
    ];
    on_a_stack_of(512 << 10, move || {
        for source in sources {
            assert!(
                matches!(truth(&source), Truth::Met | Truth::Unmet),
                "{source}"
            );
        }
    });
}

#[test]
fn lists_of_more_than_a_thousand_entries_are_refused() {
    let lines = |count: usize| json!({ "lines": vec![json!({ "amount": "1.00" }); count] });
    let every = expression("lines.all(line, line.amount == 1)");
    assert_eq!(every.evaluate(&lines(1_000)), Truth::Met);
    assert!(matches!(
        every.evaluate(&lines(1_001)),
        Truth::Failed { .. }
    ));
}

#[test]
fn lists_within_lists_run_out_of_steps_rather_than_of_time() {
    let facts =
        json!({ "lines": vec![json!({ "product": "x" }); 1_000], "tags": vec!["y"; 1_000] });
    let truth = expression("lines.exists(line, line.product in tags)").evaluate(&facts);
    assert!(
        matches!(&truth, Truth::Failed { reason } if reason.contains("steps")),
        "{truth:?}"
    );
}

#[test]
fn a_comprehension_as_large_as_allowed_stays_within_its_steps() {
    let body = vec!["line.amount == 1"; 38].join(" && ");
    let facts = json!({ "lines": vec![json!({ "amount": "1" }); 1_000] });
    assert_eq!(
        expression(&format!("lines.all(line, {body})")).evaluate(&facts),
        Truth::Met
    );
}

#[test]
fn an_expression_is_shared_between_threads_and_keeps_its_source() {
    fn shared<T: Clone + Send + Sync + 'static>(it: T) -> T {
        it
    }
    assert_eq!(shared(expression("amount > 1")).source(), "amount > 1");
}

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
