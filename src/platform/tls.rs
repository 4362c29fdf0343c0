//! TLS to Postgres as libpq's users know it: what `sslmode` and `sslrootcert` in a database's URL ask for, and whose
//! certificates are believed for it. tokio-postgres itself reads three of the modes and knows no roots.

use super::connect::ConnectError;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use strum::{EnumString, IntoStaticStr, VariantNames};
use tokio_postgres::config::SslMode;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode, Encode};

/// How much protection a connection has to have; each mode more than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Mode {
    /// Never TLS.
    Disable,
    /// TLS where the server offers it and it comes about, plain otherwise.
    Prefer,
    /// TLS with whoever answers; with a root, as `VerifyCa`.
    Require,
    /// TLS with a server whose certificate comes from one of the roots.
    VerifyCa,
    /// TLS with a server whose certificate comes from one of the roots and is made out to the host's name.
    VerifyFull,
}

impl Mode {
    /// The same as far as tokio-postgres knows it; the rest is in the verifier.
    pub(super) fn negotiated(self) -> SslMode {
        match self {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }
}

/// Whose signature makes a certificate good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The machine's own roots: `sslrootcert=system`.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Roots::System => f.write_str("the roots of this machine"),
            Roots::File(path) => write!(f, "the roots in {}", path.display()),
        }
    }
}

/// What a URL says about TLS, each part only if it is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    mode: Option<Mode>,
    roots: Option<Roots>,
}

/// What a connection goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub mode: Mode,
    pub roots: Option<Roots>,
}

/// Cuts a URL before its parameters, where tokio-postgres does: credentials may contain a question mark.
fn cut(url: &str) -> (&str, Option<&str>) {
    let credentials = url.find('@').unwrap_or(0);
    match url[credentials..].find('?') {
        Some(at) => (&url[..credentials + at], Some(&url[credentials + at + 1..])),
        None => (url, None),
    }
}

/// Takes what is about TLS out of a URL; what is left is for tokio-postgres to read.
///
/// # Errors
/// When it says what we do not know.
pub(super) fn split(url: &str) -> Result<(String, Asked), ConnectError> {
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(ConnectError::Url(
            "it does not begin with postgres:// or postgresql://".to_owned(),
        ));
    }
    let (address, parameters) = cut(url);
    let mut asked = Asked::default();
    let mut others = Vec::new();
    for parameter in parameters.into_iter().flat_map(|all| all.split('&')) {
        if !asked.take(parameter)? {
            others.push(parameter);
        }
    }
    let others = others.join("&");
    let joint = if others.is_empty() { "" } else { "?" };
    Ok((format!("{address}{joint}{others}"), asked))
}

/// The URL with these roots, unless it names some itself.
pub fn with_roots(url: &str, roots: &str) -> String {
    let (_, parameters) = cut(url);
    let has_some = |all: &str| all.split('&').any(|one| one.starts_with("sslrootcert="));
    if parameters.is_some_and(has_some) {
        return url.to_owned();
    }
    let joint = if parameters.is_some() { '&' } else { '?' };
    let roots = utf8_percent_encode(roots, NON_ALPHANUMERIC);
    format!("{url}{joint}sslrootcert={roots}")
}

