//! The one form of every list's answer, and the rows of a page as the database sends them.

use crate::kernel::error::{AppError, AppResult};
use crate::platform::reply::Reply;
use actix_web::HttpRequest;
use diesel::QueryableByName;
use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{Array, Text};

const BEFORE: &[u8] = b"{\"data\":";
/// Room for what follows the records: the cursor, the total.
const TAIL: usize = 1024;

/// One record of a page.
#[derive(QueryableByName)]
pub(super) struct PageRow {
    #[diesel(sql_type = Text)]
    doc: AsSent,
    #[diesel(sql_type = Array<Text>)]
    keys: AsSent,
}

/// A value in the bytes that Postgres sent. A page has hundreds of values, of which one is looked into: the place where the
/// next page begins.
struct AsSent(Vec<u8>);

impl<T> FromSql<T, Pg> for AsSent {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<AsSent> {
        Ok(AsSent(value.as_bytes().to_vec()))
    }
}

impl PageRow {
    /// Where the list stands with this record.
    pub(super) fn position(&self) -> AppResult<Vec<String>> {
        texts(&self.keys.0).ok_or_else(|| AppError::internal("a row without its place in the list"))
    }
}

/// The items of a flat array of texts, as Postgres sends it: how many dimensions, whether there are NULLs, the type of the
/// items, the length and the first index of the one dimension; then each item behind its length.
fn texts(sent: &[u8]) -> Option<Vec<String>> {
    let mut rest = sent;
    let [Some(1), _, _, Some(count), _] = [(); 5].map(|()| number(&mut rest)) else {
        return None;
    };
    let item = |_| {
        let length = usize::try_from(number(&mut rest)?).ok()?;
        let (item, after) = rest.split_at_checked(length)?;
        rest = after;
        String::from_utf8(item.to_vec()).ok()
    };
    (0..count).map(item).collect()
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*number))
}

/// The beginning of a list's answer: its records.
pub struct Records(Vec<u8>);

impl Records {
    /// What the database rendered goes out as it is: reading it again would cost as much as everything else together.
    pub(super) fn of_rows(rows: &[PageRow]) -> Records {
        let length = rows.iter().map(|row| row.doc.0.len() + 1).sum::<usize>();
        let mut body = Vec::with_capacity(BEFORE.len() + length + TAIL);
        body.extend_from_slice(BEFORE);
        body.push(b'[');
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&row.doc.0);
        }
        body.push(b']');
        Records(body)
    }

    /// # Errors
    /// When they cannot be written as JSON.
    pub(super) fn of(records: &impl serde::Serialize) -> AppResult<Records> {
        let mut body = BEFORE.to_vec();
        serde_json::to_writer(&mut body, records).map_err(AppError::internal)?;
        Ok(Records(body))
    }

    /// The JSON array alone.
    pub(super) fn array(&self) -> &[u8] {
        self.0.get(BEFORE.len()..).unwrap_or_default()
    }
}

/// The one form of every list's answer.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn page_reply<T: serde::Serialize>(
    request: &HttpRequest,
    data: Vec<T>,
    next: Option<String>,
    total: Option<i64>,
) -> AppResult<Reply> {
    page_of(request, Records::of(&data)?, next, total)
}

/// [`page_reply`] of records that are written already.
///
/// # Errors
/// When the cursor cannot be written as JSON.
pub fn page_of(
    request: &HttpRequest,
    records: Records,
    next: Option<String>,
    total: Option<i64>,
) -> AppResult<Reply> {
    let Records(mut body) = records;
    body.extend_from_slice(b",\"next_cursor\":");
    serde_json::to_writer(&mut body, &next).map_err(AppError::internal)?;
    if let Some(total) = total {
        body.extend_from_slice(format!(",\"total\":{total}").as_bytes());
    }
    body.push(b'}');
    let reply = Reply::raw(200, body);
    let Some(next) = next else { return Ok(reply) };
    let kept = request
        .query_string()
        .split('&')
        .filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let query = kept
        .map(str::to_owned)
        .chain([format!("cursor={next}")])
        .collect::<Vec<_>>()
        .join("&");
    Ok(reply.with_header("link", format!("<{}?{query}>; rel=\"next\"", request.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(head: [i32; 5], items: &[&str]) -> Vec<u8> {
        let mut bytes = head
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect::<Vec<_>>();
        for item in items {
            bytes.extend(i32::try_from(item.len()).unwrap().to_be_bytes());
            bytes.extend(item.as_bytes());
        }
        bytes
    }

    #[test]
    fn an_array_of_texts_is_read_as_postgres_sends_it() {
        let array = sent([1, 0, 25, 2, 1], &["22.50", "阶段"]);
        assert_eq!(texts(&array), Some(vec!["22.50".to_owned(), "阶段".to_owned()]));
        assert_eq!(texts(&array[..array.len() - 1]), None, "cut off");
        assert_eq!(texts(&sent([0, 0, 25, 0, 1], &[])), None, "no dimension");
        assert_eq!(texts(&[]), None);
    }
}
