//! The figures as Markdown.

use crate::import::Import;
use crate::machine;
use crate::operations::Operation;
use crate::{load, pgbench};
use std::fmt;
use std::time::Duration;

/// All runs of one operation with one number of connections.
pub struct Cell {
    operation: Operation,
    connections: usize,
    pub server: Vec<load::Figures>,
    pub pgbench: Vec<pgbench::Figures>,
}

impl Cell {
    pub fn new(operation: Operation, connections: usize) -> Cell {
        Cell {
            operation,
            connections,
            server: Vec::new(),
            pgbench: Vec::new(),
        }
    }

    fn server(&self, figure: impl Fn(&load::Figures) -> f64) -> f64 {
        median(self.server.iter().map(figure).collect())
    }

    fn pgbench(&self, figure: impl Fn(&pgbench::Figures) -> f64) -> Option<f64> {
        (!self.pgbench.is_empty()).then(|| median(self.pgbench.iter().map(figure).collect()))
    }

    fn ratio(&self) -> Option<f64> {
        let beside = self.pgbench(|figures| figures.per_second)?;
        Some(self.server(|figures| figures.per_second) / beside)
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.as_slice() {
        [] => 0.0,
        some if some.len() % 2 == 1 => some[middle],
        some => f64::midpoint(some[middle - 1], some[middle]),
    }
}

/// Everything that was measured.
pub struct Report {
    seconds: u64,
    runs: usize,
    pub starts: Vec<Duration>,
    /// In megabytes.
    pub resident_at_rest: f64,
    pub cells: Vec<Cell>,
    pub import: Option<Import>,
    /// What `penstock check` said afterwards.
    pub check: String,
}

impl Report {
    pub fn new(seconds: u64, runs: usize) -> Report {
        Report {
            seconds,
            runs,
            starts: Vec::new(),
            resident_at_rest: 0.0,
            cells: Vec::new(),
            import: None,
            check: String::new(),
        }
    }
}

fn or_dash(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.decimals$}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Measured on {}; medians of {} run(s) of {} s.\n",
            machine::description(),
            self.runs,
            self.seconds
        )?;
        writeln!(
            f,
            "| operation | connections | requests/s | p50 ms | p99 ms | pgbench tps | ratio | demanded | server µs | Postgres µs | load tool µs | pgbench: Postgres µs |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for cell in &self.cells {
            row(f, cell)?;
        }
        if let Some(import) = &self.import {
            writeln!(f, "\n{import}")?;
        }
        let start = median(self.starts.iter().map(Duration::as_secs_f64).collect());
        let under_load = self.cells.iter().flat_map(|cell| &cell.server);
        let under_load = under_load
            .map(|figures| figures.resident_megabytes)
            .fold(0.0, f64::max);
        writeln!(
            f,
            "\nµs: processor time a request. Start to ready on a migrated database: {:.0} ms. Memory of the server: {:.0} MB at rest, at most {under_load:.0} MB under load. `penstock check` afterwards: {}.",
            start * 1000.0,
            self.resident_at_rest,
            self.check.trim()
        )
    }
}

fn row(f: &mut fmt::Formatter<'_>, cell: &Cell) -> fmt::Result {
    let demanded = cell.operation.least_ratio().filter(|_| cell.connections == 32);
    writeln!(
        f,
        "| {} | {} | {:.0} | {:.2} | {:.2} | {} | {} | {} | {:.0} | {:.0} | {:.0} | {} |",
        cell.operation.label(),
        cell.connections,
        cell.server(|figures| figures.per_second),
        cell.server(|figures| figures.p50_millis),
        cell.server(|figures| figures.p99_millis),
        or_dash(cell.pgbench(|figures| figures.per_second), 0),
        or_dash(cell.ratio(), 2),
        or_dash(demanded, 2),
        cell.server(|figures| figures.server_micros),
        cell.server(|figures| figures.postgres_micros),
        cell.server(|figures| figures.tool_micros),
        or_dash(cell.pgbench(|figures| figures.postgres_micros), 0),
    )
}
