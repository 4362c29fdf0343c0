//! What each expression means, what is refused, and that nothing can be made to run away.
mod bounds;
mod meaning;
mod properties;
mod refusals;

use std::thread;

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
    Expression::compile(source, &deal())
        .map_or_else(|faults| faults.iter().map(|it| it.code).collect(), |_| Vec::new())
}

fn unknown(missing: &[&str]) -> Truth {
    Truth::Unknown {
        missing: missing.iter().map(ToString::to_string).collect(),
    }
}

fn on_a_stack_of<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new()
        .stack_size(bytes)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}
