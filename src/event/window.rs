//! The window of a list that no declaration describes: its size, and a cursor of its own.

use crate::kernel::ctx::Ctx;
use crate::kernel::error::AppResult;
use crate::kernel::fault::Fault;
use crate::kernel::text::say;
use crate::platform::records::query::{DEFAULT_LIMIT, MOST_LIMIT, bad_parameters, pairs};
use crate::platform::tokens::Secrets;
use actix_web::HttpRequest;
use serde_json::json;
use std::str::FromStr;
use utoipa::IntoParams;

/// The parameters of a list that is only paged.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "the document's description of what `Window::read` reads by hand"
)]
pub struct WindowParameters {
    /// Size of the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Where the page before ended; opaque, good only for the same list.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// The page asked for of a list that is only paged.
pub struct Window<P> {
    pub limit: i64,
    /// Where the page before ended.
    pub after: Option<P>,
}

impl<P: FromStr> Window<P> {
    /// # Errors
    /// `bad_parameter` with every fault.
    pub fn read(request: &HttpRequest, cursors: &Cursors) -> AppResult<Window<P>> {
        let mut faults = Vec::new();
        let (mut limit, mut cursor) = (DEFAULT_LIMIT, None);
        for (name, value) in pairs(request.query_string(), &mut faults) {
            match name.as_str() {
                "limit" => limit = read_limit(&value, &mut faults),
                "cursor" => cursor = Some(value),
                _ => faults.push(unknown_parameter(&name, "limit, cursor")),
            }
        }
        if !faults.is_empty() {
            return Err(bad_parameters(faults));
        }
        let after = cursor.map(|cursor| cursors.open(&cursor)).transpose()?;
        Ok(Window { limit, after })
    }

    /// Cuts rows, of which one more than the page holds was asked for, to the page, and says where the next begins.
    pub fn cut<T>(
        &self,
        rows: &mut Vec<T>,
        cursors: &Cursors,
        position: impl Fn(&T) -> String,
    ) -> Option<String> {
        let size = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| has_more)?;
        Some(cursors.sign(&position(last)))
    }
}

/// Reads the size of a page, or notes what is wrong with it.
pub fn read_limit(value: &str, faults: &mut Vec<Fault>) -> i64 {
    let limit = value
        .parse()
        .ok()
        .filter(|limit| (1..=MOST_LIMIT).contains(limit));
    if limit.is_none() {
        faults.push(Fault::out_of_range(
            "?limit",
            "must be a number from 1 to 200",
            "必须是 1 到 200 的整数",
        ));
    }
    limit.unwrap_or(DEFAULT_LIMIT)
}

/// The fault of a parameter that the list does not take.
pub fn unknown_parameter(name: &str, known: &str) -> Fault {
    Fault::new(
        format!("?{name}"),
        "unknown_parameter",
        say(
            format!("is not known here; known are {known}"),
            format!("未知参数;可用参数:{known}"),
        ),
    )
}

/// The tamper-evident cursors of one list: bound to company, caller, path and filters.
pub struct Cursors<'a> {
    pub secrets: &'a Secrets,
    pub ctx: &'a Ctx,
    pub path: &'a str,
    pub filters: &'a str,
}

impl<'a> Cursors<'a> {
    /// The cursors of a list without filters.
    pub fn of(request: &'a HttpRequest, secrets: &'a Secrets, ctx: &'a Ctx) -> Cursors<'a> {
        Cursors {
            secrets,
            ctx,
            path: request.path(),
            filters: "",
        }
    }

    fn binding(&self) -> [&[u8]; 4] {
        [
            self.ctx.tenant.as_bytes(),
            self.ctx.user.as_bytes(),
            self.path.as_bytes(),
            self.filters.as_bytes(),
        ]
    }

    /// A cursor that names this position.
    pub fn sign(&self, position: &str) -> String {
        self.secrets.sign_cursor(&json!(position), &self.binding())
    }

    /// # Errors
    /// `bad_parameter` when it was altered or belongs to another list.
    pub fn open<T: FromStr>(&self, cursor: &str) -> AppResult<T> {
        let position = self.secrets.read_cursor(cursor, &self.binding());
        let position = position
            .as_ref()
            .and_then(|position| position.as_str()?.parse().ok());
        position.ok_or_else(|| {
            bad_parameters(vec![Fault::invalid(
                "?cursor",
                "was altered, or belongs to another list, filter or sort",
                "已被改动,或属于其他列表、筛选或排序",
            )])
        })
    }
}
