//! The command line: demo, serve, migrate, bootstrap, openapi, check, health.

use clap::{Parser, Subcommand};
use penstock::config::Config;
use penstock::run::{self, Failure};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Penstock: the backend of a company's sales process.
///
/// Settings come from PENSTOCK_… and DATABASE_… environment variables; docs/configuration.md lists them.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything with a demo company: a private Postgres unless DATABASE_URL is set, the API, people to sign in as
    Demo,
    /// Serve the API on an existing database; refuses to start on a weak PENSTOCK_SECRET
    Serve,
    /// Bring the database at DATABASE_URL to the present schema
    Migrate,
    /// Make a company and its first administrator in the database at DATABASE_URL
    Bootstrap(run::Bootstrap),
    /// Print the OpenAPI document
    Openapi,
    /// Check every invariant over the whole database: exits 0 when all hold, 1 after naming what breaks them, 3 when the check could not be made: no such database, or not of the present schema. Creates and changes nothing
    Check,
    /// Ask a running server whether it is ready; for container health checks
    Health,
}

fn main() -> ExitCode {
    keep_pages_small();
    let cli = Cli::parse();
    match act(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("penstock: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Keeps the kernel from backing the heap with pages of two megabytes, of which a server at rest uses a little each.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        eprintln!("penstock: large pages stay on, and take some more memory: {error}");
    }
}

fn act(command: Command) -> Result<ExitCode, Failure> {
    if matches!(command, Command::Openapi) {
        print!("{}", run::openapi());
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::read(|name| std::env::var(name).ok())?;
    let _flushed_at_the_end = run::logging(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Demo => run::demo(config).await.map(|()| ExitCode::SUCCESS),
            Command::Serve => run::serve(config).await.map(|()| ExitCode::SUCCESS),
            Command::Migrate => run::migrate(&config).await.map(|()| ExitCode::SUCCESS),
            Command::Bootstrap(new) => run::bootstrap(&config, new).await.map(|()| ExitCode::SUCCESS),
            Command::Check => Ok(run::check(&config).await),
            Command::Health => run::health(&config).await,
            Command::Openapi => Ok(ExitCode::SUCCESS),
        }
    })
}
