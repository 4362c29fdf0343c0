//! Files in and out: imports and exports of leads, accounts, contacts and opportunities, as jobs.
//!
//! A file is taken in as a stream and kept in the database in pieces; a workbook becomes CSV on the way, UTF-16 becomes
//! UTF-8, every other encoding stays and is read as recognised. An import reads it window by window: each chunk commits with
//! the place in the file at which the next begins.

mod brought;
mod csv_out;
mod draft;
pub mod export;
mod files;
mod http;
pub mod import;
mod lookup;
mod options;
mod past;
mod persons;
mod plan;
mod receive;
mod records;
mod rights;
mod targets;
mod text;
mod told;
mod words;
mod workbook;
mod xlsx_out;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(receive::create_import_file)
        .service(http::preview_import)
        .service(http::create_import)
        .service(http::download_import_errors)
        .service(export::create_export)
        .service(export::download_export);
}
