//! Makes the data and starts the postmaster.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::process::Child;
use std::time::{Duration, Instant};

use super::find::{self, Binaries};
use super::folder::Place;
use super::install;
use super::keeper::Inbox;
use super::pidfile::{self, Found};
use super::process::{command, end_with_this_thread, spawning, stop};
use super::settings::server_settings;
use super::{PORT, Purpose, Settings, StartError};

/// How long a server that is starting or stopping on its own is waited for.
const UNTIL_SETTLED: Duration = Duration::from_secs(60);
/// How long ours may take to recover after a crash.
const UNTIL_READY: Duration = Duration::from_secs(600);
/// How long the processes of a killed server may hold its shared memory.
const UNTIL_ORPHANS_END: Duration = Duration::from_secs(20);
const MOMENT: Duration = Duration::from_millis(20);

/// UTF-8 locales, best first. Never plain `C`: pg_trgm would then drop all letters beyond ASCII.
const LOCALES: [&str; 2] = ["C.UTF-8", "en_US.UTF-8"];

/// A server that takes connections.
pub(super) enum Standing {
    Own(Child),
    Adopted { pid: u32 },
}

/// Adopts the living server of the folder or starts one. Only one process at a time gets here.
pub(super) fn adopt_or_start(
    settings: &Settings,
    place: &Place,
    inbox: &mut Inbox,
) -> Result<Standing, StartError> {
    let _lock = place.lock(inbox)?;
    let found = settled(place, inbox)?;
    if let Found::Ready(file) = &found {
        if file.socket_folder != place.socket_folder || file.port != PORT {
            return Err(StartError::ForeignServer {
                data: place.data(),
                pid: file.pid,
            });
        }
        return Ok(Standing::Adopted { pid: file.pid });
    }
    let result = start(settings, place, &found, inbox);
    let is_spoilt = matches!(
        result,
        Err(StartError::Ended { .. } | StartError::OtherVersion { .. })
    );
    // Without fsync a crash of the machine may leave data that cannot be opened.
    if is_spoilt && settings.purpose == Purpose::Throwaway && found != Found::Busy {
        place.remove(&place.data())?;
        return start(settings, place, &Found::Nobody, inbox).map(Standing::Own);
    }
    result.map(Standing::Own)
}

/// What is in the folder once nothing is on its way up or down any more.
fn settled(place: &Place, inbox: &mut Inbox) -> Result<Found, StartError> {
    let since = Instant::now();
    loop {
        let found = pidfile::look(&place.data());
        if found != Found::Busy || since.elapsed() > UNTIL_SETTLED {
            return Ok(found);
        }
        inbox.pause(MOMENT)?;
    }
}

fn start(settings: &Settings, place: &Place, found: &Found, inbox: &mut Inbox) -> Result<Child, StartError> {
    let binaries = programs(settings, place)?;
    make_data(settings.purpose, place, &binaries)?;
    let since = Instant::now();
    loop {
        match start_once(settings.purpose, place, &binaries, found, inbox) {
            Err(StartError::Ended { tail, .. })
                if is_held_by_orphans(&tail) && since.elapsed() < UNTIL_ORPHANS_END =>
            {
                inbox.pause(MOMENT * 10)?;
            }
            result => return result,
        }
    }
}

fn programs(settings: &Settings, place: &Place) -> Result<Binaries, StartError> {
    let search = || find::find(&place.data(), &place.programs());
    match search() {
        Err(StartError::NotFound | StartError::OtherVersion { .. }) if settings.may_install => {
            install::install(&place.programs(), find::version_of(&place.data()))?;
            search()
        }
        result => result,
    }
}

