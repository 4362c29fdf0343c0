//! A job and its errors as answers show them.

use super::rows::{ErrorRow, JobRow};
use crate::kernel::text::Lang;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl JobState {
    pub(super) fn read(text: &str) -> JobState {
        match text {
            "queued" => JobState::Queued,
            "running" => JobState::Running,
            "done" => JobState::Done,
            "cancelled" => JobState::Cancelled,
            _ => JobState::Failed,
        }
    }

    pub fn has_ended(self) -> bool {
        !matches!(self, JobState::Queued | JobState::Running)
    }
}

/// Why a job failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobFailure {
    /// A problem code.
    #[schema(example = "forbidden")]
    pub code: String,
    #[schema(example = "This needs the permission lead.write over this record")]
    pub detail: String,
}

/// Long work: where it stands and what came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub id: Uuid,
    /// What work it is.
    #[schema(example = "lead.import")]
    pub kind: String,
    pub state: JobState,
    /// In whose name it works; null where the system asked for it.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2c")]
    pub asked_by: Option<Uuid>,
    /// Rows dealt with so far, refused ones too.
    #[schema(minimum = 0, example = 1200)]
    pub done: i64,
    /// How many there are in all; null while that is not known.
    #[schema(minimum = 0, example = 8800)]
    pub total: Option<i64>,
    /// Rows a second since it began; null before its first chunk.
    #[schema(minimum = 0, example = 940.5)]
    pub rate: Option<f64>,
    /// How many errors its rows had, warnings of rows that were taken too; `errors` among the links lists them, each with its
    /// `severity`.
    #[schema(minimum = 0, example = 3)]
    pub error_count: i64,
    /// Whether it is to stop after the chunk that it is at.
    #[schema(example = false)]
    pub is_cancel_asked: bool,
    /// What came of it, by its kind; null until it ends. Of a cancelled or failed one: what it had done by then, where its kind
    /// counts that.
    #[schema(value_type = Option<Object>, example = json!({ "created": 1200 }))]
    pub result: Option<Value>,
    /// Why it failed; null unless it did.
    #[schema(example = json!(null))]
    pub failure: Option<JobFailure>,
    /// Where to go from here: `self`, `errors`, `events`, and what its kind adds when it ends.
    #[schema(value_type = Object, example = json!({ "self": "/v1/jobs/0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a" }))]
    pub links: Map<String, Value>,
    /// By real time, as all of a job's times.
    #[schema(example = "2024-03-15T08:30:00Z")]
    pub asked_at: DateTime<Utc>,
    #[schema(example = "2024-03-15T08:30:01Z")]
    pub started_at: Option<DateTime<Utc>>,
    #[schema(example = json!(null))]
    pub ended_at: Option<DateTime<Utc>>,
    /// Counts its changes.
    #[schema(minimum = 1, example = 4)]
    pub version: i32,
}

/// A page of jobs.
#[derive(Serialize, ToSchema)]
pub struct JobPage {
    pub data: Vec<JobView>,
    /// Where the next page begins; null on the last.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

/// Whether something was refused, or taken and is to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobErrorSeverity {
    Error,
    Warning,
}

/// Something that a job could not do, or did with a reservation.
#[derive(Serialize, ToSchema)]
pub struct JobErrorView {
    /// Its place among the job's errors, from 1.
    #[schema(minimum = 1, example = 1)]
    pub ordinal: i64,
    /// `warning` where the row was taken all the same.
    pub severity: JobErrorSeverity,
    /// The row of the file, as a spreadsheet counts: the headings are row 1. Null where there is no file.
    #[schema(minimum = 1, example = 17)]
    pub row: Option<i64>,
    /// The record that it is about, where there is one.
    #[schema(example = json!(null))]
    pub subject_id: Option<Uuid>,
    /// JSON Pointer to the member.
    #[schema(example = "/email")]
    pub pointer: String,
    /// The column's heading in the file.
    #[schema(example = "邮箱")]
    pub heading: Option<String>,
    /// What stood there.
    #[schema(example = "zhang@")]
    pub value: Option<String>,
    #[schema(example = "wrong_format")]
    pub code: String,
    #[schema(example = "has the wrong form")]
    pub message: String,
    /// The row as it came, by heading.
    #[schema(value_type = Option<Object>, example = json!({ "邮箱": "zhang@" }))]
    pub original: Option<Value>,
}

/// A page of a job's errors.
#[derive(Serialize, ToSchema)]
pub struct JobErrorPage {
    pub data: Vec<JobErrorView>,
    /// Where the next page begins; null on the last.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

impl JobRow {
    pub(super) fn view(&self, lang: Lang) -> JobView {
        let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
        let failure = self.failure.as_ref().map(|failure| JobFailure {
            code: text(failure, "code"),
            detail: text(failure, if lang == Lang::Zh { "zh" } else { "en" }),
        });
        JobView {
            id: self.id,
            kind: self.kind.clone(),
            state: JobState::read(&self.state),
            asked_by: self.asked_by,
            done: self.done_count,
            total: self.total_count,
            rate: self.rate(),
            error_count: self.error_count,
            is_cancel_asked: self.is_cancel_asked,
            links: self.links(),
            result: self.result.clone(),
            failure,
            asked_at: self.created_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            version: self.version,
        }
    }

    /// To one decimal place.
    fn rate(&self) -> Option<f64> {
        let millis = (self.updated_at - self.started_at?).num_milliseconds();
        if self.done_count == 0 || millis <= 0 {
            return None;
        }
        let tenths = i128::from(self.done_count) * 10_000 / i128::from(millis);
        u32::try_from(tenths).ok().map(|tenths| f64::from(tenths) / 10.0)
    }

    fn links(&self) -> Map<String, Value> {
        let own = format!("/v1/jobs/{}", self.id);
        let mut links = Map::new();
        links.insert("errors".to_owned(), json!(format!("{own}/errors")));
        links.insert("events".to_owned(), json!(format!("{own}/events")));
        links.insert("self".to_owned(), json!(own));
        if self.kind.ends_with(".import") {
            let errors = format!("/v1/imports/{}/errors.csv", self.id);
            links.insert("errors_csv".to_owned(), json!(errors));
        }
        let more = self
            .result
            .as_ref()
            .and_then(|result| result["links"].as_object());
        links.extend(more.cloned().unwrap_or_default());
        links
    }
}

/// A row as an object again, from the cells in their order in which it is kept.
fn in_order(kept: Value) -> Value {
    let Value::Array(cells) = kept else { return kept };
    let cells = cells.into_iter().filter_map(|cell| match cell {
        Value::Array(pair) => {
            let [Value::String(heading), value] = <[Value; 2]>::try_from(pair).ok()? else {
                return None;
            };
            Some((heading, value))
        }
        _ => None,
    });
    Value::Object(cells.collect())
}

impl ErrorRow {
    pub(super) fn view(self, lang: Lang) -> JobErrorView {
        JobErrorView {
            ordinal: self.ordinal,
            severity: match self.is_warning {
                true => JobErrorSeverity::Warning,
                false => JobErrorSeverity::Error,
            },
            row: self.row_number,
            subject_id: self.subject_id,
            pointer: self.pointer,
            heading: self.heading,
            value: self.value,
            code: self.code,
            message: match lang {
                Lang::En => self.message_en,
                Lang::Zh => self.message_zh,
            },
            original: self.original.map(in_order),
        }
    }
}
