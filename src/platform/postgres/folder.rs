//! The folder of the server: whose it is, who may enter it, and what lies in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc::O_NOFOLLOW;
use nix::unistd::{Gid, Uid, User};
use sha2::{Digest, Sha256};

use super::keeper::Inbox;
use super::{PORT, StartError};

/// The longest path of a socket that every system takes, in bytes.
const LONGEST_SOCKET: usize = 100;
/// A longer log is put aside at the next start.
const LONGEST_LOG: u64 = 10 << 20;
/// How long another process may take to start the server, which includes installing Postgres.
const PATIENCE: Duration = Duration::from_secs(600);

/// The prepared folder.
#[derive(Debug)]
pub(super) struct Place {
    pub folder: PathBuf,
    pub socket_folder: PathBuf,
    /// Whom to run Postgres as; set when we are root, as whom it refuses to run.
    pub owner: Option<Owner>,
}

#[derive(Debug)]
pub(super) struct Owner {
    name: String,
    pub uid: Uid,
    pub gid: Gid,
}

impl Place {
    /// Makes what is missing and gives the folder to the user that Postgres will run as.
    pub(super) fn prepare(folder: &Path) -> Result<Place, StartError> {
        let folder = std::path::absolute(folder).map_err(StartError::on("find", folder))?;
        let owner = owner_of(&folder)?;
        make_private(&folder, owner.as_ref())?;
        let folder = fs::canonicalize(&folder).map_err(StartError::on("find", &folder))?;
        let socket_folder = short_enough(&folder, owner.as_ref())?;
        Ok(Place {
            folder,
            socket_folder,
            owner,
        })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn unfinished_data(&self) -> PathBuf {
        self.folder.join("data.new")
    }

    /// For programs that we install ourselves.
    pub(super) fn programs(&self) -> PathBuf {
        self.folder.join("programs")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Opens the log at its end; a long one is first put aside as `log.old`.
    pub(super) fn open_log(&self) -> Result<File, StartError> {
        let log = self.log();
        if fs::symlink_metadata(&log).is_ok_and(|file| file.len() > LONGEST_LOG) {
            fs::rename(&log, self.folder.join("log.old")).map_err(StartError::on("put aside", &log))?;
        }
        opened(&log).map_err(StartError::on("open", &log))
    }

    /// Waits until no other process is starting the server. The lock ends with the returned file.
    pub(super) fn lock(&self, inbox: &mut Inbox) -> Result<File, StartError> {
        let lock = self.folder.join("start.lock");
        let file = opened(&lock).map_err(StartError::on("open", &lock))?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(e)) => return Err(StartError::on("lock", &lock)(e)),
                Err(TryLockError::WouldBlock) if since.elapsed() > PATIENCE => {
                    return Err(StartError::Locked {
                        seconds: PATIENCE.as_secs(),
                        lock,
                    });
                }
                Err(TryLockError::WouldBlock) => inbox.pause(Duration::from_millis(20))?,
            }
        }
    }

    /// Removes a folder inside of ours; it may be missing.
    pub(super) fn remove(&self, inner: &Path) -> Result<(), StartError> {
        match fs::remove_dir_all(inner) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(StartError::on("remove", inner)(e)),
            _ => Ok(()),
        }
    }
}

/// Links are not followed: the folder belongs to a user with fewer rights than we may have.
fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(path)
}

/// Existing data stay with their owner.
fn owner_of(folder: &Path) -> Result<Option<Owner>, StartError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let owner_of_data = || {
        let uid = fs::metadata(folder.join("data")).ok()?.uid();
        User::from_uid(Uid::from_raw(uid))
            .ok()?
            .filter(|user| !user.uid.is_root())
    };
    let named = |name| User::from_name(name).ok().flatten();
    let user = owner_of_data()
        .or_else(|| named("postgres"))
        .or_else(|| named("nobody"));
    let user = user.ok_or(StartError::NoOrdinaryUser)?;
    Ok(Some(Owner {
        name: user.name,
        uid: user.uid,
        gid: user.gid,
    }))
}

fn make_private(folder: &Path, owner: Option<&Owner>) -> Result<(), StartError> {
    let parents: Vec<&Path> = folder.ancestors().skip(1).collect();
    for parent in parents.iter().rev() {
        make_parent(parent, owner)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => {
            return Err(StartError::on("make", folder)(e));
        }
        _ => {}
    }
    let Some(owner) = owner else { return Ok(()) };
    let real = fs::canonicalize(folder).map_err(StartError::on("find", folder))?;
    if let Some(closed) = real.ancestors().skip(1).find(|parent| !lets_in(parent, owner)) {
        return Err(StartError::Closed {
            user: owner.name.clone(),
            closed: closed.to_owned(),
        });
    }
    give(&real, owner).map_err(StartError::on("prepare", &real))
}

/// The owner of the folder must be able to pass, but not to look around.
fn make_parent(parent: &Path, owner: Option<&Owner>) -> Result<(), StartError> {
    match fs::create_dir(parent) {
        Ok(()) if owner.is_some() => {
            fs::set_permissions(parent, Permissions::from_mode(0o711)).map_err(StartError::on("open", parent))
        }
        Err(_) if parent.is_dir() => Ok(()),
        result => result.map_err(StartError::on("make", parent)),
    }
}

fn lets_in(folder: &Path, owner: &Owner) -> bool {
    let Ok(found) = fs::metadata(folder) else {
        return false;
    };
    let bit = match () {
        () if found.uid() == owner.uid.as_raw() => 0o100,
        () if found.gid() == owner.gid.as_raw() => 0o010,
        () => 0o001,
    };
    found.mode() & bit != 0
}

fn give(folder: &Path, owner: &Owner) -> io::Result<()> {
    chown(folder, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// The folder itself, or a short one that every process derives alike from its path.
fn short_enough(folder: &Path, owner: Option<&Owner>) -> Result<PathBuf, StartError> {
    if fits(folder) {
        return Ok(folder.to_owned());
    }
    let short = short_name(folder);
    match DirBuilder::new().mode(0o700).create(&short) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(StartError::on("make", &short)(e)),
    }
    let found = fs::symlink_metadata(&short).map_err(StartError::on("find", &short))?;
    let expected = owner.map_or(Uid::effective(), |owner| owner.uid).as_raw();
    // Anybody may make folders there, so one that exists is only trusted when it is ours.
    if !found.is_dir() || (found.uid() != expected && found.uid() != Uid::effective().as_raw()) {
        return Err(StartError::ForeignSocketFolder(short));
    }
    if let Some(owner) = owner {
        give(&short, owner).map_err(StartError::on("prepare", &short))?;
    }
    Ok(short)
}

fn fits(folder: &Path) -> bool {
    folder.join(format!(".s.PGSQL.{PORT}.lock")).as_os_str().len() <= LONGEST_SOCKET
}

fn short_name(folder: &Path) -> PathBuf {
    let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Not the temporary folder of the environment, which is itself long on some systems.
    PathBuf::from(format!("/tmp/penstock-{hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_goes_elsewhere_only_when_its_path_is_too_long() {
        assert!(fits(Path::new("/var/lib/penstock/pg")));
        assert!(!fits(Path::new(&format!("/{}", "a".repeat(90)))));
    }

    #[test]
    fn the_short_folder_differs_by_path_and_is_the_same_for_everybody() {
        let one = short_name(Path::new("/one"));
        assert_eq!(one, short_name(Path::new("/one")));
        assert_ne!(one, short_name(Path::new("/two")));
        assert!(fits(&one));
    }
}
