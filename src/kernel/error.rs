//! What a service may answer instead of a result.

use super::fault::Fault;
use super::problem::{Code, MEMBERS};
use super::text::{Say, say};
use serde_json::{Map, Value};

pub type AppResult<T> = Result<T, AppError>;

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The caller can do something about it; `code` is stable.
    #[error("{}", .0.code.as_str())]
    Refused(Box<Refusal>),
    /// A bug or an outage: logged with its source, never shown to the caller.
    #[error("internal error: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A refusal with everything its problem document shows.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: Code,
    pub detail: Say,
    pub faults: Vec<Fault>,
    /// Further members of the problem document, e.g. `gate`.
    pub more: Map<String, Value>,
    pub retry_after_seconds: Option<u64>,
}

impl AppError {
    pub fn refuse(code: Code, detail: Say) -> AppError {
        AppError::Refused(Box::new(Refusal {
            code,
            detail,
            faults: Vec::new(),
            more: Map::new(),
            retry_after_seconds: None,
        }))
    }

    /// 422 with all faults.
    pub fn invalid(faults: Vec<Fault>) -> AppError {
        let count = faults.len();
        AppError::refuse(
            Code::Invalid,
            say(
                format!("{count} fault(s) in the body; nothing was changed"),
                format!("请求内容有 {count} 处错误，未作任何更改"),
            ),
        )
        .with_faults(faults)
    }

    /// What two checks say together: the faults of both, or else the refusal of the first that refuses by another reason.
    ///
    /// # Errors
    /// As said.
    pub fn of_both(one: AppResult<()>, other: AppResult<()>) -> AppResult<()> {
        match (one, other) {
            (Err(AppError::Refused(one)), Err(AppError::Refused(other)))
                if (one.code, other.code) == (Code::Invalid, Code::Invalid) =>
            {
                Err(AppError::invalid([one.faults, other.faults].concat()))
            }
            (one, other) => one.and(other),
        }
    }

    pub fn not_found() -> AppError {
        AppError::refuse(
            Code::NotFound,
            say(
                "There is nothing here that you can see",
                "此处没有您可以查看的内容",
            ),
        )
    }

    pub fn forbidden(permission: &str) -> AppError {
        AppError::refuse(
            Code::Forbidden,
            say(
                format!("This needs the permission {permission} over this record"),
                format!("此操作需要对该记录的权限 {permission}"),
            ),
        )
    }

    pub fn stale() -> AppError {
        AppError::refuse(
            Code::Stale,
            say(
                "It changed since the version in If-Match",
                "自 If-Match 所示版本以来数据已更改",
            ),
        )
    }

    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AppError {
        AppError::Internal(source.into())
    }

    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> AppError {
        if let AppError::Refused(refusal) = &mut self {
            refusal.faults = faults;
        }
        self
    }

    /// Says something besides, in a member of its own: one of [`MEMBERS`].
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> AppError {
        debug_assert!(
            MEMBERS.iter().any(|known| known.name == member),
            "{member} is not declared"
        );
        if let AppError::Refused(refusal) = &mut self {
            refusal.more.insert(member.to_owned(), value);
        }
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> AppError {
        if let AppError::Refused(refusal) = &mut self {
            refusal.retry_after_seconds = Some(seconds);
        }
        self
    }

    pub fn code(&self) -> Code {
        match self {
            AppError::Refused(refusal) => refusal.code,
            AppError::Internal(_) => Code::Internal,
        }
    }
}

/// `Option` to 404.
pub trait OrNotFound<T> {
    fn or_not_found(self) -> AppResult<T>;
}

impl<T> OrNotFound<T> for Option<T> {
    fn or_not_found(self) -> AppResult<T> {
        self.ok_or_else(AppError::not_found)
    }
}

/// The outcome of checks that do not rest on each other: the faults of all of them at once. Whatever is no fault of what was
/// sent goes before.
///
/// # Errors
/// As said.
pub fn all_of(checks: impl IntoIterator<Item = AppResult<()>>) -> AppResult<()> {
    let mut faults = Vec::new();
    for check in checks {
        match check {
            Err(AppError::Refused(refusal)) if refusal.code == Code::Invalid => faults.extend(refusal.faults),
            outcome => outcome?,
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AppError::invalid(faults))
    }
}
