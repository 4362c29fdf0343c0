//! An import of leads, with dedupe and scoring on, beside `COPY` of the same rows into the same table.

use crate::data::placed;
use crate::http;
use crate::server::Server;
use crate::{Failure, database};
use actix_web::web::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::fmt::{self, Write};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Longer than any import of a benchmark takes.
const MOST_WAITING: Duration = Duration::from_secs(1800);
const FILE_TYPE: &str = "text/csv";

/// Of which companies' names are made.
const CHARACTERS: &str = "华恒信智联达盛泰宏远新瑞丰嘉鼎众康安博创源中正天海金龙凯利德美佳兴隆永昌富顺和平光明星辰云峰江河川岭松柏梅兰竹菊";

/// How long both took.
pub struct Import {
    rows: usize,
    import: Duration,
    /// `COPY` of the leads.
    copy: Duration,
    /// `COPY` of all that the import wrote.
    copy_all: Duration,
    /// Memory of the server afterwards, in megabytes.
    pub resident: f64,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = |took: Duration| self.rows as f64 / took.as_secs_f64();
        write!(
            f,
            "Import of {} leads with dedupe and scoring: {:.0} rows/s. `COPY` of the same leads into the same table: {:.0} rows/s, ratio {:.3}; \
             `COPY` of all that was written of them (scores, keys, names, search, history): {:.0} leads/s, ratio {:.2}. \
             Memory of the server afterwards: {:.0} MB.",
            self.rows,
            per_second(self.import),
            per_second(self.copy),
            self.copy.as_secs_f64() / self.import.as_secs_f64(),
            per_second(self.copy_all),
            self.copy_all.as_secs_f64() / self.import.as_secs_f64(),
            self.resident
        )
    }
}