impl Asked {
    /// Takes a parameter that is about TLS; answers false to others.
    fn take(&mut self, parameter: &str) -> Result<bool, ConnectError> {
        let Some((key, value)) = parameter.split_once('=') else {
            return Ok(false);
        };
        let key = percent_decode_str(key).decode_utf8_lossy();
        let value = percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| ConnectError::Url(format!("{key} is not UTF-8")));
        match &*key {
            "sslmode" => self.mode = Some(mode(&value?)?),
            "sslrootcert" => self.roots = roots(&value?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What follows for a server that is reached by network. Roots without a mode are there to be used: as libpq does with
    /// those of the system, the certificate is then verified in full.
    ///
    /// # Errors
    /// When mode and roots do not go together.
    pub(super) fn manner(self) -> Result<Manner, ConnectError> {
        let by_default = if self.roots.is_some() {
            Mode::VerifyFull
        } else {
            Mode::Prefer
        };
        let mode = self.mode.unwrap_or(by_default);
        if mode == Mode::Disable {
            return Ok(Manner { mode, roots: None });
        }
        if self.roots == Some(Roots::System) && mode < Mode::VerifyFull {
            let mode: &str = mode.into();
            return Err(ConnectError::Url(format!(
                "sslmode={mode} is too weak for sslrootcert=system, since anybody can have a certificate from one of \
                 those: use verify-full"
            )));
        }
        let needed = (mode >= Mode::VerifyCa).then_some(Roots::System);
        Ok(Manner {
            mode,
            roots: self.roots.or(needed),
        })
    }
}

impl Manner {
    /// Plain, as with a Unix socket.
    pub(super) fn plain() -> Manner {
        Manner {
            mode: Mode::Disable,
            roots: None,
        }
    }

    /// The client's side of the handshake.
    ///
    /// # Errors
    /// When the roots cannot be read.
    pub(super) fn client(&self) -> Result<ClientConfig, ConnectError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier {
            given: self.roots.as_ref().map(certificates).transpose()?,
            checks_name: self.mode == Mode::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConnectError::Url(error.to_string()))?;
        let mut client = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        client.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(client)
    }
}

fn mode(text: &str) -> Result<Mode, ConnectError> {
    text.parse().map_err(|_| {
        let known = Mode::VARIANTS.join(", ");
        ConnectError::Url(format!("sslmode={text} is none of {known}"))
    })
}

fn roots(text: &str) -> Option<Roots> {
    match text {
        "" => None,
        "system" => Some(Roots::System),
        path => Some(Roots::File(PathBuf::from(path))),
    }
}

/// Roots, and the same certificates as they were given.
#[derive(Debug, Clone)]
struct Given {
    store: Arc<RootCertStore>,
    as_given: Arc<[CertificateDer<'static>]>,
}

fn certificates(roots: &Roots) -> Result<Given, ConnectError> {
    match roots {
        Roots::System => SYSTEM.clone().map_err(ConnectError::Url),
        Roots::File(path) => from_file(path).map_err(|reason| {
            let path = path.display();
            ConnectError::Url(format!("sslrootcert={path} cannot be used: {reason}"))
        }),
    }
}

/// The machine's roots, read once: they are many.
static SYSTEM: LazyLock<Result<Given, String>> = LazyLock::new(|| {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("this machine has no root certificates: name a file with sslrootcert".to_owned());
    }
    Ok(Given {
        store: Arc::new(store),
        as_given: Arc::default(),
    })
});

fn from_file(path: &PathBuf) -> Result<Given, String> {
    let read = std::fs::read(path).map_err(|error| error.to_string())?;
    let certificates = CertificateDer::pem_slice_iter(&read).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it holds no certificate in PEM".to_owned());
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let added = store.add(certificate.clone());
        added.map_err(|error| error.to_string())?;
    }
    Ok(Given {
        store: Arc::new(store),
        as_given: certificates.into(),
    })
}

