//! Reads `postmaster.pid`, and tells a living server from what a dead one left behind.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// What a postmaster writes about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub pid: u32,
    pub port: u16,
    pub socket_folder: PathBuf,
    pub is_ready: bool,
}

/// Who is behind the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No file, or nobody behind it.
    Nobody,
    /// The file names a process that exists but is no postmaster: its number was given anew.
    Stranger {
        pid: u32,
    },
    /// A postmaster that is not ready yet, or not any more.
    Busy,
    Ready(PidFile),
}

pub(super) fn look(data: &Path) -> Found {
    let Some(file) = read(data) else {
        return Found::Nobody;
    };
    if !exists(file.pid) {
        return Found::Nobody;
    }
    let answers = UnixStream::connect(file.socket()).is_ok();
    match (answers, file.is_ready) {
        (true, true) => Found::Ready(file),
        (true, false) => Found::Busy,
        // The file of a crashed server still says `ready`; before it listens, a live one has no socket.
        (false, _) if is_postgres(file.pid) => Found::Busy,
        (false, _) => Found::Stranger { pid: file.pid },
    }
}

/// Whether this very postmaster still lives.
pub(super) fn is_alive(data: &Path, pid: u32) -> bool {
    exists(pid) && read(data).is_some_and(|file| file.pid == pid)
}

pub(super) fn read(data: &Path) -> Option<PidFile> {
    parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
}

impl PidFile {
    fn socket(&self) -> PathBuf {
        self.socket_folder.join(format!(".s.PGSQL.{}", self.port))
    }
}

/// `None` while the file is still being written, at least up to the folder of the socket.
fn parse(text: &str) -> Option<PidFile> {
    let lines: Vec<&str> = text.lines().collect();
    Some(PidFile {
        pid: lines.first()?.trim().parse().ok()?,
        port: lines.get(3)?.trim().parse().ok()?,
        socket_folder: PathBuf::from(*lines.get(4)?),
        is_ready: lines.get(7).is_some_and(|status| status.trim() == "ready"),
    })
}

fn exists(pid: u32) -> bool {
    let Ok(number) = i32::try_from(pid) else {
        return false;
    };
    let answers = matches!(kill(Pid::from_raw(number), None), Ok(()) | Err(Errno::EPERM));
    number > 0 && answers && state_of(pid) != Some('Z')
}

/// The letter in `/proc/<pid>/stat`; behind the name, which may itself hold brackets.
fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Taken for true where the system does not tell.
fn is_postgres(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.map_or(true, |name| matches!(name.trim(), "postgres" | "postmaster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/pg/data\n1762000000\n5432\n/pg\n\n  1234567     98306\nready   \n";

    #[test]
    fn a_complete_file_names_process_socket_and_state() {
        let expected = PidFile {
            pid: 4711,
            port: 5432,
            socket_folder: "/pg".into(),
            is_ready: true,
        };
        assert_eq!(parse(READY), Some(expected));
    }

    #[test]
    fn a_starting_or_stopping_server_is_not_ready() {
        assert!(!parse(&READY.replace("ready   ", "starting")).unwrap().is_ready);
        assert!(!parse(&READY.replace("ready   ", "stopping")).unwrap().is_ready);
        assert!(!parse("4711\n/pg/data\n1762000000\n5432\n/pg\n").unwrap().is_ready);
    }

    #[test]
    fn a_half_written_file_is_not_believed() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("4711\n/pg/data\n"), None);
        assert_eq!(parse("-\n/pg/data\n1\n5432\n/pg\n"), None);
    }

    #[test]
    fn our_own_process_exists_and_is_no_postmaster() {
        assert!(exists(std::process::id()));
        assert!(cfg!(not(target_os = "linux")) || !is_postgres(std::process::id()));
        assert!(!exists(0));
        assert!(!exists(u32::MAX));
    }

    #[test]
    fn an_empty_folder_has_nobody() {
        assert_eq!(look(Path::new("/nonexistent")), Found::Nobody);
    }
}
