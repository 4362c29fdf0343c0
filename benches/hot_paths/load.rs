//! Load on the server: so many connections, each asking as soon as it was answered, for so long.

use crate::Failure;
use crate::http::{Connection, wrong_status};
use crate::machine;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Requests that a connection sends, one after the other. `None` ends the load early.
pub type Requests = Box<dyn Fn() -> Option<Vec<u8>> + Send>;

/// What a load came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub per_second: f64,
    pub p50_millis: f64,
    pub p99_millis: f64,
    /// Processor time a request, in microseconds.
    pub server_micros: f64,
    pub postgres_micros: f64,
    pub tool_micros: f64,
    /// Memory of the server at the end, in megabytes.
    pub resident_megabytes: f64,
}

/// Where the load goes, and whose processor time is counted.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
    pub server_pid: u32,
    pub postmaster_pid: Option<u32>,
}

/// Runs the load on a thread of its own, so that its processor time and its scheduling are one client's. Every answer
/// must have that status.
pub async fn run(
    target: Target,
    connections: usize,
    length: Duration,
    status: u16,
    requests: Requests,
) -> Result<Figures, Failure> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(measure(target, connections, length, status, requests))
    })
    .await?
}

async fn measure(
    target: Target,
    connections: usize,
    length: Duration,
    status: u16,
    requests: Requests,
) -> Result<Figures, Failure> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(target.address).await?);
    }
    let before = Spent::now(target);
    let begun = Instant::now();
    let requests = Rc::new(requests);
    let loops = open
        .into_iter()
        .map(|connection| ask_until(connection, begun + length, status, Rc::clone(&requests)));
    let latencies = futures::future::try_join_all(loops).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let spent = Spent::now(target).since(before);
    let mut latencies = latencies.into_iter().flatten().collect::<Vec<u32>>();
    latencies.sort_unstable();
    if latencies.is_empty() {
        return Err("not one request was sent".into());
    }
    let count = latencies.len() as f64;
    let micros = |seconds: f64| seconds * 1e6 / count;
    Ok(Figures {
        per_second: count / elapsed,
        p50_millis: percentile(&latencies, 50),
        p99_millis: percentile(&latencies, 99),
        server_micros: micros(spent.server),
        postgres_micros: micros(spent.postgres),
        tool_micros: micros(spent.tool),
        resident_megabytes: machine::resident_megabytes(target.server_pid),
    })
}

/// Latencies in microseconds.
async fn ask_until(
    mut connection: Connection,
    end: Instant,
    status: u16,
    requests: Rc<Requests>,
) -> Result<Vec<u32>, Failure> {
    let mut latencies = Vec::with_capacity(100_000);
    while Instant::now() < end {
        let Some(request) = requests() else { break };
        let sent = Instant::now();
        let answer = connection.call(&request).await?;
        latencies.push(u32::try_from(sent.elapsed().as_micros())?);
        if answer.status != status {
            return Err(wrong_status(&request, &answer, connection.body(&answer)));
        }
    }
    Ok(latencies)
}

/// In milliseconds, of sorted microseconds.
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len() - 1);
    f64::from(sorted[at]) / 1000.0
}

/// Processor seconds so far.
#[derive(Debug, Clone, Copy)]
struct Spent {
    server: f64,
    postgres: f64,
    tool: f64,
}

impl Spent {
    fn now(target: Target) -> Spent {
        Spent {
            server: machine::own_seconds(target.server_pid),
            postgres: target.postmaster_pid.map_or(0.0, machine::family_seconds),
            tool: machine::own_seconds(std::process::id()),
        }
    }

    fn since(self, before: Spent) -> Spent {
        Spent {
            server: self.server - before.server,
            postgres: self.postgres - before.postgres,
            tool: self.tool - before.tool,
        }
    }
}
