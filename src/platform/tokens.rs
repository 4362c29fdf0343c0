//! The server's secret and what is made from it: access tokens (Ed25519 JWT), refresh tokens, API keys, sealed secrets,
//! tamper-evident cursors. One secret, several keys derived from it by purpose (HKDF).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long an access token is good for, in seconds.
pub const ACCESS_SECONDS: i64 = 600;
/// How long a refresh token is good for, in seconds.
pub const REFRESH_SECONDS: i64 = 30 * 24 * 3600;

const ISSUER: &str = "penstock";
const AUDIENCE: &str = "penstock-api";
/// Least entropy of a usable secret, as its length in bytes.
pub const LEAST_SECRET_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("is shorter than {LEAST_SECRET_BYTES} characters")]
    TooShort,
    #[error("is too regular: it has fewer than 12 different characters")]
    TooRegular,
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub sub: Uuid,
    pub tenant: Uuid,
    pub iat: i64,
    pub exp: i64,
    pub iss: String,
    pub aud: String,
    /// The refresh family, so that a sign-out ends the access tokens of its session too.
    pub sid: Uuid,
}

struct Signer {
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Vec<u8>,
}

/// Everything that is derived from one secret.
struct Keys {
    signer: Signer,
    cursor: [u8; 32],
    token: [u8; 32],
    seal: [u8; 32],
}

impl Keys {
    fn of(secret: &str) -> Result<Keys, SecretError> {
        check_secret(secret)?;
        Ok(Keys {
            signer: Signer::new(secret)?,
            cursor: derive(secret, "cursor")?,
            token: derive(secret, "token")?,
            seal: derive(secret, "seal")?,
        })
    }
}

/// Everything that is derived from the server's secret, and from the one before it while that is still good: the present
/// one makes, both are accepted.
pub struct Secrets {
    present: Keys,
    previous: Option<Keys>,
}

/// What was in a sealed secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    pub plain: Vec<u8>,
    /// Whether the previous secret sealed it, so that it is to be sealed anew before that one goes.
    pub is_by_previous: bool,
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &str, purpose: &str) -> Result<[u8; 32], SecretError> {
    let mut key = [0; 32];
    let unusable = |_| SecretError::Unusable("key derivation failed".to_owned());
    let prk = Salt::new(HKDF_SHA256, b"penstock").extract(secret.as_bytes());
    let info = [purpose.as_bytes()];
    prk.expand(&info, Bytes32)
        .map_err(unusable)?
        .fill(&mut key)
        .map_err(unusable)?;
    Ok(key)
}

/// Refuses secrets that could be guessed.
///
/// # Errors
/// What is wrong with it.
pub fn check_secret(secret: &str) -> Result<(), SecretError> {
    if secret.len() < LEAST_SECRET_BYTES {
        return Err(SecretError::TooShort);
    }
    let different = secret.chars().collect::<std::collections::HashSet<_>>().len();
    if different < 12 || is_counted_up(secret) {
        Err(SecretError::TooRegular)
    } else {
        Ok(())
    }
}

/// Whether most characters are the one before or its neighbour, as in the alphabet: of random ones a fifth are at most.
fn is_counted_up(secret: &str) -> bool {
    let codes = secret.chars().map(u32::from).collect::<Vec<_>>();
    let steps = codes.windows(2).filter(|pair| match pair {
        [one, next] => one.abs_diff(*next) <= 1,
        _ => false,
    });
    steps.count() * 2 > codes.len()
}

/// A fresh random secret in text form, 256 bits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_text() -> Result<String, SecretError> {
    Ok(URL_SAFE_NO_PAD.encode(random_key()?))
}

/// A fresh random key, 256 bits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_key() -> Result<[u8; 32], SecretError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| SecretError::Unusable("no randomness".to_owned()))?;
    Ok(bytes)
}

impl Signer {
    fn new(secret: &str) -> Result<Signer, SecretError> {
        let seed = derive(secret, "jwt-ed25519")?;
        let unusable = |error: &dyn std::fmt::Display| SecretError::Unusable(error.to_string());
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| unusable(&error))?;
        let public = pair.public_key().as_ref().to_vec();
        let document = pair.to_pkcs8v1().map_err(|error| unusable(&error))?;
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(&public)[..9]);
        let x = URL_SAFE_NO_PAD.encode(&public);
        let decoding = DecodingKey::from_ed_components(&x).map_err(|error| unusable(&error))?;
        Ok(Signer {
            kid,
            encoding: EncodingKey::from_ed_der(document.as_ref()),
            decoding,
            public,
        })
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(&self.public) })
    }
}

impl Secrets {
    /// # Errors
    /// When a secret is too weak or cannot be used.
    pub fn new(secret: &str, previous: Option<&str>) -> Result<Secrets, SecretError> {
        Ok(Secrets {
            present: Keys::of(secret)?,
            previous: previous.map(Keys::of).transpose()?,
        })
    }

