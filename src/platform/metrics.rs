//! Prometheus figures, served on a port of their own.

use super::db::{Cached, Db};
use actix_web::http::Method;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use prometheus::core::Collector;
use prometheus::{Encoder, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long what was counted in the database is shown again, however often it is asked for.
const COUNTED_FOR: Duration = Duration::from_secs(5);

/// Counts what waits, of each no more than 10,000: how long a queue is beyond that changes nothing in what is to be done.
/// Timers of sandboxes go by clocks of their own and are left out.
const WAITING: &str = "\
SELECT 'events' AS figure, '' AS kind, count(*) AS number FROM (SELECT 1 FROM event_queue LIMIT 10000) q
UNION ALL
SELECT 'timers', '', count(*) FROM (
    SELECT 1 FROM timers t JOIN tenants c ON c.tenant_id = t.tenant_id
    WHERE t.due_at <= now() AND (t.is_real_time OR c.sandbox_now IS NULL) LIMIT 10000) d
UNION ALL
SELECT j.state, j.kind, count(*) FROM (
    SELECT state, kind FROM jobs WHERE state IN ('queued', 'running') LIMIT 10000) j
GROUP BY j.state, j.kind";

/// Connections of a pool at one instant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connections {
    pub open: usize,
    pub in_use: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

type Pool = Box<dyn Fn() -> Connections + Send + Sync>;

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = Text)]
    figure: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    /// Of each worker.
    pools: Mutex<Vec<Pool>>,
    connections: IntGaugeVec,
    events: IntGauge,
    timers: IntGauge,
    jobs: IntGaugeVec,
    counted: Mutex<Option<Instant>>,
}

impl Metrics {
    /// # Errors
    /// When a figure's definition is not valid.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let buckets = vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ];
        let options = HistogramOpts::new(
            "penstock_http_request_seconds",
            "Time to answer, by route and status",
        )
        .buckets(buckets);
        let requests = HistogramVec::new(options, &["method", "route", "status"])?;
        let connections = IntGaugeVec::new(
            Opts::new(
                "penstock_database_connections",
                "Connections of the workers' pools: open, in_use; waiting: requests that wait for one",
            ),
            &["state"],
        )?;
        let events = IntGauge::new(
            "penstock_events_unsequenced",
            "Events that have no place in the feed yet, up to 10000",
        )?;
        let timers = IntGauge::new(
            "penstock_timers_due",
            "Timers whose instant has come, outside sandboxes, up to 10000",
        )?;
        let jobs = IntGaugeVec::new(
            Opts::new(
                "penstock_jobs",
                "Jobs queued and running, by kind, up to 10000 altogether",
            ),
            &["kind", "state"],
        )?;
        let figures: [Box<dyn Collector>; 5] = [
            Box::new(requests.clone()),
            Box::new(connections.clone()),
            Box::new(events.clone()),
            Box::new(timers.clone()),
            Box::new(jobs.clone()),
        ];
        for figure in figures {
            registry.register(figure)?;
        }
        Ok(Metrics {
            registry,
            requests,
            pools: Mutex::default(),
            connections,
            events,
            timers,
            jobs,
            counted: Mutex::default(),
        })
    }

    /// Takes a worker's pool into the figures.
    pub fn watch(&self, pool: impl Fn() -> Connections + Send + Sync + 'static) {
        open(&self.pools).push(Box::new(pool));
    }

    /// Counts what waits in the database, unless that was done a moment ago. Where it cannot be reached, the figures stay
    /// what they were, and the others are served all the same.
    pub async fn count(&self, db: &Db) {
        let is_fresh = |at: &Instant| at.elapsed() < COUNTED_FOR;
        if open(&self.counted).as_ref().is_some_and(is_fresh) {
            return;
        }
        let found = db
            .read(async |conn| Ok(Cached(sql_query(WAITING)).load::<Waiting>(conn).await?))
            .await;
        match found {
            Ok(found) => self.show(&found),
            Err(error) => tracing::warn!(?error, "what waits cannot be counted"),
        }
        *open(&self.counted) = Some(Instant::now());
    }

    fn show(&self, found: &[Waiting]) {
        self.jobs.reset();
        for Waiting { figure, kind, number } in found {
            match figure.as_str() {
                "events" => self.events.set(*number),
                "timers" => self.timers.set(*number),
                state => self.jobs.with_label_values(&[kind.as_str(), state]).set(*number),
            }
        }
    }

    fn show_connections(&self) {
        let mut all = Connections::default();
        for pool in open(&self.pools).iter() {
            let one = pool();
            all.open += one.open;
            all.in_use += one.in_use;
            all.waiting += one.waiting;
        }
        for (state, number) in [
            ("open", all.open),
            ("in_use", all.in_use),
            ("waiting", all.waiting),
        ] {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            self.connections.with_label_values(&[state]).set(number);
        }
    }

    pub fn observe(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let mut digits = [b'0'; 3];
        for (place, digit) in digits
            .iter_mut()
            .zip([status / 100, status / 10 % 10, status % 10])
        {
            *place += u8::try_from(digit).unwrap_or_default();
        }
        let status = std::str::from_utf8(&digits).unwrap_or("000");
        self.requests
            .with_label_values(&[method.as_str(), route, status])
            .observe(took.as_secs_f64());
    }

    /// The figures in Prometheus' text form.
    pub fn text(&self) -> Vec<u8> {
        self.show_connections();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }
}
