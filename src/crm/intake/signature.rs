//! Signatures by the Standard Webhooks specification, over the bytes as they came.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far a delivery's timestamp may be from now, in seconds.
const TOLERANCE: i64 = 300;
/// Most signatures that one delivery may carry: senders add a second one while they rotate.
const MOST_SIGNATURES: usize = 10;
/// What a secret begins with.
pub const PREFIX: &str = "whsec_";

/// The three headers of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    /// `v1,…`, several separated by spaces.
    pub signatures: &'a str,
}

/// The key in a secret's text, `whsec_` and base64.
pub fn key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()
}

/// The text of a secret.
pub fn secret(key: &[u8]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(key))
}

/// Whether one of the signatures was made with this key over these bytes, not more than five minutes before or after `now`
/// (seconds since 1970).
pub fn is_genuine(key: &[u8], signed: Signed<'_>, body: &[u8], now: i64) -> bool {
    let is_timely = signed
        .timestamp
        .parse::<i64>()
        .is_ok_and(|at| at.abs_diff(now) <= TOLERANCE.unsigned_abs());
    if !is_timely || signed.signatures.split(' ').count() > MOST_SIGNATURES {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return false;
    };
    for part in [
        signed.id.as_bytes(),
        b".",
        signed.timestamp.as_bytes(),
        b".",
        body,
    ] {
        mac.update(part);
    }
    let expected = mac.finalize().into_bytes();
    signed
        .signatures
        .split(' ')
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .any(|given| verify_slices_are_equal(&given, &expected).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const AT: i64 = 1_649_367_553;
    /// The vector that the specification's own libraries test with.
    const GOOD: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn genuine(signatures: &str, timestamp: &str, body: &[u8], now: i64) -> bool {
        let signed = Signed {
            id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            timestamp,
            signatures,
        };
        is_genuine(&key(SECRET).unwrap(), signed, body, now)
    }

    /// Made with the libraries that the specification publishes, for Python and for JavaScript.
    #[rstest]
    #[case("msg_python", "v1,3cC6BTN14I83neaQLXCi83OHyQUliVNxVuW/Cu0MrOY=")]
    #[case("msg_javascript", "v1,2TlA3zL7Bg3pLLoajic1Hxqmf46e4GN40a+7YZEfXEs=")]
    fn what_the_public_libraries_sign_is_good(#[case] id: &str, #[case] signatures: &str) {
        let signed = Signed {
            id,
            timestamp: "1709625600",
            signatures,
        };
        let body = r#"{"name":"王芳","company":"制造有限公司"}"#.as_bytes();
        assert!(is_genuine(&key(SECRET).unwrap(), signed, body, 1_709_625_600));
    }

    #[rstest]
    #[case(0, true)]
    #[case(300, true)]
    #[case(-300, true)]
    #[case(301, false)]
    #[case(-301, false)]
    fn a_delivery_is_good_for_five_minutes_either_way(#[case] late: i64, #[case] expected: bool) {
        assert_eq!(genuine(GOOD, "1649367553", BODY, AT + late), expected);
    }

    #[test]
    fn one_good_signature_among_ten_is_enough_and_an_eleventh_is_too_many() {
        let list = |bad: usize| format!("{}{GOOD}", "v1,AAAA ".repeat(bad));
        assert!(genuine(&list(9), "1649367553", BODY, AT));
        assert!(!genuine(&list(10), "1649367553", BODY, AT));
    }

    #[rstest]
    #[case("")]
    #[case("v1,")]
    #[case("v2,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=")]
    #[case("tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=")]
    #[case("v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kk")]
    fn other_signatures_are_not_taken(#[case] signatures: &str) {
        assert!(!genuine(signatures, "1649367553", BODY, AT));
    }

    #[test]
    fn other_bytes_or_another_time_do_not_match_the_signature() {
        assert!(!genuine(GOOD, "1649367553", b"{}", AT));
        assert!(!genuine(GOOD, "1649367554", BODY, AT));
        assert!(!genuine(GOOD, "soon", BODY, AT));
        assert!(!genuine(GOOD, "-9223372036854775808", BODY, AT));
    }

    #[test]
    fn a_secret_is_its_key_in_text() {
        assert_eq!(secret(&key(SECRET).unwrap()), SECRET);
        assert_eq!(key("C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), None);
    }
}