/// Under another name until it is whole, so that an interrupted `initdb` leaves no half-made data.
fn make_data(purpose: Purpose, place: &Place, binaries: &Binaries) -> Result<(), StartError> {
    if find::version_of(&place.data()).is_some() {
        return Ok(());
    }
    let unfinished = place.unfinished_data();
    let mut output = String::new();
    for locale in LOCALES {
        place.remove(&unfinished)?;
        let mut initdb = command(place, &binaries.folder.join("initdb"));
        initdb
            .arg("-D")
            .arg(&unfinished)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]);
        initdb.args(["--locale-provider=libc", &format!("--locale={locale}")]);
        if purpose == Purpose::Throwaway {
            initdb.arg("--no-sync");
        }
        end_with_this_thread(&mut initdb);
        let answer = initdb.output().map_err(spawning(&initdb))?;
        if answer.status.success() {
            let moved =
                fs::rename(&unfinished, place.data()).and_then(|()| File::open(&place.folder)?.sync_all());
            return moved.map_err(StartError::on("finish", &place.data()));
        }
        output.push_str(&String::from_utf8_lossy(&answer.stderr));
    }
    place.remove(&unfinished)?;
    Err(StartError::Initdb {
        data: place.data(),
        output,
    })
}

fn start_once(
    purpose: Purpose,
    place: &Place,
    binaries: &Binaries,
    found: &Found,
    inbox: &mut Inbox,
) -> Result<Child, StartError> {
    let log = place.open_log()?;
    let seen = log.metadata().map_or(0, |file| file.len());
    let copy = log.try_clone().map_err(StartError::on("open", &place.log()))?;
    let mut postgres = command(place, &binaries.folder.join("postgres"));
    postgres.arg("-D").arg(place.data()).stdout(log).stderr(copy);
    for setting in server_settings(purpose, &place.socket_folder) {
        postgres.arg("-c").arg(setting);
    }
    if let Found::Stranger { pid } = found {
        // Postgres takes the file of a dead server for a living one's when somebody else has its
        // number now. It makes an exception for this process, as which we name the stranger; that
        // nobody uses the memory of the dead server it still makes sure of.
        postgres.env("PG_GRANDPARENT_PID", pid.to_string());
    }
    if purpose == Purpose::Durable {
        end_with_this_thread(&mut postgres);
    }
    let mut child = postgres.spawn().map_err(spawning(&postgres))?;
    match wait_until_ready(&mut child, place, seen, inbox) {
        Ok(()) => Ok(child),
        Err(e) => {
            stop(&mut child);
            Err(e)
        }
    }
}

fn wait_until_ready(
    child: &mut Child,
    place: &Place,
    seen: u64,
    inbox: &mut Inbox,
) -> Result<(), StartError> {
    let since = Instant::now();
    loop {
        // The number matters: the file of a crashed server says `ready` too.
        if pidfile::read(&place.data()).is_some_and(|file| file.is_ready && file.pid == child.id()) {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            let tail = tail(place, seen);
            return Err(StartError::Ended {
                status: status.to_string(),
                log: place.log(),
                tail,
            });
        }
        if since.elapsed() > UNTIL_READY {
            return Err(StartError::TooSlow {
                seconds: UNTIL_READY.as_secs(),
                log: place.log(),
            });
        }
        inbox.pause(MOMENT)?;
    }
}

/// What Postgres says about this start: at most the last 20 lines since the log was `seen` long.
fn tail(place: &Place, seen: u64) -> String {
    let mut text = Vec::new();
    let read = File::open(place.log()).and_then(|mut log| {
        log.seek(SeekFrom::Start(seen))?;
        log.read_to_end(&mut text)
    });
    if let Err(e) = read {
        return format!("(cannot be read: {e})");
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The processes of a killed postmaster notice its death only after a moment.
fn is_held_by_orphans(log: &str) -> bool {
    log.contains("shared memory block") && log.contains("is still in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_that_is_still_held_is_worth_another_try() {
        let orphans = "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use";
        assert!(is_held_by_orphans(orphans));
        assert!(!is_held_by_orphans(
            "FATAL:  could not open file \"global/pg_control\""
        ));
    }
}
