//! The demo companies: a sales company with people in every role and deals in every stage, a tiny one to try isolation
//! with, and a sandbox that lives in March 2024, where the worked example plays. All of it is entered through the API.

mod client;
mod sales;
mod worked_example;

use crate::app;
use crate::identity::bootstrap::{NewCompany, NewPerson, make_company};
use crate::platform::db::Db;
use crate::platform::tokens;
use crate::run::{Failure, write_private};
use client::Api;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const FACTS: &str = "demo.json";

/// Fills an empty database, and says where everything is. A second start keeps the data and only refreshes the address.
///
/// # Errors
/// When the database has companies of somebody else's, or an entry is refused.
pub async fn seed(data_dir: &Path, url: &str, address: SocketAddr) -> Result<String, Failure> {
    let path = data_dir.join(FACTS);
    let base_url = format!("http://{address}");
    let facts = match fs::read_to_string(&path) {
        Ok(text) => relocated(serde_json::from_str(&text)?, &base_url),
        Err(_) => make_companies(url, address, &base_url).await?,
    };
    write_private(&path, &serde_json::to_string_pretty(&facts)?)?;
    Ok(in_words(&facts, &path))
}

fn relocated(mut facts: Value, base_url: &str) -> Value {
    let old = facts["base_url"].as_str().unwrap_or_default().to_owned();
    facts["base_url"] = json!(base_url);
    for company in facts["companies"].as_array_mut().into_iter().flatten() {
        if let Some(path) = company["intake"]["url"]
            .as_str()
            .and_then(|url| url.strip_prefix(old.as_str()))
        {
            company["intake"]["url"] = json!(format!("{base_url}{path}"));
        }
    }
    facts
}

async fn make_companies(url: &str, address: SocketAddr, base_url: &str) -> Result<Value, Failure> {
    let db = Db::new(url, 1)?;
    let api = Api::new(address);
    let sales = company(&db, "示例科技", "shili", "zh-CN", None, "admin@shili.example").await?;
    let tiny = company(&db, "Tiny Traders", "tiny", "en", None, "admin@tiny.example").await?;
    let march = Some("2024-03-05T01:00:00Z");
    let worked = company(
        &db,
        "二零二四年三月沙盒",
        "sandbox",
        "zh-CN",
        march,
        "admin@sandbox.example",
    )
    .await?;
    drop(db);
    Ok(json!({
        "base_url": base_url,
        "companies": [
            sales::fill(&api, &sales, base_url).await?,
            sales::fill_tiny(&api, &tiny, base_url).await?,
            worked_example::fill(&api, &worked).await?,
        ]
    }))
}

/// A company as the demo makes it.
struct Made {
    name: String,
    slug: String,
    administrator: NewPerson,
}

async fn company(
    db: &Db,
    name: &str,
    slug: &str,
    locale: &str,
    now: Option<&str>,
    email: &str,
) -> Result<Made, Failure> {
    let administrator = NewPerson {
        name: "管理员".to_owned(),
        email: email.to_owned(),
        password: password()?,
    };
    let new = NewCompany {
        name: name.to_owned(),
        slug: slug.to_owned(),
        time_zone: "Asia/Shanghai".to_owned(),
        currency: "CNY".to_owned(),
        locale: locale.to_owned(),
        sandbox_now: now.map(str::parse).transpose()?,
        administrator: administrator.clone(),
    };
    make_company(db, &new, app::SHIPS).await?;
    Ok(Made {
        name: name.to_owned(),
        slug: slug.to_owned(),
        administrator,
    })
}

/// A password of its own for every demo person.
fn password() -> Result<String, Failure> {
    let random = tokens::random_text()?;
    Ok(format!("demo-{}", random.chars().take(16).collect::<String>()))
}

fn in_words(facts: &Value, path: &Path) -> String {
    let mut text = String::new();
    let base = facts["base_url"].as_str().unwrap_or_default();
    let _ = writeln!(
        text,
        "\nPenstock is ready: {base}\n  documentation, to try every call:  {base}/docs/\n  these facts for scripts:            {}\n",
        path.display()
    );
    for company in facts["companies"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "{} – sign in with POST /v1/auth/login as:",
            company["name"].as_str().unwrap_or_default()
        );
        for person in company["people"].as_array().into_iter().flatten() {
            let word = |member: &str| person[member].as_str().unwrap_or_default().to_owned();
            let roles = person["roles"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let _ = writeln!(
                text,
                "  {:<28} {:<24} {roles} ({})",
                word("email"),
                word("password"),
                word("name")
            );
        }
        text.push('\n');
    }
    text.push_str("Ctrl-C stops everything; the data stay.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_moves_the_intake_with_it() {
        let facts = json!({"base_url": "http://127.0.0.1:1", "companies": [{"intake": {"url": "http://127.0.0.1:1/v1/intake/x"}}]});
        let moved = relocated(facts, "http://127.0.0.1:2");
        assert_eq!(
            moved["companies"][0]["intake"]["url"],
            "http://127.0.0.1:2/v1/intake/x"
        );
    }
}
