//! Measures the hot paths of the server beside the same SQL under pgbench. One command, `cargo bench`; see `Settings` for
//! what can be set. Everything is local, bounded in time, and cleaned up.

mod data;
mod database;
mod http;
mod import;
mod large;
mod load;
mod machine;
mod operations;
mod pgbench;
mod probe;
mod report;
mod server;

use data::DataSet;
use database::Databases;
use load::Target;
use operations::{Asker, GATED, Movers, Operation};
use probe::Statement;
use report::{Cell, Report};
use server::Server;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Requests after which every cache of the server has what it keeps.
const WARMING: usize = 50;
/// Most deals that a second of load is expected to move.
const MOST_MOVES: i64 = 6000;

/// From the environment: `BENCH_SECONDS` of each run, `BENCH_RUNS` whose median counts, `BENCH_CONNECTIONS` such as
/// `1,8,32`, `BENCH_ONLY` such as `read,list`, `BENCH_IMPORT` rows that are imported (0: none),
/// `BENCH_LARGE` accounts that are added, to search among them (0: none); `DATABASE_URL` (with `BENCH_POSTGRES_LOG`) instead of a private Postgres.
struct Settings {
    seconds: u64,
    runs: usize,
    connections: Vec<usize>,
    operations: Vec<Operation>,
    import_rows: usize,
    large: i64,
}

fn setting(name: &str, default: &str) -> String {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.unwrap_or_else(|| default.to_owned())
}

