use serde_json::json;

use super::*;

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
        (format!("true{}", " ".repeat(1997)), vec!["expression_too_long"]),
        (format!("'{}' == currency", "中".repeat(1900)), vec![]),
        (format!("1{} > 0", "+1".repeat(60)), vec![]),
        (format!("1{} > 0", "+1".repeat(80)), vec!["expression_too_deep"]),
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
        "(", ")", "()", "[]", "{}", "(]", "[,", "f(", "f()", "a.f()(", "!", "-", "- ", "--!", "?", "1?",
        "1?1:", ":", "a.", ".", ".b", "a ", "1 ", "+", "1+", "1<", "true&&", "true||", "&&", "1 in ", "[1][",
        "'", "\"", "'' ", "\\", "'\\'", "\"\\q((", "r'\\'(", "'''(", "`", "`a`(", "0x", "1e", "1.e", "//(\n",
        "//(", "\u{0}", "中", "\u{202e}", "{a:", "?:", "(,)", "(:", "()(", "null.", "in(", "[1,", "-1-",
        "\r(", "\u{c}(", "b'('", "f(,", "a{", "a.?b", "a[?",
    ] {
        texts.push(pattern.repeat(2_000 / pattern.chars().count()));
        texts.push(pattern.repeat(12));
        texts.push(format!("{}1", pattern.repeat(190)));
    }
    texts
}

#[test]
fn hostile_texts_are_answered_on_a_small_stack() {
    on_a_stack_of(256 << 10, || {
        for text in hostile() {
            let answer = Expression::compile(&text, &deal());
            assert!(
                answer.is_ok() || answer.is_err_and(|faults| !faults.is_empty() && faults.len() <= 20),
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
            assert!(matches!(truth(&source), Truth::Met | Truth::Unmet), "{source}");
        }
    });
}

#[test]
fn lists_of_more_than_a_thousand_entries_are_refused() {
    let lines = |count: usize| json!({ "lines": vec![json!({ "amount": "1.00" }); count] });
    let every = expression("lines.all(line, line.amount == 1)");
    assert_eq!(every.evaluate(&lines(1_000)), Truth::Met);
    assert!(matches!(every.evaluate(&lines(1_001)), Truth::Failed { .. }));
}

#[test]
fn lists_within_lists_run_out_of_steps_rather_than_of_time() {
    let facts = json!({ "lines": vec![json!({ "product": "x" }); 1_000], "tags": vec!["y"; 1_000] });
    let truth = expression("lines.exists(line, line.product in tags)").evaluate(&facts);
    assert!(
        matches!(&truth, Truth::Failed { reason } if reason.en.contains("steps")),
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