/// Believes any certificate, or only those that come from the given roots, or of those only one for the host's name. That
/// the server has the certificate's key is verified in any case: channel binding rests on it.
#[derive(Debug)]
struct Verifier {
    given: Option<Given>,
    checks_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(given) = &self.given else {
            return Ok(ServerCertVerified::assertion());
        };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if given.as_given.contains(end_entity) {
            // Signed by itself, and handed to us as the one to believe: no chain leads anywhere.
            within_its_time(end_entity, now)?;
        } else {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &given.store,
                intermediates,
                now,
                algorithms,
            )?;
        }
        if self.checks_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, cert, dss, algorithms) {
            // Where nothing of the certificate counts but its key, one of version 1 is as good as another.
            Err(_) if self.given.is_none() => {
                verify_tls13_signature_with_raw_key(message, &key_of(cert)?, dss, algorithms)
            }
            outcome => outcome,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn unreadable(error: der::Error) -> CertificateError {
    CertificateError::Other(OtherError(Arc::new(error)))
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let read = Certificate::from_der(certificate).map_err(unreadable)?;
    let key = read.tbs_certificate.subject_public_key_info.to_der();
    Ok(SubjectPublicKeyInfoDer::from(key.map_err(unreadable)?))
}

fn within_its_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = Certificate::from_der(certificate).map_err(unreadable)?;
    let validity = read.tbs_certificate.validity;
    let (from, until) = (
        UnixTime::since_unix_epoch(validity.not_before.to_unix_duration()),
        UnixTime::since_unix_epoch(validity.not_after.to_unix_duration()),
    );
    if now < from {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before: from,
        }
        .into());
    }
    if now > until {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after: until,
        }
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn asked(url: &str) -> (String, Asked) {
        split(url).unwrap()
    }

    fn manner(parameters: &str) -> Result<Manner, String> {
        let (_, asked) = split(&format!("postgres://h/d?{parameters}")).map_err(|error| error.to_string())?;
        asked.manner().map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_about_tls_is_taken_out_and_the_rest_left_as_it_is() {
        let url = "postgres://u:p@h/d?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fa%20b.pem&options=-c%20x";
        let (rest, asked) = asked(url);
        assert_eq!(rest, "postgres://u:p@h/d?connect_timeout=3&options=-c%20x");
        assert_eq!(asked.mode, Some(Mode::VerifyFull));
        assert_eq!(asked.roots, Some(Roots::File(PathBuf::from("/a b.pem"))));
    }

    #[test]
    fn a_question_mark_in_a_password_begins_no_parameters() {
        let url = "postgres://u:p?sslmode=x@h/d";
        assert_eq!(asked(url), (url.to_owned(), Asked::default()));
        assert_eq!(
            with_roots(url, "/r.pem"),
            "postgres://u:p?sslmode=x@h/d?sslrootcert=%2Fr%2Epem"
        );
        assert_eq!(
            asked("postgres://u:p?@h/d?sslmode=disable").0,
            "postgres://u:p?@h/d"
        );
    }

    #[test]
    fn a_url_keeps_the_roots_that_it_names() {
        let named = "postgres://h/d?sslrootcert=/mine.pem";
        assert_eq!(with_roots(named, "/other.pem"), named);
        let (_, asked) = asked(&with_roots("postgres://h/d?sslmode=require", "/über all.pem"));
        assert_eq!(asked.mode, Some(Mode::Require));
        assert_eq!(asked.roots, Some(Roots::File(PathBuf::from("/über all.pem"))));
    }

    #[rstest]
    #[case("", Mode::Prefer, None)]
    #[case("sslmode=disable&sslrootcert=/r", Mode::Disable, None)]
    #[case("sslmode=prefer", Mode::Prefer, None)]
    #[case("sslmode=require", Mode::Require, None)]
    #[case("sslmode=require&sslrootcert=/r", Mode::Require, Some("/r"))]
    #[case("sslmode=verify-ca&sslrootcert=/r", Mode::VerifyCa, Some("/r"))]
    #[case("sslmode=verify-ca", Mode::VerifyCa, Some("system"))]
    #[case("sslmode=verify-full", Mode::VerifyFull, Some("system"))]
    #[case("sslrootcert=/r", Mode::VerifyFull, Some("/r"))]
    #[case("sslrootcert=system", Mode::VerifyFull, Some("system"))]
    #[case("sslrootcert=", Mode::Prefer, None)]
    fn mode_and_roots_follow_from_what_is_said(
        #[case] parameters: &str,
        #[case] mode: Mode,
        #[case] expected: Option<&str>,
    ) {
        let roots = expected.and_then(roots);
        assert_eq!(manner(parameters), Ok(Manner { mode, roots }), "{parameters}");
    }

    #[rstest]
    #[case(
        "sslmode=verify_full",
        "sslmode=verify_full is none of disable, prefer, require, verify-ca, verify-full"
    )]
    #[case("sslmode=Require", "sslmode=Require is none of")]
    #[case("sslmode=allow", "sslmode=allow is none of")]
    #[case("sslmode=", "sslmode= is none of")]
    #[case("sslmode=%ff", "sslmode is not UTF-8")]
    #[case("sslmode=require&sslrootcert=system", "use verify-full")]
    fn what_cannot_be_meant_is_refused_by_its_name(#[case] parameters: &str, #[case] reason: &str) {
        let refused = manner(parameters).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }

    #[test]
    fn roots_that_cannot_be_read_are_refused_by_their_path() {
        let refusal = |path: PathBuf| {
            let manner = Manner {
                mode: Mode::VerifyFull,
                roots: Some(Roots::File(path)),
            };
            manner.client().unwrap_err().to_string()
        };
        let missing = refusal(PathBuf::from("/nowhere/root.pem"));
        assert!(
            missing.contains("sslrootcert=/nowhere/root.pem") && missing.contains("No such file"),
            "{missing}"
        );
        let here = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let no_certificate = refusal(here);
        assert!(no_certificate.contains("no certificate"), "{no_certificate}");
    }
}
