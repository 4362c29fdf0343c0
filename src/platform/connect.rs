//! The one place that opens connections to Postgres: a URL read once, the limits that every call has, and TLS.

use super::tls::{self, Manner, Mode};
use diesel_async::AsyncPgConnection;
use futures::future::{Either, select};
use rustls::{CertificateError, Error as TlsError};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What every session begins with; limits of time are the database's own, so that nothing goes on behind our back. One
/// request keeps one core busy at most, and compiles nothing: that pays for reports over millions of rows, and costs a page
/// of fifty rows more than reading it.
const OPTIONS: &str = "-c statement_timeout=5s -c lock_timeout=2s -c idle_in_transaction_session_timeout=10s -c timezone=UTC \
     -c max_parallel_workers_per_gather=0 -c jit=off";
/// Deadlocks and the like are known by their words, since the driver keeps their codes to itself: so the session speaks English
/// wherever its role may say so.
const SPEAKING: &str =
    "SELECT set_config('lc_messages', 'C', FALSE) WHERE has_parameter_privilege('lc_messages', 'SET')";
/// How long one host may take to answer at all.
const ANSWERING: Duration = Duration::from_secs(5);
/// How long connecting may take in all, with handshakes and the hosts that are out.
const CONNECTING: Duration = Duration::from_secs(30);

/// A connection's other half, which moves the bytes.
pub type Line = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Why there is no connection. Never shows a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL, or a file that it names, cannot be used.
    #[error("{0}")]
    Url(String),
    #[error("cannot connect to Postgres at {place} with sslmode={mode}: {reason}")]
    Failed {
        place: String,
        mode: &'static str,
        reason: String,
    },
}

/// A database and how it is spoken to.
#[derive(Clone)]
pub struct Target {
    settings: Config,
    manner: Manner,
    tls: MakeRustlsConnect,
}

/// What a URL says, by itself: no file is read for it.
fn read(url: &str) -> Result<(Config, Manner), ConnectError> {
    let (rest, asked) = tls::split(url)?;
    let mut settings = rest
        .parse::<Config>()
        .map_err(|error| ConnectError::Url(chain(&error)))?;
    if settings.get_hosts().is_empty() {
        for address in settings.get_hostaddrs().to_vec() {
            settings.host(address.to_string());
        }
    }
    let manner = manner(asked, settings.get_hosts())?;
    settings.ssl_mode(manner.mode.negotiated());
    Ok((settings, manner))
}

/// Sockets never speak TLS, whatever is asked for: nobody can listen there.
fn manner(asked: tls::Asked, hosts: &[Host]) -> Result<Manner, ConnectError> {
    let sockets = hosts.iter().filter(|host| matches!(host, Host::Unix(_))).count();
    if sockets > 0 && sockets == hosts.len() {
        return Ok(Manner::plain());
    }
    let manner = asked.manner()?;
    if sockets > 0 && manner.mode > Mode::Prefer {
        let mode: &str = manner.mode.into();
        return Err(ConnectError::Url(format!(
            "sslmode={mode} cannot hold for both hosts and Unix sockets: name only hosts, or only sockets"
        )));
    }
    Ok(manner)
}

/// The user whom a URL names.
///
/// # Errors
/// When the URL says what is not understood; files that it names are not looked at.
pub fn user_of(url: &str) -> Result<Option<String>, ConnectError> {
    let (settings, _) = read(url)?;
    Ok(settings.get_user().map(str::to_owned))
}

impl Target {
    /// Reads a URL, and the roots that it names.
    ///
    /// # Errors
    /// When either cannot be used.
    pub fn new(url: &str) -> Result<Target, ConnectError> {
        let (mut settings, manner) = read(url)?;
        limit(&mut settings);
        let tls = MakeRustlsConnect::new(manner.client()?);
        Ok(Target {
            settings,
            manner,
            tls,
        })
    }

    /// Opens a connection; whoever asks has to drive its other half.
    ///
    /// # Errors
    /// In words, for whoever runs the server.
    pub async fn connect(&self) -> Result<(Client, Line), ConnectError> {
        match timeout(CONNECTING, self.begin()).await {
            Ok(outcome) => outcome.map_err(|reason| self.failed(reason)),
            Err(_) => Err(self.failed("it took too long".to_owned())),
        }
    }

    async fn begin(&self) -> Result<(Client, Line), String> {
        let (client, mut line) = self.attempt().await?;
        let said = client.batch_execute(SPEAKING);
        let broken = poll_fn(|context| Pin::new(&mut line).poll(context));
        match select(pin!(said), broken).await {
            Either::Left((said, _)) => said.map_err(|error| self.reason(&error))?,
            Either::Right((Err(error), _)) => return Err(self.reason(&error)),
            Either::Right((Ok(()), _)) => return Err("the server closed the connection".to_owned()),
        }
        Ok((client, line))
    }

