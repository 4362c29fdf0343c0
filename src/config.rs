//! Settings, from the environment alone.

use crate::platform::connect::user_of;
use crate::platform::tls::with_roots;
use crate::platform::tokens::{SecretError, check_secret};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// What a server is started with. `docs/configuration.md` has a line for each variable.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    pub database_url: Option<String>,
    /// The owner's URL, for migrations; by default the main one.
    pub database_admin_url: Option<String>,
    /// A replica, for what reads much.
    pub database_read_url: Option<String>,
    /// Where the duties run of which there is one at a time, and their leases are.
    pub database_coordinator_url: Option<String>,
    /// The server's own database role, which the owner grants what it needs.
    pub database_role: Option<String>,
    pub data_dir: PathBuf,
    pub secret: Option<String>,
    pub previous_secret: Option<String>,
    pub workers: usize,
    pub connections_per_worker: usize,
    pub rate_per_user: NonZeroU32,
    pub rate_per_tenant: NonZeroU32,
    /// Largest file that is taken in for an import, in bytes.
    pub import_max_bytes: usize,
    pub cors_origins: Vec<String>,
    pub is_log_json: bool,
    pub log_filter: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{variable} {reason}")]
pub struct ConfigError {
    pub variable: &'static str,
    pub reason: String,
}

fn fault(variable: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError {
        variable,
        reason: reason.into(),
    }
}

/// A database's URL that can be understood, with the roots given for all that name none.
fn database_url(variable: &'static str, url: String, roots: Option<&str>) -> Result<String, ConfigError> {
    let url = match roots {
        Some(roots) => with_roots(&url, roots),
        None => url,
    };
    user_of(&url).map_err(|error| fault(variable, format!("cannot be used: {error}")))?;
    Ok(url)
}

