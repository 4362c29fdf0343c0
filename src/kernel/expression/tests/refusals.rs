use super::*;

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
        ("amount > 0.12345678901234567890123456789012", "invalid_literal"),
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
        ("(true ? account : account).industry == 'x'", "unsupported_syntax"),
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
            .en
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
    let faults = Expression::compile("currency == '人民币' && 1.5 == currency", &deal()).unwrap_err();
    assert_eq!(faults[0].position, Some(Position { line: 1, column: 26 }));
}

#[test]
fn every_fault_is_told_in_chinese_too() {
    let faults = Expression::compile("'x' == amount && acount == 1", &deal()).unwrap_err();
    let told: Vec<&str> = faults.iter().map(|it| it.message.zh.as_str()).collect();
    assert_eq!(
        told[0],
        "`amount` 是小数，不能与文本比较；可与数字（如 12.50）比较"
    );
    assert!(
        told[1].starts_with("此处没有 `acount`；可用的有 account, amount,"),
        "{}",
        told[1]
    );
}

#[test]
fn a_mistake_of_syntax_is_told_plainly_with_its_place() {
    let cases = [
        ("currency == '中' amount", "'amount' cannot stand here", 17),
        ("amount >", "something is missing at the end", 9),
    ];
    for (source, message, column) in cases {
        let fault = Expression::compile(source, &deal()).unwrap_err().remove(0);
        assert_eq!(
            (fault.message.en.as_str(), fault.position),
            (message, Some(Position { line: 1, column }))
        );
    }
}

#[test]
fn a_draft_compares_no_choice_with_what_it_never_is() {
    let level: Arc<[String]> = ["a", "b"].map(str::to_owned).into();
    let known = Vocabulary::new()
        .with("level", Kind::Choice(level.clone()))
        .with_records("accounts", Vocabulary::new().with("level", Kind::Choice(level)));
    for good in [
        "level == \"a\"",
        "level in [\"a\", \"b\"]",
        "level != null",
        "level.contains(\"A\")",
    ] {
        assert!(Expression::draft(good, &known).is_ok(), "{good}");
    }
    for never in [
        "level == \"A\"",
        "\"c\" != level",
        "level in [\"a\", \"c\"]",
        "accounts.exists(it, it.level == \"A\")",
    ] {
        let faults = Expression::draft(never, &known).unwrap_err();
        assert_eq!(faults[0].code, "unknown_value", "{never}");
        assert!(faults[0].message.en.ends_with("it is one of: a, b"));
        // What is in force is computed as ever.
        assert!(Expression::compile(never, &known).is_ok(), "{never}");
    }
}
