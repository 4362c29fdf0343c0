//! A delivery as it is kept: as text that a person can read and correct, and as bytes where the text is not just these.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// What arrived.
pub(super) struct Raw<'a> {
    /// As text that the database can keep. What is no UTF-8 is read in the encoding that it seems to be in where that makes
    /// JSON of it; else what is none, and NUL, become replacement characters.
    pub text: String,
    /// The bytes, where the text is not just these.
    pub bytes: Option<&'a [u8]>,
}

impl Raw<'_> {
    pub fn of(body: &[u8]) -> Raw<'_> {
        let text = readable(body).replace('\0', "\u{fffd}");
        Raw {
            bytes: (text.as_bytes() != body).then_some(body),
            text,
        }
    }
}

fn readable(body: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(body) {
        return text.into();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(body, true);
    let seems = detector.guess(None, Utf8Detection::Deny);
    let read = seems.decode_without_bom_handling_and_without_replacement(body);
    read.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
        .unwrap_or_else(|| String::from_utf8_lossy(body))
}

#[cfg(test)]
mod tests {
    use super::Raw;

    #[test]
    fn what_is_utf8_is_kept_once() {
        let raw = Raw::of("{\"name\":\"王芳\"}".as_bytes());
        assert_eq!((raw.text.as_str(), raw.bytes), ("{\"name\":\"王芳\"}", None));
    }

    #[test]
    fn what_is_written_in_another_encoding_can_be_read_and_its_bytes_stay() {
        let sent = "{\"name\":\"王芳\",\"company\":\"江南纺织有限公司\",\"need\":\"希望统一管理客户资料\"}";
        let (bytes, ..) = encoding_rs::GBK.encode(sent);
        let raw = Raw::of(&bytes);
        assert_eq!((raw.text.as_str(), raw.bytes), (sent, Some(&*bytes)));
    }

    #[test]
    fn what_cannot_be_kept_as_text_is_kept_as_bytes() {
        for body in [&b"{\"name\":\"a\0b\"}"[..], &[0xff, 0xfe, b'x']] {
            let raw = Raw::of(body);
            assert_eq!(raw.bytes, Some(body));
            assert!(!raw.text.contains('\0'));
        }
    }
}
