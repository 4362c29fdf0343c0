//! What is measured: each operation as a request to the server, and as the head of a pgbench script.

use crate::Failure;
use crate::data::{self, DataSet, OPPORTUNITIES};
use crate::http;
use crate::load::Requests;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A measured operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Read,
    ReadOwn,
    List,
    ListOwn,
    Gate,
    Search,
    SearchOwn,
    SearchCommon,
    Duplicates,
    Lead,
    Advance,
}

impl Operation {
    /// Those that change deals come last: pgbench finds deals by what they were made like.
    pub const ALL: [Operation; 11] = [
        Operation::Read,
        Operation::ReadOwn,
        Operation::List,
        Operation::ListOwn,
        Operation::Gate,
        Operation::Search,
        Operation::SearchOwn,
        Operation::SearchCommon,
        Operation::Duplicates,
        Operation::Lead,
        Operation::Advance,
    ];

    /// The name by which it is chosen.
    pub fn key(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::ReadOwn => "read_own",
            Operation::List => "list",
            Operation::ListOwn => "list_own",
            Operation::Gate => "gate",
            Operation::Search => "search",
            Operation::SearchOwn => "search_own",
            Operation::SearchCommon => "search_common",
            Operation::Duplicates => "duplicates",
            Operation::Lead => "lead",
            Operation::Advance => "advance",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Operation::Read => "read a deal",
            Operation::ReadOwn => "read a deal, own scope",
            Operation::List => "list 50 by stage and amount",
            Operation::ListOwn => "list 50, own scope",
            Operation::Gate => "explain the gate",
            Operation::Search => "search for a name",
            Operation::SearchOwn => "search, own scope",
            Operation::SearchCommon => "search for what most names have",
            Operation::Duplicates => "check for duplicates",
            Operation::Lead => "lead by signed webhook",
            Operation::Advance => "advance through a gate",
        }
    }

    /// The status of a good answer.
    pub fn status(self) -> u16 {
        match self {
            Operation::Lead => 201,
            _ => 200,
        }
    }

    /// Whether each request writes one lead or one transition.
    pub fn writes(self) -> bool {
        matches!(self, Operation::Lead | Operation::Advance)
    }

    /// Requests a second as a share of pgbench's that the project demands at 32 connections.
    pub fn least_ratio(self) -> Option<f64> {
        match self {
            Operation::Read => Some(0.80),
            Operation::List => Some(0.95),
            Operation::Gate | Operation::Lead => Some(0.90),
            Operation::Advance => Some(1.10),
            _ => None,
        }
    }

    /// A comparison that is drawn with the most connections only.
    pub fn is_aside(self) -> bool {
        matches!(
            self,
            Operation::ReadOwn | Operation::ListOwn | Operation::SearchOwn | Operation::SearchCommon
        )
    }

    /// Whether its statements can be drawn anew by a pgbench script: a text that is looked for cannot.
    pub fn has_script(self) -> bool {
        !matches!(
            self,
            Operation::Search | Operation::SearchOwn | Operation::SearchCommon | Operation::Duplicates
        )
    }

    /// The number of the person who asks.
    pub fn person(self) -> i64 {
        match self {
            Operation::ReadOwn | Operation::ListOwn | Operation::SearchOwn => data::REPRESENTATIVE,
            _ => data::DIRECTOR,
        }
    }

    /// The deal that is asked for at a random draw.
    fn deal(self, draw: i64) -> i64 {
        match self {
            Operation::ReadOwn => draw % (OPPORTUNITIES / data::USERS) * data::USERS + data::REPRESENTATIVE,
            _ => draw % OPPORTUNITIES,
        }
    }

    /// How a pgbench script draws its deal `n`, and counts.
    pub fn pgbench_head(self) -> String {
        let draw = match self {
            Operation::Advance => format!(
                "\\set c (:base + :i * :clients + :client_id) % {GATED}\n\\set c (:c * {STRIDE}) % {GATED}\n\
                 \\set n (:c / {lanes}) * {all} + :c % {lanes}\n",
                lanes = data::LANES - data::PIPELINES,
                all = data::LANES
            ),
            Operation::ReadOwn => format!(
                "\\set n random(0, {}) * {} + {}\n",
                OPPORTUNITIES / data::USERS - 1,
                data::USERS,
                data::REPRESENTATIVE
            ),
            _ => format!("\\set n random(0, {})\n", OPPORTUNITIES - 1),
        };
        format!("\\set i :i + 1\n{draw}")
    }
}

/// Deals that stand in front of another stage when they are made.
pub const GATED: i64 = OPPORTUNITIES / data::STAGES * (data::STAGES - 1);
/// Spreads neighbours; it has no divisor in common with `GATED`.
const STRIDE: i64 = 7919;

/// Makes requests.
#[derive(Clone)]
pub struct Asker {
    pub data: Arc<DataSet>,
    /// The header line of whoever asks.
    pub bearer: String,
    pub movers: Arc<Movers>,
    draws: Arc<AtomicU64>,
    /// The next person who is delivered as a lead.
    people: Arc<AtomicU64>,
}

/// People that the load of one number delivers at most: each load has its own.
const PEOPLE: u64 = 100_000;

impl Asker {
    /// `number`: another one for each load.
    pub fn new(data: Arc<DataSet>, bearer: String, movers: Arc<Movers>, number: u64) -> Asker {
        Asker {
            data,
            bearer,
            movers,
            draws: Arc::new(AtomicU64::new(number << 32)),
            people: Arc::new(AtomicU64::new(number * PEOPLE)),
        }
    }