    /// The keys that are good, the present ones first.
    fn good(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.present).chain(self.previous.as_ref())
    }

    /// Whether there is a secret before this one that still counts.
    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// The public keys, present and previous, as a JWK set.
    pub fn jwks(&self) -> Value {
        let keys = self.good().map(|keys| keys.signer.jwk()).collect::<Vec<_>>();
        json!({ "keys": keys })
    }

    /// # Errors
    /// When signing fails.
    pub fn access_token(
        &self,
        tenant: Uuid,
        user: Uuid,
        session: Uuid,
        now: DateTime<Utc>,
    ) -> Result<String, SecretError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.present.signer.kid.clone());
        let claims = Claims {
            sub: user,
            tenant,
            iat: now.timestamp(),
            exp: now.timestamp() + ACCESS_SECONDS,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sid: session,
        };
        jsonwebtoken::encode(&header, &claims, &self.present.signer.encoding)
            .map_err(|error| SecretError::Unusable(error.to_string()))
    }

    /// The claims of a token that one of our keys signed and that is in force; only EdDSA, only our issuer and audience.
    pub fn verify_access(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let signer = self
            .good()
            .map(|keys| &keys.signer)
            .find(|signer| header.kid.as_deref() == Some(&signer.kid))?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.leeway = 0;
        jsonwebtoken::decode::<Claims>(token, &signer.decoding, &rules)
            .ok()
            .map(|decoded| decoded.claims)
    }

    fn mac(&self, key: &[u8; 32], parts: &[&[u8]]) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }

    /// `psr_` + tenant, id and their MAC: nothing that stands in the database can be used as a token, and the same row
    /// gives the same token again (the retry within 10 s).
    pub fn refresh_token(&self, tenant: Uuid, id: Uuid) -> String {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(tenant.as_bytes());
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&self.mac(&self.present.token, &refresh_parts(&tenant, &id)));
        format!("psr_{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The tenant and row of a genuine refresh token.
    pub fn read_refresh_token(&self, token: &str) -> Option<(Uuid, Uuid)> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix("psr_")?).ok()?;
        let (tenant, id) = (
            Uuid::from_slice(bytes.get(..16)?).ok()?,
            Uuid::from_slice(bytes.get(16..32)?).ok()?,
        );
        let tag = bytes.get(32..)?;
        let is_ours = self
            .good()
            .any(|keys| is_equal(tag, &self.mac(&keys.token, &refresh_parts(&tenant, &id))));
        is_ours.then_some((tenant, id))
    }

    /// A new API key: the text shown once, its visible prefix, the hash kept.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new_api_key(&self, tenant: Uuid, id: Uuid) -> Result<(String, String, Vec<u8>), SecretError> {
        let mut secret = [0_u8; 32];
        rand::fill(&mut secret).map_err(|_| SecretError::Unusable("no randomness".to_owned()))?;
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(tenant.as_bytes());
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&secret);
        let text = format!("psk_{}", URL_SAFE_NO_PAD.encode(bytes));
        let prefix = text.chars().take(12).collect();
        let hash = self.api_key_hash(&secret);
        Ok((text, prefix, hash))
    }

    /// The tenant, row and secret's hash of an API key.
    pub fn read_api_key(&self, key: &str) -> Option<(Uuid, Uuid, Vec<u8>)> {
        let bytes = URL_SAFE_NO_PAD.decode(key.strip_prefix("psk_")?).ok()?;
        if bytes.len() != 64 {
            return None;
        }
        let (tenant, id) = (
            Uuid::from_slice(bytes.get(..16)?).ok()?,
            Uuid::from_slice(bytes.get(16..32)?).ok()?,
        );
        Some((tenant, id, self.api_key_hash(bytes.get(32..)?)))
    }

    fn api_key_hash(&self, secret: &[u8]) -> Vec<u8> {
        Sha256::digest(secret).to_vec()
    }

    /// Encrypts what must be read again (a webhook's secret), bound to its place.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, SecretError> {
        let failed = |_| SecretError::Unusable("sealing failed".to_owned());
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.present.seal).map_err(failed)?);
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(failed)?;
        let mut sealed = plain.to_vec();
        let place = Aad::from(place);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), place, &mut sealed)
            .map_err(failed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what `seal` made for the same place.
    pub fn unseal(&self, place: &[u8], sealed: &[u8]) -> Option<Unsealed> {
        self.good().enumerate().find_map(|(age, keys)| {
            Some(Unsealed {
                plain: unseal(&keys.seal, place, sealed)?,
                is_by_previous: age > 0,
            })
        })
    }

    /// Signs a cursor for one list: `binding` names tenant, caller, path, filters and sort.
    pub fn sign_cursor(&self, position: &Value, binding: &[&[u8]]) -> String {
        let text = position.to_string();
        let mut parts = vec![text.as_bytes()];
        parts.extend_from_slice(binding);
        let tag = self.mac(&self.present.cursor, &parts);
        URL_SAFE_NO_PAD.encode([&tag[..16], text.as_bytes()].concat())
    }

    /// The position in a cursor that we signed for the same list.
    pub fn read_cursor(&self, cursor: &str, binding: &[&[u8]]) -> Option<Value> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, text) = bytes.split_at_checked(16)?;
        let mut parts = vec![text];
        parts.extend_from_slice(binding);
        let is_ours = self
            .good()
            .any(|keys| is_equal(tag, &self.mac(&keys.cursor, &parts)[..16]));
        is_ours.then(|| serde_json::from_slice(text).ok())?
    }
}