/// Leads none of which is like another.
fn file(rows: usize) -> Result<String, fmt::Error> {
    let mut text = "姓名,公司,职务,电话,邮箱,行业,需求,预算\n".to_owned();
    let titles = ["采购总监", "总经理", "IT 经理", "厂长", "财务总监"];
    let industries = ["制造业", "信息技术", "医疗", "教育", "零售"];
    for n in 0..rows {
        let company = company(n);
        let pick = |list: [&'static str; 5]| list.get(n % 5).copied().unwrap_or_default();
        writeln!(
            text,
            "联系人{n},{company}实业有限公司,{},138{n:08},lead{n}@import.example,{},生产线设备数据监控,{}",
            pick(titles),
            pick(industries),
            50_000 + n % 500_000
        )?;
    }
    Ok(text)
}

/// A name of four characters that says nothing of its number, as names do.
fn company(n: usize) -> String {
    let characters = CHARACTERS.chars().collect::<Vec<_>>();
    let mut code = n * 7_368_787 % characters.len().pow(4);
    let mut name = String::new();
    for _ in 0..4 {
        name.extend(characters.get(code % characters.len()));
        code /= characters.len();
    }
    name
}

/// Has the server import that many leads, then copies them into the other database.
pub async fn measure(server: &Server, urls: (&str, &str), rows: usize) -> Result<Import, Failure> {
    let bearer = http::bearer(
        &server
            .sign_in("admin@bench.example", crate::data::PASSWORD)
            .await?,
    );
    let mut connection = server.connect().await?;
    let mut ask = async |method: &str, path: String, body: Value, status: u16| {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = http::request(method, &path, &bearer, &body);
        connection.ask(&request, status).await
    };
    let model = ask(
        "POST",
        "/v1/scoring-models".to_owned(),
        json!({ "template": "b2b" }),
        201,
    )
    .await?;
    let model = model["id"].as_str().ok_or("no model")?;
    ask(
        "POST",
        format!("/v1/scoring-models/{model}/versions/1/publish"),
        Value::Null,
        200,
    )
    .await?;
    let sent = http::typed(
        "POST",
        "/v1/import-files?name=leads.csv",
        &bearer,
        FILE_TYPE,
        &file(rows)?,
    );
    let sent = server.connect().await?.ask(&sent, 201).await?;
    let begun = Instant::now();
    let order = json!({ "file_id": sent["id"], "resource": "lead" });
    let job = ask("POST", "/v1/imports".to_owned(), order, 202).await?;
    let job = job["id"].as_str().ok_or("no job")?.to_owned();
    loop {
        let seen = ask("GET", format!("/v1/jobs/{job}"), Value::Null, 200).await?;
        match seen["state"].as_str() {
            Some("done") if seen["result"]["created"] == json!(rows) => break,
            Some("queued" | "running") if begun.elapsed() < MOST_WAITING => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            _ => return Err(format!("the import ended otherwise: {seen}").into()),
        }
    }
    let import = begun.elapsed();
    let (copy, copy_all) = copy(urls).await?;
    Ok(Import {
        rows,
        import,
        copy,
        copy_all,
        resident: crate::machine::resident_megabytes(server.pid()),
    })
}

const LEADS: &str = "SELECT id FROM leads WHERE email LIKE 'lead%@import.example'";
/// By which version imported leads are scored; copied beforehand, since scores refer to it.
const REFERRED: [&str; 2] = ["scoring_models", "scoring_model_versions"];
/// What an import leaves of each lead, and which of a table's rows that are.
const LEFT: [(&str, &str); 9] = [
    ("leads", "id IN (LEADS)"),
    ("lead_scores", "lead_id IN (LEADS)"),
    ("identity_keys", "record_kind = 'lead' AND record_id IN (LEADS)"),
    ("identity_names", "record_kind = 'lead' AND record_id IN (LEADS)"),
    ("search_entries", "record_kind = 'lead' AND record_id IN (LEADS)"),
    ("events", "subject_kind = 'lead' AND subject_id IN (LEADS)"),
    ("event_subjects", "event_id IN (EVENTS)"),
    ("event_payloads", "event_id IN (EVENTS)"),
    ("event_positions", "event_id IN (EVENTS)"),
];

/// Rows as `COPY` prints them.
type Rows = Vec<Result<Bytes, tokio_postgres::Error>>;

async fn copy_out(from: &Client, query: &str) -> Result<Rows, Failure> {
    let rows = from.copy_out(&format!("COPY ({query}) TO STDOUT")).await?;
    Ok(Box::pin(rows).collect().await)
}

async fn copy_in(into: &Client, table: &str, rows: Rows) -> Result<(), Failure> {
    let mut sink = Box::pin(into.copy_in(&format!("COPY {table} FROM STDIN")).await?);
    for row in rows {
        sink.send(row?).await?;
    }
    sink.as_mut().finish().await?;
    Ok(())
}

/// How long the other database takes for the same leads, and for all that was written of them.
async fn copy((from, into): (&str, &str)) -> Result<(Duration, Duration), Failure> {
    let from = database::connect(from).await?;
    let into = database::connect(into).await?;
    placed(&from).await?;
    // A model and its version in force name each other.
    into.batch_execute("SET session_replication_role = replica")
        .await?;
    for table in REFERRED {
        let rows = copy_out(&from, &format!("SELECT * FROM {table}")).await?;
        copy_in(&into, table, rows).await?;
    }
    into.batch_execute("RESET session_replication_role").await?;
    into.batch_execute("CHECKPOINT").await?;
    let (mut leads, mut all) = (None, Duration::ZERO);
    for (table, condition) in LEFT {
        let condition = condition
            .replace(
                "EVENTS",
                "SELECT id FROM events WHERE subject_kind = 'lead' AND subject_id IN (LEADS)",
            )
            .replace("LEADS", LEADS);
        let rows = copy_out(&from, &format!("SELECT * FROM {table} WHERE {condition}")).await?;
        let begun = Instant::now();
        copy_in(&into, table, rows).await?;
        all += begun.elapsed();
        leads = leads.or(Some(all));
    }
    Ok((leads.unwrap_or_default(), all))
}
