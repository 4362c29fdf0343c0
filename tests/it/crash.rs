//! Kills in the middle of everything: the real binary on a Postgres that keeps its promises, both killed under load.

use crate::postgres::{Folder, kill_hard, pid_of, start, wait_for};
use crate::support::app::{Answer, PASSWORD, SECRET, id};
use crate::support::make_pipelines::simple;
use penstock::platform::postgres::{Condition, Purpose};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// How many clients write at once.
const HANDS: usize = 8;
/// Acknowledgements between two kills.
const BETWEEN_KILLS: usize = 60;

/// The program with the settings of this test.
fn penstock(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    command
        .args(arguments)
        .env("DATABASE_URL", url)
        .env("PENSTOCK_SECRET", SECRET)
        .env("PENSTOCK_ADMIN_PASSWORD", PASSWORD)
        .env("PENSTOCK_RATE_LIMIT_PER_USER", "1000000")
        .env("PENSTOCK_RATE_LIMIT_PER_TENANT", "1000000")
        .env("PENSTOCK_LOG", "error")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// A server of the real binary at this port (0: any); its process and its port.
fn serve(url: &str, port: u16) -> (Child, u16) {
    let mut child = penstock(url, &["serve"])
        .env("PENSTOCK_LISTEN", format!("127.0.0.1:{port}"))
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let address = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://127.0.0.1:"));
    let port = address.and_then(|port| port.trim_end_matches(';').parse().ok());
    (child, port.unwrap_or_else(|| panic!("the server said {said:?}")))
}

/// A client that does not give up: it sends the same call with the same key until it is acknowledged.
#[derive(Clone)]
struct Hand {
    client: Client,
    base: String,
    token: String,
    acknowledged: Arc<AtomicUsize>,
}

impl Hand {
    async fn once(&self, method: Method, path: &str, key: &str, body: Option<&Value>) -> Option<Answer> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header("idempotency-key", key)
            .timeout(Duration::from_secs(10));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_str(&response.text().await.ok()?).ok()?;
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    /// The answer that acknowledges; whatever else is not worth another try fails the test.
    async fn insist(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let key = Uuid::now_v7().to_string();
        for _ in 0..3_000 {
            match self.once(method.clone(), path, &key, body.as_ref()).await {
                Some(answer) if answer.status < 300 => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    return answer.body;
                }
                Some(answer) if answer.status < 500 && answer.status != 409 => {
                    panic!("{path}: {} {}", answer.status, answer.body)
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("{path}: never acknowledged")
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.insist(Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.insist(Method::GET, path, None).await
    }

    /// An account with a deal that is pushed to its win; ids of both.
    async fn win_one(&self, pipeline: &str) -> (String, String) {
        let account = id(&self.post("/v1/accounts", json!({ "name": "江南纺织" })).await);
        let deal =
            json!({ "name": "采购", "account_id": account, "pipeline_id": pipeline, "amount": "1000.00" });
        let mut deal = self.post("/v1/opportunities", deal).await;
        while deal["status"] == "open" {
            let path = format!("/v1/opportunities/{}/advance", id(&deal));
            deal = self
                .post(&path, json!({ "from_stage_id": deal["stage_id"] }))
                .await;
        }
        (account, id(&deal))
    }

    /// Waits until so many more calls are acknowledged than now.
    async fn wait_for_more(&self) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + BETWEEN_KILLS;
        let reached = || self.acknowledged.load(Ordering::Relaxed) >= enough;
        wait_for("acknowledgements", reached).await;
    }
}

async fn signed_in(base: &str) -> Hand {
    let client = Client::new();
    let credentials = json!({ "email": "admin@crash.example", "password": PASSWORD });
    let request = client.post(format!("{base}/v1/auth/login")).json(&credentials);
    let token = Answer::of(request).await.expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    Hand {
        client,
        base: base.to_owned(),
        token,
        acknowledged: Arc::default(),
    }
}

/// Ids of every record of a list, given as its path up to the next parameter.
async fn all_ids(hand: &Hand, list: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = hand.get(&format!("/v1/{list}limit=200{cursor}")).await;
        ids.extend(page["data"].as_array().unwrap().iter().map(id));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_every_kill_of_the_server_and_of_postgres_exactly_once() {
    let folder = Folder::new();
    let postgres = start(&folder.settings(Purpose::Durable)).await;
    postgres.create_database_if_missing("penstock").await.unwrap();
    let url = postgres.url("penstock");
    let company = [
        "bootstrap",
        "--company",
        "断电",
        "--slug",
        "crash",
        "--email",
        "admin@crash.example",
    ];
    assert!(penstock(&url, &company).status().unwrap().success());
    let (mut server, port) = serve(&url, 0);
    let hand = signed_in(&format!("http://127.0.0.1:{port}")).await;
    let document = simple("sales", &["first", "second", "third"]);
    let pipeline = id(&hand.post("/v1/pipelines", json!({ "document": document })).await);
    hand.post(&format!("/v1/pipelines/{pipeline}/versions/1/publish"), json!({}))
        .await;

    let is_enough = Arc::new(AtomicBool::new(false));
    let hands = (0..HANDS).map(|_| {
        let (hand, pipeline, is_enough) = (hand.clone(), pipeline.clone(), is_enough.clone());
        tokio::spawn(async move {
            let mut won = Vec::new();
            while !is_enough.load(Ordering::Relaxed) {
                won.push(hand.win_one(&pipeline).await);
            }
            won
        })
    });
    let hands = hands.collect::<Vec<_>>();
    for _ in 0..3 {
        hand.wait_for_more().await;
        kill_hard(server.id());
        server.wait().unwrap();
        server = serve(&url, port).0;
    }
    hand.wait_for_more().await;
    let mut condition = postgres.condition();
    kill_hard(pid_of(&postgres));
    condition.wait_for(|now| *now == Condition::Down).await.unwrap();
    hand.wait_for_more().await;
    is_enough.store(true, Ordering::Relaxed);
    let won = futures::future::join_all(hands).await;
    let won = won.into_iter().flat_map(Result::unwrap).collect::<Vec<_>>();

    let (accounts, deals): (HashSet<_>, HashSet<_>) = won.into_iter().unzip();
    let (there, moved) = (
        all_ids(&hand, "accounts?").await,
        all_ids(&hand, "opportunities?status=won&").await,
    );
    assert_eq!(there.len(), accounts.len(), "an account twice, or none");
    assert_eq!(HashSet::from_iter(there), accounts);
    assert_eq!(moved.len(), deals.len(), "a deal twice, or none");
    assert_eq!(HashSet::from_iter(moved), deals);

    kill_hard(server.id());
    server.wait().unwrap();
    let check = penstock(&url, &["check"]).output().unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    postgres.stop().await;
}