fn refresh_parts<'a>(tenant: &'a Uuid, id: &'a Uuid) -> [&'a [u8]; 3] {
    [b"refresh", tenant.as_bytes(), id.as_bytes()]
}

/// Compares without telling by the time it takes where they differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

fn unseal(key: &[u8; 32], place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key.open_in_place(nonce, Aad::from(place), &mut sealed).ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "qwertzuiop-asdfghjkl-yxcvbnm-1234567890";

    const OTHER: &str = "another-secret-0987654321-mnbvcxy-lkjhgfdsa";

    fn secrets() -> Secrets {
        Secrets::new(SECRET, None).unwrap()
    }

    fn rotated() -> Secrets {
        Secrets::new(OTHER, Some(SECRET)).unwrap()
    }

    #[test]
    fn short_and_regular_secrets_are_refused() {
        assert!(check_secret("short").is_err());
        assert!(check_secret(&"ab".repeat(40)).is_err());
        assert!(check_secret(SECRET).is_ok());
    }

    #[test]
    fn an_access_token_is_good_until_it_expires() {
        let (tenant, user, session) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let now =
            DateTime::<Utc>::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000));
        let token = secrets().access_token(tenant, user, session, now).unwrap();
        assert_eq!(secrets().verify_access(&token).unwrap().sub, user);
        let stale = secrets()
            .access_token(tenant, user, session, DateTime::UNIX_EPOCH)
            .unwrap();
        assert!(secrets().verify_access(&stale).is_none());
    }

    #[test]
    fn after_a_rotation_tokens_of_the_previous_secret_still_verify() {
        let now =
            DateTime::<Utc>::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000));
        let token = secrets()
            .access_token(Uuid::nil(), Uuid::nil(), Uuid::nil(), now)
            .unwrap();
        assert!(rotated().verify_access(&token).is_some());
        assert!(Secrets::new(OTHER, None).unwrap().verify_access(&token).is_none());
    }

    #[test]
    fn after_a_rotation_everything_that_the_previous_secret_made_is_still_good() {
        let (place, tenant, id) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let (before, after) = (secrets(), rotated());
        let sealed = before.seal(place.as_bytes(), b"whsec_x").unwrap();
        let opened = after.unseal(place.as_bytes(), &sealed).unwrap();
        assert!(opened.is_by_previous);
        let anew = after.seal(place.as_bytes(), &opened.plain).unwrap();
        assert!(!after.unseal(place.as_bytes(), &anew).unwrap().is_by_previous);
        assert_eq!(before.unseal(place.as_bytes(), &anew), None);

        let token = before.refresh_token(tenant, id);
        assert_eq!(after.read_refresh_token(&token), Some((tenant, id)));
        assert_ne!(after.refresh_token(tenant, id), token);
        let cursor = before.sign_cursor(&json!(["1"]), &[b"leads"]);
        assert_eq!(after.read_cursor(&cursor, &[b"leads"]), Some(json!(["1"])));
        assert_eq!(after.read_cursor(&cursor, &[b"accounts"]), None);
    }

    #[test]
    fn a_previous_secret_that_could_be_guessed_is_refused_too() {
        assert!(Secrets::new(SECRET, Some("changeme")).is_err());
    }

    #[test]
    fn tokens_without_a_good_signature_are_refused() {
        for token in [
            "",
            "a.b.c",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
            "psr_",
            "psk_AAAA",
        ] {
            assert!(secrets().verify_access(token).is_none());
            assert!(secrets().read_refresh_token(token).is_none());
            assert!(secrets().read_api_key(token).is_none());
        }
    }

    #[test]
    fn a_refresh_token_names_its_row_and_cannot_be_altered() {
        let (tenant, id) = (Uuid::now_v7(), Uuid::now_v7());
        let token = secrets().refresh_token(tenant, id);
        assert_eq!(secrets().read_refresh_token(&token), Some((tenant, id)));
        let last = if token.ends_with('A') { "B" } else { "A" };
        let altered = format!("{}{last}", &token[..token.len() - 1]);
        assert_eq!(secrets().read_refresh_token(&altered), None);
    }

    #[test]
    fn a_sealed_secret_opens_only_in_its_place() {
        let place = Uuid::now_v7();
        let sealed = secrets().seal(place.as_bytes(), b"whsec_x").unwrap();
        let opened = secrets().unseal(place.as_bytes(), &sealed).unwrap();
        assert_eq!(
            (opened.plain.as_slice(), opened.is_by_previous),
            (&b"whsec_x"[..], false)
        );
        assert_eq!(secrets().unseal(Uuid::now_v7().as_bytes(), &sealed), None);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = secrets().sign_cursor(&json!(["1", "2"]), &[b"leads"]);
        assert_eq!(
            secrets().read_cursor(&cursor, &[b"leads"]),
            Some(json!(["1", "2"]))
        );
        assert_eq!(secrets().read_cursor(&cursor, &[b"accounts"]), None);
    }
}
