//! What the machine is, and what it spent: read from `/proc`, so figures of processes exist on Linux only.

use std::fs;

/// Clock ticks a second in `/proc/*/stat`: fixed by the kernel's interface to programs.
const TICKS: f64 = 100.0;

/// Cores, processor and memory, in words.
pub fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let processor = value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = value_of("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(String::new, |kilobytes| {
            format!(", {:.0} GB memory", kilobytes / 1e6)
        });
    format!("{cores} cores of {processor}{memory}, {}", std::env::consts::OS)
}

fn value_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once(':')?;
    Some(value.trim().to_owned())
}

/// Processor time that a process has used, in seconds, with that of its children that ended.
fn seconds_of(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = fields_after_name(&text)?;
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<f64>());
    Some(ticks.sum::<Result<f64, _>>().ok()? / TICKS)
}

/// The fields of a stat line from the third (state) on; the name before them may contain anything.
fn fields_after_name(text: &str) -> Option<Vec<&str>> {
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().collect())
}

fn parent_of(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    fields_after_name(&text)?.get(1)?.parse().ok()
}

/// Processor seconds of a process without its children (threads included).
pub fn own_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = fields_after_name(&text).unwrap_or_default();
    let ticks = fields.get(11..13).unwrap_or_default().iter();
    ticks
        .map(|field| field.parse::<f64>().unwrap_or_default())
        .sum::<f64>()
        / TICKS
}

/// Processor seconds of a process and all its children, those included that have ended.
pub fn family_seconds(pid: u32) -> f64 {
    let others = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = others
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|other| parent_of(*other) == Some(pid));
    let children = children.filter_map(seconds_of).sum::<f64>();
    children + seconds_of(pid).unwrap_or_default()
}

/// Memory of a process that is in use, in megabytes.
pub fn resident_megabytes(pid: u32) -> f64 {
    value_of(&format!("/proc/{pid}/status"), "VmRSS")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .unwrap_or_default()
        / 1024.0
}