impl Config {
    /// Reads the settings through `get` (`std::env::var` in earnest).
    ///
    /// # Errors
    /// The variable that cannot be used, and why.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let address = |name: &'static str, value: String| {
            value
                .parse::<SocketAddr>()
                .map_err(|_| fault(name, "is not an address such as 127.0.0.1:8080"))
        };
        let count = |name: &'static str, default: u32| match get(name) {
            None => NonZeroU32::new(default).ok_or_else(|| fault(name, "has no default")),
            Some(text) => text
                .parse()
                .map_err(|_| fault(name, "is not a whole number above 0")),
        };
        let roots = get("DATABASE_SSLROOTCERT");
        let url = |name: &'static str| {
            get(name)
                .map(|url| database_url(name, url, roots.as_deref()))
                .transpose()
        };
        let beside = |name: &'static str| match url(name)? {
            Some(_) if get("DATABASE_URL").is_none() => Err(fault(
                name,
                "is set, and DATABASE_URL is not: it says where the same data are as well",
            )),
            other => Ok(other),
        };
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
        let workers = count("PENSTOCK_WORKERS", u32::try_from(cores).unwrap_or(2))?.get();
        Ok(Config {
            listen: address(
                "PENSTOCK_LISTEN",
                get("PENSTOCK_LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            )?,
            metrics_listen: get("PENSTOCK_METRICS_LISTEN")
                .map(|value| address("PENSTOCK_METRICS_LISTEN", value))
                .transpose()?,
            database_url: url("DATABASE_URL")?,
            database_admin_url: url("DATABASE_ADMIN_URL")?,
            // The main database is read anyway.
            database_read_url: beside("DATABASE_READ_URL")?
                .filter(|_| get("DATABASE_READ_URL") != get("DATABASE_URL")),
            database_coordinator_url: beside("DATABASE_COORDINATOR_URL")?,
            database_role: get("DATABASE_ROLE"),
            data_dir: get("PENSTOCK_DATA_DIR")
                .map_or_else(crate::platform::postgres::default_folder, PathBuf::from),
            secret: get("PENSTOCK_SECRET"),
            previous_secret: get("PENSTOCK_SECRET_PREVIOUS"),
            workers: workers as usize,
            connections_per_worker: count("PENSTOCK_CONNECTIONS_PER_WORKER", 4)?.get() as usize,
            rate_per_user: count("PENSTOCK_RATE_LIMIT_PER_USER", 600)?,
            rate_per_tenant: count("PENSTOCK_RATE_LIMIT_PER_TENANT", 6000)?,
            import_max_bytes: count("PENSTOCK_IMPORT_MAX_BYTES", 64 * 1024 * 1024)?.get() as usize,
            cors_origins: get("PENSTOCK_CORS_ORIGINS")
                .map(|list| list.split(',').map(|origin| origin.trim().to_owned()).collect())
                .unwrap_or_default(),
            is_log_json: get("PENSTOCK_LOG_FORMAT").is_some_and(|format| format == "json"),
            log_filter: get("PENSTOCK_LOG").unwrap_or_else(|| "info,access=warn".to_owned()),
        })
    }

    /// The role to which the owner of the schema grants what a server needs: the one named, else the user of
    /// `DATABASE_URL` where migrations go by a URL of their own.
    ///
    /// # Errors
    /// When `DATABASE_URL` cannot be read.
    pub fn server_role(&self) -> Result<Option<String>, ConfigError> {
        if self.database_role.is_some() {
            return Ok(self.database_role.clone());
        }
        let (Some(_), Some(url)) = (&self.database_admin_url, &self.database_url) else {
            return Ok(None);
        };
        user_of(url).map_err(|error| fault("DATABASE_URL", error.to_string()))
    }

    /// The secret that `serve` must have been given.
    ///
    /// # Errors
    /// When it is missing or could be guessed.
    pub fn strong_secret(&self) -> Result<&str, ConfigError> {
        let secret = self.secret.as_deref().ok_or_else(|| {
            fault(
                "PENSTOCK_SECRET",
                "is not set; it takes at least 32 random characters",
            )
        })?;
        check_secret(secret).map_err(|error: SecretError| fault("PENSTOCK_SECRET", error.to_string()))?;
        Ok(secret)
    }

    /// The secret before a rotation, if it is to stay good for a while.
    ///
    /// # Errors
    /// When it could be guessed: whoever holds it can sign in as anybody just as with the present one.
    pub fn strong_previous_secret(&self) -> Result<Option<&str>, ConfigError> {
        let Some(secret) = self.previous_secret.as_deref() else {
            return Ok(None);
        };
        check_secret(secret).map_err(|error| fault("PENSTOCK_SECRET_PREVIOUS", error.to_string()))?;
        Ok(Some(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_setting_is_refused_by_its_name() {
        let bad = |name: &'static str, value: &'static str| {
            Config::read(move |asked| (asked == name).then(|| value.to_owned()))
                .err()
                .map(|error| error.variable)
        };
        assert_eq!(bad("PENSTOCK_LISTEN", "here"), Some("PENSTOCK_LISTEN"));
        assert_eq!(bad("PENSTOCK_WORKERS", "0"), Some("PENSTOCK_WORKERS"));
        assert_eq!(bad("OTHER", "x"), None);
    }

    #[test]
    fn where_the_same_data_are_as_well_takes_where_they_are() {
        const MAIN: &str = "postgres://db/penstock";
        const REPLICA: &str = "postgres://replica/penstock";
        let read = |settings: &'static [(&'static str, &'static str)]| {
            let read = Config::read(|name| {
                let found = settings.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            read.map(|config| config.database_read_url)
                .map_err(|error| error.variable)
        };
        let both = read(&[("DATABASE_URL", MAIN), ("DATABASE_READ_URL", REPLICA)]);
        assert_eq!(both, Ok(Some(REPLICA.to_owned())));
        let same = read(&[("DATABASE_URL", MAIN), ("DATABASE_READ_URL", MAIN)]);
        assert_eq!(same, Ok(None));
        let alone = read(&[("DATABASE_READ_URL", REPLICA)]);
        assert_eq!(alone, Err("DATABASE_READ_URL"));
        let alone = read(&[("DATABASE_COORDINATOR_URL", REPLICA)]);
        assert_eq!(alone, Err("DATABASE_COORDINATOR_URL"));
    }

    #[test]
    fn the_owner_grants_to_the_role_named_or_to_the_servers_own_user() {
        let role = |settings: &'static [(&'static str, &'static str)]| {
            let get = |name: &str| {
                let found = settings.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Config::read(get).unwrap().server_role().unwrap()
        };
        let (server, owner) = (
            ("DATABASE_URL", "postgres://app:x@db/penstock"),
            ("DATABASE_ADMIN_URL", "postgres://owner:y@db/penstock"),
        );
        let both: &'static [_] = Box::leak(Box::new([server, owner]));
        let one: &'static [_] = Box::leak(Box::new([server]));
        let named: &'static [_] = Box::leak(Box::new([owner, ("DATABASE_ROLE", "app")]));
        assert_eq!(role(one), None);
        assert_eq!(role(both).as_deref(), Some("app"));
        assert_eq!(role(named).as_deref(), Some("app"));
    }

    #[test]
    fn a_weak_secret_does_not_serve() {
        let with = |secret: Option<&'static str>| {
            let config =
                Config::read(move |name| secret.filter(|_| name == "PENSTOCK_SECRET").map(str::to_owned))
                    .unwrap();
            config
                .strong_secret()
                .map(str::to_owned)
                .map_err(|error| error.variable)
        };
        assert_eq!(with(None), Err("PENSTOCK_SECRET"));
        assert_eq!(with(Some("changeme")), Err("PENSTOCK_SECRET"));
        for counted in [
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "12345678901234567890abcdefghijkl",
        ] {
            assert_eq!(with(Some(counted)), Err("PENSTOCK_SECRET"), "{counted}");
        }
        assert!(with(Some("qwertzuiop-asdfghjkl-yxcvbnm-1234567890")).is_ok());
    }

    #[test]
    fn a_weak_secret_does_not_serve_as_the_previous_one_either() {
        let with = |secret: &'static str| {
            let config =
                Config::read(move |name| (name == "PENSTOCK_SECRET_PREVIOUS").then(|| secret.to_owned()));
            let config = config.unwrap();
            let previous = config.strong_previous_secret();
            previous.map(|_| ()).map_err(|error| error.variable)
        };
        assert_eq!(with("changeme"), Err("PENSTOCK_SECRET_PREVIOUS"));
        assert_eq!(with("qwertzuiop-asdfghjkl-yxcvbnm-1234567890"), Ok(()));
        assert_eq!(with(""), Ok(()));
    }
}
