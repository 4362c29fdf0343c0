//! `penstock bootstrap` with what cannot be used.

use std::process::Command;
use uuid::Uuid;

#[test]
fn everything_that_cannot_be_used_is_named_at_once_and_nothing_is_begun() {
    let folder = std::env::temp_dir().join(format!("penstock-{}", Uuid::now_v7().simple()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    command
        .args(["bootstrap", "--company", "断电", "--slug", "No Slug"])
        .args(["--email", "nobody", "--name", "", "--currency", "XYZ"])
        .args([
            "--time-zone",
            "Mars/Base",
            "--locale",
            "xx",
            "--password",
            "short",
        ])
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_ADMIN_URL")
        .env("PENSTOCK_DATA_DIR", &folder);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let options = [
        "slug",
        "email",
        "name",
        "currency",
        "time-zone",
        "locale",
        "password",
    ];
    for option in options {
        assert!(said.contains(&format!("\n  --{option} ")), "{option}: {said}");
    }
    assert!(!said.contains("--company"), "{said}");
    assert!(!folder.exists());
}
