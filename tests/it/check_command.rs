//! `penstock check` where there is nothing to check.

use crate::support::db::{copy_of, own_database};
use crate::support::make_identity::execute_at;
use penstock::platform::migrations;
use std::convert::Infallible;
use std::path::Path;
use std::process::{Command, Output};
use uuid::Uuid;

fn check(url: Option<&str>, folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    command
        .arg("check")
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_ADMIN_URL");
    command
        .env("PENSTOCK_DATA_DIR", folder)
        .env("PENSTOCK_LOG", "error");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command.output().unwrap()
}

fn nowhere() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("penstock-{}", Uuid::now_v7().simple()))
}

#[track_caller]
fn is_unchecked(output: &Output, said: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains(said), "{errors}");
}

#[tokio::test]
async fn a_database_without_the_present_schema_is_not_taken_for_a_broken_one() {
    let empty = copy_of("tpl_without_schema", |_| async { Ok::<(), Infallible>(()) }).await;
    is_unchecked(&check(Some(&empty), &nowhere()), "no schema");
    let old = own_database(|url| async move { migrations::run(&url).await.map(|_| ()) }).await;
    assert_eq!(check(Some(&old), &nowhere()).status.code(), Some(0));
    let last = migrations::ALL.last().unwrap().to_string();
    execute_at(&old, "DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)").await;
    is_unchecked(&check(Some(&old), &nowhere()), &last);
}

#[tokio::test]
async fn a_mistyped_folder_is_told_and_not_made() {
    let folder = nowhere();
    is_unchecked(&check(None, &folder), "PENSTOCK_DATA_DIR");
    assert!(!folder.exists());
}
