//! How somebody wants a file imported.

use super::targets::TransferSubject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// How days are written in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ImportDateFormat {
    #[default]
    #[serde(rename = "YYYY-MM-DD")]
    YearMonthDay,
    #[serde(rename = "DD-MM-YYYY")]
    DayMonthYear,
    #[serde(rename = "MM-DD-YYYY")]
    MonthDayYear,
    #[serde(rename = "DD-MM-YY")]
    DayMonthShort,
    #[serde(rename = "MM-DD-YY")]
    MonthDayShort,
}

/// What happens to a row whose external id is known already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportMode {
    /// It is refused.
    #[default]
    Create,
    /// It changes the record that has it.
    Upsert,
}

/// What a faulty row does to the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOnError {
    /// It is noted, the others go on.
    #[default]
    Continue,
    /// Nothing behind it is looked at; what was done before it stays.
    Stop,
}

/// How a file is imported.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportOptions {
    /// The file, as `POST /v1/import-files` answered it.
    #[schema(example = "0197c9a0-5d3e-7c11-9e61-0c6a1c8e4b2a")]
    pub file_id: Uuid,
    /// What its rows are.
    pub resource: TransferSubject,
    /// Heading to what it says: a member, `custom.KEY`, `external_id`, for accounts `contact.name` and its like, for
    /// opportunities `stage`, `entered_on`, `closed_on`, `loss_reason`, `lost_because`, `product`; null leaves a column out.
    /// Headings that are not named here are recognised in Chinese and English.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Option<String>>, example = json!({ "sector": "industry", "year_established": null }))]
    pub mapping: BTreeMap<String, Option<String>>,
    /// Heading to corrections: what stands there, and what it is to be read as.
    #[serde(default)]
    #[schema(example = json!({ "sector": { "technolgy": "technology" } }))]
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// What a row says where its own cell is empty, by target. `{heading}` stands for the row's cell under that heading.
    #[serde(default)]
    #[schema(example = json!({ "name": "{product} · {account}" }))]
    pub defaults: BTreeMap<String, String>,
    #[serde(default)]
    pub date_format: ImportDateFormat,
    /// The system whose ids stand under `external_id`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 60, example = "legacy_crm")]
    pub system: Option<String>,
    #[serde(default)]
    pub mode: ImportMode,
    #[serde(default)]
    pub on_error: ImportOnError,
    /// Whether to go through all rows and keep nothing but the errors.
    #[serde(default)]
    #[schema(example = false)]
    pub dry_run: bool,
}