    /// Opens a connection that drives itself.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub async fn establish(&self) -> Result<AsyncPgConnection, ConnectError> {
        let (client, line) = self.connect().await?;
        let established = AsyncPgConnection::try_from_client_and_connection(client, line).await;
        established.map_err(|error| self.failed(error.to_string()))
    }

    async fn attempt(&self) -> Result<(Client, Line), String> {
        let first = match self.settings.connect(self.tls.clone()).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let why = self.reason(&first);
        if self.manner.mode != Mode::Prefer || !is_about_tls(&first) {
            return Err(why);
        }
        tracing::debug!(reason = %why, "no TLS with the database: going on without");
        let mut plain = self.settings.clone();
        plain.ssl_mode(Mode::Disable.negotiated());
        let second = plain.connect(self.tls.clone()).await;
        second.map_err(|error| match self.reason(&error) {
            same if same == why => why,
            other => format!("{other}; with TLS: {why}"),
        })
    }

    fn failed(&self, reason: String) -> ConnectError {
        ConnectError::Failed {
            place: place(&self.settings),
            mode: self.manner.mode.into(),
            reason,
        }
    }

    fn reason(&self, error: &tokio_postgres::Error) -> String {
        if let Some(said) = error.as_db_error() {
            return format!("{} ({})", said.message(), said.code().code());
        }
        match (certificate_error(error), &self.manner.roots) {
            (Some(CertificateError::UnknownIssuer | CertificateError::BadSignature), Some(roots)) => {
                format!("the server's certificate is signed by none of {roots}")
            }
            (Some(CertificateError::Other(other)), _) if other.to_string().contains("UnsupportedCertVersion") => {
                "the server's certificate is of X.509 version 1, which cannot be verified: it needs extensions, \
                 a subjectAltName for verify-full"
                    .to_owned()
            }
            (Some(fault), _) => format!("the server's certificate is refused: {fault}"),
            (None, _) => chain(error),
        }
    }
}

/// What every connection is held to, whatever its URL says: a peer that does not acknowledge is given up within ten seconds.
fn limit(settings: &mut Config) {
    let options = match settings.get_options() {
        Some(others) => format!("{others} {OPTIONS}"),
        None => OPTIONS.to_owned(),
    };
    settings
        .options(options)
        .connect_timeout(ANSWERING)
        .tcp_user_timeout(Duration::from_secs(10))
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    if settings.get_application_name().is_none() {
        settings.application_name("penstock");
    }
}

/// Hosts and ports; nothing of who connects.
fn place(settings: &Config) -> String {
    let ports = settings.get_ports();
    let each = |(at, host): (usize, &Host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        }
    };
    let hosts = settings.get_hosts().iter().enumerate().map(each);
    hosts.collect::<Vec<_>>().join(",")
}

/// Whether it may go better without TLS: the handshake failed, or the server lets only plain connections in.
fn is_about_tls(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        None => error.to_string().contains("TLS handshake"),
    }
}

/// What rustls has against the server's certificate, if that is the reason.
fn certificate_error(error: &tokio_postgres::Error) -> Option<&CertificateError> {
    let failure = error.source()?.downcast_ref::<io::Error>()?;
    match failure.get_ref()?.downcast_ref::<TlsError>()? {
        TlsError::InvalidCertificate(fault) => Some(fault),
        _ => None,
    }
}

/// An error with all that led to it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Target::new(url)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn sockets_never_speak_tls() {
        for url in [
            "postgres://%2Frun%2Fpg/d",
            "postgres:///d?host=/run/pg&sslmode=verify-full&sslrootcert=/nowhere",
        ] {
            let target = Target::new(url).unwrap();
            assert_eq!(target.manner, Manner::plain(), "{url}");
        }
        let both = "postgres://%2Frun%2Fpg,db/d";
        assert_eq!(Target::new(both).unwrap().manner.mode, Mode::Prefer);
        assert!(refused(&format!("{both}?sslmode=require")).contains("only sockets"));
    }

    #[test]
    fn our_limits_join_what_the_url_says() {
        let target =
            Target::new("postgres://h/d?application_name=mine&options=-c%20search_path%3Dx").unwrap();
        let options = target.settings.get_options().unwrap();
        assert!(
            options.starts_with("-c search_path=x -c statement_timeout=5s"),
            "{options}"
        );
        assert_eq!(target.settings.get_application_name(), Some("mine"));
        let plain = Target::new("postgres://u:a?b@h/d").unwrap();
        assert_eq!(plain.settings.get_dbname(), Some("d"));
        assert_eq!(plain.settings.get_application_name(), Some("penstock"));
    }

    #[test]
    fn what_a_url_says_wrong_is_named_without_its_secrets() {
        for (url, reason) in [
            ("postgres://u:hush@h/d?sslmode=on", "sslmode=on is none of"),
            ("postgres://u:hush@h/d?sslkey=/k", "unknown option `sslkey`"),
            ("postgres://u:hush@h:x/d", "invalid value for option `port`"),
            ("host=h password=hush sslmode=require", "postgres://"),
        ] {
            let refused = refused(url);
            assert!(refused.contains(reason), "{refused}");
            assert!(!refused.contains("hush"), "{refused}");
        }
    }

    #[test]
    fn an_address_alone_is_the_name_that_a_certificate_is_for() {
        let target = Target::new("postgres://?hostaddr=::1&port=5433").unwrap();
        assert_eq!(place(&target.settings), "[::1]:5433");
    }
}
