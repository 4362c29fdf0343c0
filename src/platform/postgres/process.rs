//! Runs the programs of Postgres as the right user, and ends them.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
#[cfg(target_os = "linux")]
use nix::{
    errno::Errno,
    sys::prctl::set_pdeathsig,
    unistd::{getpid, getppid},
};

use super::StartError;
use super::folder::Place;

/// How often a child is looked at that is to end.
const MOMENT: Duration = Duration::from_millis(20);

/// All that our programs see of our environment, which may hold secrets and settings for others.
const KEPT_VARIABLES: [&str; 6] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
];

/// Fast shutdown, then immediate, then by force. Returns when the postmaster is gone.
pub(super) fn stop(child: &mut Child) {
    for (signal, seconds) in [(Signal::SIGINT, 30), (Signal::SIGQUIT, 10), (Signal::SIGKILL, 10)] {
        if has_ended(child, Duration::ZERO) {
            return;
        }
        send(child, signal);
        if has_ended(child, Duration::from_secs(seconds)) {
            return;
        }
        tracing::warn!(%signal, seconds, "the private PostgreSQL did not stop in time");
    }
}

/// The child is not reaped yet, so its number cannot belong to anybody else.
fn send(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It can only fail when the child has just ended.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn has_ended(child: &mut Child, patience: Duration) -> bool {
    let since = Instant::now();
    loop {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        if since.elapsed() >= patience {
            return false;
        }
        thread::sleep(MOMENT);
    }
}

pub(super) fn command(place: &Place, program: &Path) -> Command {
    let mut command = Command::new(program);
    let kept = KEPT_VARIABLES
        .iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    command.env_clear().envs(kept).env("LC_ALL", "C");
    // In a group of its own, or Ctrl-C would reach Postgres before our requests are finished.
    command
        .current_dir(&place.folder)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(owner) = &place.owner {
        // The standard library drops our other groups as well.
        command.gid(owner.gid.as_raw()).uid(owner.uid.as_raw());
    }
    command
}

/// The kernel ends the child when the thread that starts it is gone, even if we are killed.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "setting up a process between fork and exec is unsafe by nature"
)]
pub(super) fn end_with_this_thread(command: &mut Command) {
    let parent = getpid();
    let arrange = move || {
        set_pdeathsig(Signal::SIGINT)?;
        // We may have been killed before the kernel was told.
        if getppid() == parent {
            Ok(())
        } else {
            Err(Errno::ESRCH.into())
        }
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated or locked.
    // It runs after the change of user, which would undo it.
    unsafe { command.pre_exec(arrange) };
}

/// Elsewhere a server whose starter was killed stays, and the next start adopts it.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_with_this_thread(_: &mut Command) {}

pub(super) fn spawning(command: &Command) -> impl FnOnce(std::io::Error) -> StartError + use<> {
    let program = command.get_program().into();
    move |source| StartError::Spawn { program, source }
}