impl Settings {
    fn read() -> Result<Settings, Failure> {
        let connections = setting("BENCH_CONNECTIONS", "1,8,32");
        let connections = connections.split(',').map(|count| count.trim().parse::<usize>());
        let only = setting("BENCH_ONLY", "");
        let is_chosen = |operation: &Operation| {
            only.is_empty() || only.split(',').any(|key| key.trim() == operation.key())
        };
        Ok(Settings {
            seconds: setting("BENCH_SECONDS", "5").parse()?,
            runs: setting("BENCH_RUNS", "5").parse::<usize>()?.max(1),
            connections: connections.collect::<Result<_, _>>()?,
            import_rows: setting("BENCH_IMPORT", "100000").parse()?,
            large: setting("BENCH_LARGE", "0").parse()?,
            operations: Operation::ALL.into_iter().filter(is_chosen).collect(),
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let settings = Settings::read()?;
    let databases = Databases::start().await?;
    let outcome = tokio::select! {
        outcome = benchmark(&settings, &databases) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    databases.stop().await?;
    outcome
}

async fn benchmark(settings: &Settings, databases: &Databases) -> Result<(), Failure> {
    let data = Arc::new(build(databases).await?);
    let bench = Bench {
        settings,
        databases,
        movers: Arc::new(Movers::new()),
        scripts: Folder::new()?,
        data,
        pgbench: pgbench::find(),
    };
    let scripts = bench.scripts().await?;
    let mut report = Report::new(settings.seconds, settings.runs);
    let server = bench.time_start(&mut report).await?;
    bench.measure(&server, &scripts, &mut report).await?;
    if settings.import_rows > 0 {
        eprintln!("import of {} leads …", settings.import_rows);
        let urls = (databases.url.as_str(), databases.copy_url.as_str());
        match import::measure(&server, urls, settings.import_rows).await {
            Ok(import) => report.import = Some(import),
            // What was measured before is not lost for it.
            Err(error) => eprintln!("no figures of the import: {error}"),
        }
    }
    server.stop().await?;
    report.check = databases.check().await;
    println!("{report}");
    if settings.large > 0 {
        eprintln!("{} accounts …", settings.large);
        let place = (databases.url.as_str(), databases.postmaster());
        let measured = large::measure(place, &bench.data, settings.large, settings.seconds);
        println!("{}", measured.await?);
    }
    Ok(())
}

/// Makes both databases: the server's, and the same again for pgbench.
async fn build(databases: &Databases) -> Result<DataSet, Failure> {
    let begun = std::time::Instant::now();
    eprintln!("building the data set …");
    let url = &databases.url;
    penstock::platform::migrations::run(url).await?;
    let tenant = data::people(url).await?;
    let client = database::connect(url).await?;
    data::teams(&client, tenant).await?;
    let server = Server::start(url).await?;
    let data = data::processes(&server, &client, tenant).await?;
    server.stop().await?;
    data::mass(&client, tenant).await?;
    let server = Server::start(url).await?;
    data::placed(&client).await?;
    server.stop().await?;
    drop(client);
    databases.copy().await?;
    eprintln!("built in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(data)
}

/// A folder for scripts, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder, Failure> {
        let folder = std::env::temp_dir().join(format!("penstock-bench-scripts-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

struct Bench<'a> {
    settings: &'a Settings,
    databases: &'a Databases,
    data: Arc<DataSet>,
    movers: Arc<Movers>,
    scripts: Folder,
    pgbench: Option<PathBuf>,
}

impl Bench<'_> {
    async fn asker(&self, server: &Server, operation: Operation, number: u64) -> Result<Asker, Failure> {
        let token = server
            .sign_in(&data::email(operation.person()), data::PASSWORD)
            .await?;
        let bearer = http::bearer(&token);
        Ok(Asker::new(
            Arc::clone(&self.data),
            bearer,
            Arc::clone(&self.movers),
            number,
        ))
    }

    /// The pgbench script of each chosen operation, from the statements that the server sends; `None` where they cannot
    /// be had.
    async fn scripts(&self) -> Result<Vec<Option<PathBuf>>, Failure> {
        let (Some(log), Some(_)) = (&self.databases.log, &self.pgbench) else {
            eprintln!("without a log of Postgres, or without pgbench, there is no comparison");
            return Ok(vec![None; self.settings.operations.len()]);
        };
        self.databases.log_statements(true).await?;
        let server = Server::start(&self.databases.url).await?;
        let client = database::connect(&self.databases.copy_url).await?;
        let mut scripts = Vec::new();
        for operation in &self.settings.operations {
            if !operation.has_script() {
                scripts.push(None);
                continue;
            }
            let text = self.script(*operation, &server, &client, log).await?;
            let file = self.scripts.0.join(format!("{}.sql", operation.key()));
            std::fs::write(&file, format!("{}{text}", operation.pgbench_head()))?;
            scripts.push(Some(file));
        }
        server.stop().await?;
        self.databases.log_statements(false).await?;
        Ok(scripts)
    }

    async fn script(
        &self,
        operation: Operation,
        server: &Server,
        client: &tokio_postgres::Client,
        log: &Path,
    ) -> Result<String, Failure> {
        let asker = self.asker(server, operation, 0).await?;
        let mut connection = server.connect().await?;
        let mut caught = async |noise: &BTreeSet<String>| -> Result<(i64, Vec<Statement>), Failure> {
            let (n, request) = asker.next(operation)?.ok_or("no deal is left")?;
            let mark = probe::mark(log)?;
            connection.ask(&request, operation.status()).await?;
            Ok((n, probe::without_noise(probe::since(log, mark)?, noise)))
        };
        // What follows a request by itself is heard out first.
        for _ in 0..WARMING {
            caught(&BTreeSet::new()).await?;
        }
        let mark = probe::mark(log)?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let noise = probe::since(log, mark)?
            .into_iter()
            .map(|heard| heard.sql)
            .collect();
        for _ in 0..10 {
            caught(&noise).await?;
            let (n, one) = caught(&noise).await?;
            let (_, other) = caught(&noise).await?;
            let is_same =
                one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.sql == other.sql);
            if is_same && !one.is_empty() {
                return probe::script(client, &one, &other, &self.data.known(n)).await;
            }
        }
        Err(format!(
            "the statements of \"{}\" differ from request to request",
            operation.label()
        )
        .into())
    }

    /// Starts the server thrice; the last one stays.
    async fn time_start(&self, report: &mut Report) -> Result<Server, Failure> {
        for _ in 0..2 {
            let server = Server::start(&self.databases.url).await?;
            report.starts.push(server.start_to_ready);
            server.stop().await?;
        }
        let server = Server::start(&self.databases.url).await?;
        report.starts.push(server.start_to_ready);
        tokio::time::sleep(Duration::from_secs(1)).await;
        report.resident_at_rest = machine::resident_megabytes(server.pid());
        Ok(server)
    }

    async fn measure(
        &self,
        server: &Server,
        scripts: &[Option<PathBuf>],
        report: &mut Report,
    ) -> Result<(), Failure> {
        let most = self.settings.connections.iter().max().copied().unwrap_or(1);
        let mut moved = 0;
        let mut number = 0;
        for (operation, script) in self.settings.operations.iter().zip(scripts) {
            for connections in &self.settings.connections {
                if operation.is_aside() && *connections < most {
                    continue;
                }
                eprintln!("{}, {connections} connection(s) …", operation.label());
                let mut cell = Cell::new(*operation, *connections);
                for _ in 0..self.settings.runs {
                    number += 1;
                    cell.server
                        .push(self.load(server, *operation, *connections, number).await?);
                    if let Some(script) = script {
                        let figures = self.pgbench(*operation, script, *connections, number, &mut moved);
                        cell.pgbench.push(figures.await?);
                    }
                }
                report.cells.push(cell);
            }
        }
        Ok(())
    }

    async fn load(
        &self,
        server: &Server,
        operation: Operation,
        connections: usize,
        number: u64,
    ) -> Result<load::Figures, Failure> {
        if operation == Operation::Advance {
            self.make_ready().await?;
        }
        let asker = self.asker(server, operation, number).await?;
        let target = Target {
            address: server.address,
            server_pid: server.pid(),
            postmaster_pid: self.databases.postmaster(),
        };
        let run = async |length| {
            load::run(
                target,
                connections,
                length,
                operation.status(),
                asker.requests(operation),
            )
            .await
        };
        run(Duration::from_millis(500)).await?;
        run(Duration::from_secs(self.settings.seconds)).await
    }

    /// How many deals were moved and leads made.
    async fn written(&self, url: &str) -> Result<i64, Failure> {
        let rows = database::connect(url).await?.query(data::WRITTEN, &[]).await?;
        Ok(rows.iter().map(|row| row.get::<_, i64>(0)).sum())
    }

    /// Ticks what the moved deals need for their next move, when too few are left.
    async fn make_ready(&self) -> Result<(), Failure> {
        let needed = (i64::try_from(self.settings.seconds)? + 1) * MOST_MOVES;
        if i64::try_from(self.movers.left())? < needed {
            let client = database::connect(&self.databases.url).await?;
            client.batch_execute(&data::ticks(self.data.tenant)).await?;
            client
                .batch_execute("VACUUM ANALYZE opportunities, transitions, criterion_answers")
                .await?;
            self.movers.refill();
        }
        Ok(())
    }

    async fn pgbench(
        &self,
        operation: Operation,
        script: &Path,
        clients: usize,
        number: u64,
        moved: &mut i64,
    ) -> Result<pgbench::Figures, Failure> {
        let Some(program) = &self.pgbench else {
            return Err("no pgbench".into());
        };
        let seconds = self.settings.seconds;
        if operation == Operation::Advance && *moved + i64::try_from(seconds)? * MOST_MOVES > GATED {
            let client = database::connect(&self.databases.copy_url).await?;
            client.batch_execute(&data::undo_moves(self.data.tenant)).await?;
            client
                .batch_execute("VACUUM ANALYZE opportunities, transitions")
                .await?;
            *moved = 0;
        }
        let run = |seconds, number, base| {
            pgbench::run(pgbench::Run {
                program,
                url: &self.databases.copy_url,
                script,
                clients,
                seconds,
                number,
                base,
                postmaster_pid: self.databases.postmaster(),
            })
        };
        let before = self.written(&self.databases.copy_url).await?;
        let figures = run(seconds, number, *moved).await?;
        let written = self.written(&self.databases.copy_url).await? - before;
        let transactions = figures.per_second * seconds as f64;
        if operation.writes() && (written as f64) < transactions * 0.9 {
            return Err(format!(
                "pgbench wrote {written} records in {transactions:.0} transactions of \"{}\"",
                operation.label()
            )
            .into());
        }
        if operation == Operation::Advance {
            *moved += (figures.per_second * seconds as f64) as i64 * 11 / 10 + 1000;
        }
        Ok(figures)
    }
}
