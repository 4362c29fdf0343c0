//! One fault of an input: where it is, a stable code, and a sentence in both languages.

use super::text::{Lang, Say, say};
use serde_json::{Value, json};

/// A fault in what a caller sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    pub code: &'static str,
    pub message: Say,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, code: &'static str, message: Say) -> Fault {
        Fault {
            pointer: pointer.into(),
            code,
            message,
        }
    }

    pub fn required(pointer: impl Into<String>) -> Fault {
        Fault::new(pointer, "required", say("is required", "为必填项"))
    }

    pub fn unknown_field(pointer: impl Into<String>) -> Fault {
        Fault::new(
            pointer,
            "unknown_field",
            say("is not a member of this request", "不是此请求的成员"),
        )
    }

    pub fn not_found(pointer: impl Into<String>) -> Fault {
        Fault::new(
            pointer,
            "not_found",
            say("does not exist, or is not visible to you", "不存在，或您无权查看"),
        )
    }

    pub fn duplicate(pointer: impl Into<String>) -> Fault {
        Fault::new(pointer, "duplicate", say("is taken already", "已被占用"))
    }

    pub fn out_of_range(pointer: impl Into<String>, en: &str, zh: &str) -> Fault {
        Fault::new(pointer, "out_of_range", say(en, zh))
    }

    pub fn invalid(pointer: impl Into<String>, en: impl Into<String>, zh: impl Into<String>) -> Fault {
        Fault::new(pointer, "invalid", say(en, zh))
    }

    pub fn to_json(&self, lang: Lang) -> Value {
        json!({ "pointer": self.pointer, "code": self.code, "message": self.message.in_lang(lang) })
    }
}

/// A reservation about a write that succeeded all the same; has the form of a fault.
pub type Warning = Fault;