    /// A number that looks random, and is another one each time.
    fn draw(&self) -> i64 {
        let mut x = self
            .draws
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((x ^ (x >> 31)) >> 2).unwrap_or_default()
    }

    /// The next request of an operation with the number of its deal; `None` when no deal is left to be moved.
    pub fn next(&self, operation: Operation) -> Result<Option<(i64, Vec<u8>)>, Failure> {
        let n = operation.deal(self.draw());
        let get = |path: String| http::request("GET", &path, &self.bearer, "");
        Ok(match operation {
            Operation::Read | Operation::ReadOwn => {
                Some((n, get(format!("/v1/opportunities/{}", data::opportunity(n)))))
            }
            Operation::List | Operation::ListOwn => {
                let stage = self.data.stage(n, 0);
                let path = format!("/v1/opportunities?stage_id={stage}&sort=-amount&limit=50");
                Some((n, get(path)))
            }
            Operation::Gate => Some((n, get(format!("/v1/opportunities/{}/gate", data::opportunity(n))))),
            Operation::Search | Operation::SearchOwn => {
                let text = http::encoded(&format!("客户{}有限", n % data::ACCOUNTS));
                Some((n, get(format!("/v1/search?q={text}"))))
            }
            Operation::SearchCommon => Some((n, get(format!("/v1/search?q={}", http::encoded("有限公司"))))),
            Operation::Duplicates => {
                let body = json!({ "name": format!("客户{}有限责任公司", n % data::ACCOUNTS) }).to_string();
                let request = http::request("POST", "/v1/accounts/duplicates", &self.bearer, &body);
                Some((n, request))
            }
            Operation::Lead => Some((n, self.delivery(self.draw())?)),
            Operation::Advance => self.movers.next().map(|(n, moves)| {
                let path = format!("/v1/opportunities/{}/advance", data::opportunity(n));
                let body = json!({ "from_stage_id": self.data.stage(n, moves) }).to_string();
                (n, http::request("POST", &path, &self.bearer, &body))
            }),
        })
    }

    /// A signed delivery of somebody new, who works for one of as many companies as there are accounts.
    fn delivery(&self, draw: i64) -> Result<Vec<u8>, Failure> {
        let pick =
            |list: [&'static str; 5], by: i64| list[usize::try_from(draw / by % 5).unwrap_or_default()];
        let name = format!(
            "{}{}",
            pick(["王", "李", "张", "刘", "陈"], 1),
            pick(["芳", "伟", "秀英", "敏", "建国"], 5)
        );
        let company = format!(
            "{}{}{}有限公司",
            pick(["华东", "华南", "北方", "中原", "滨海"], 25),
            draw / 625 % data::ACCOUNTS,
            pick(["制造", "电子", "医疗器械", "物流", "软件"], 125)
        );
        let person = self.people.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "name": name, "company": company, "job_title": pick(["采购总监", "总经理", "IT 经理", "厂长", "财务总监"], 625),
            "phone": format!("139{:08}", person % 100_000_000), "email": format!("buyer{person}@example.com"),
            "industry": pick(["制造业", "信息技术", "医疗", "教育", "零售"], 3125), "need": "生产线设备数据监控，希望三个月内上线",
            "budget_amount": format!("{}.00", 50_000 + draw % 500_000),
        })
        .to_string();
        let id = format!("msg_{draw:016x}");
        let now = penstock::platform::clock::real_now().timestamp();
        let signature =
            standardwebhooks::Webhook::new(&self.data.intake_secret)?.sign(&id, now, body.as_bytes())?;
        let headers =
            format!("webhook-id: {id}\r\nwebhook-timestamp: {now}\r\nwebhook-signature: {signature}\r\n");
        Ok(http::request("POST", &self.data.intake_path, &headers, &body))
    }

    /// The requests of one load. A request that cannot be made ends it.
    pub fn requests(&self, operation: Operation) -> Requests {
        let asker = self.clone();
        Box::new(move || asker.next(operation).ok().flatten().map(|(_, request)| request))
    }
}

/// Which deals stand in front of a gate whose sub-goals are met.
pub struct Movers {
    state: Mutex<State>,
}

struct State {
    /// How often each deal was moved.
    moves: Vec<u8>,
    ready: Vec<i64>,
}

impl Movers {
    pub fn new() -> Movers {
        let movers = Movers {
            state: Mutex::new(State {
                moves: vec![0; usize::try_from(OPPORTUNITIES).unwrap_or_default()],
                ready: Vec::new(),
            }),
        };
        movers.refill();
        movers
    }

    /// Takes a deal that is moved now, with the count of its moves before.
    fn next(&self) -> Option<(i64, i64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let n = state.ready.pop()?;
        let moves = state.moves.get_mut(usize::try_from(n).ok()?)?;
        *moves += 1;
        Some((n, i64::from(*moves) - 1))
    }

    pub fn left(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ready.len()
    }

    /// All deals that have a stage before them are ready again: their ticks were made.
    pub fn refill(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = OPPORTUNITIES;
        // The stride spreads neighbours over the run.
        let spread = (0..count).map(|c| c * STRIDE % count);
        let moves = |n: i64| usize::try_from(n).ok().and_then(|n| state.moves.get(n)).copied();
        let is_ready =
            |n: &i64| moves(*n).is_some_and(|moves| data::position(*n) + i64::from(moves) < data::STAGES - 1);
        let ready = spread.filter(is_ready).collect();
        state.ready = ready;
    }
}
