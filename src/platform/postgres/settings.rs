//! With which settings the server runs. They are given on its command line, so that a newer version
//! of ours changes them without touching the data.

use std::path::Path;

use super::{PORT, Purpose};

/// `name=value`, as the server's command line takes them.
pub(super) fn server_settings(purpose: Purpose, socket_folder: &Path) -> Vec<String> {
    let quoted = socket_folder.to_string_lossy().replace('"', "\"\"");
    let own = match purpose {
        Purpose::Durable => DURABLE,
        Purpose::Throwaway => THROWAWAY,
    };
    let place = [
        format!("unix_socket_directories=\"{quoted}\""),
        format!("port={PORT}"),
    ];
    place
        .into_iter()
        .chain(ALWAYS.iter().chain(own).map(|setting| (*setting).to_owned()))
        .collect()
}

const ALWAYS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "logging_collector=off",
    "log_destination=stderr",
    "log_line_prefix=%m [%p] %q%u@%d ",
    "log_timezone=UTC",
    "timezone=UTC",
    // Our statements are short; compiling one costs more than running it.
    "jit=off",
];

/// For a small machine that runs the service as well. Of durability nothing is given up.
const DURABLE: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=100",
    "shared_buffers=256MB",
    "effective_cache_size=1GB",
    "work_mem=8MB",
    "maintenance_work_mem=64MB",
    "min_wal_size=80MB",
    "max_wal_size=1GB",
    "checkpoint_timeout=15min",
    "random_page_cost=1.1",
    // A company's first thousands of records come in minutes: statements that were planned for empty tables are soon planned
    // for full ones.
    "autovacuum_naptime=15s",
];

const THROWAWAY: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=300",
    "shared_buffers=128MB",
    "max_wal_size=512MB",
    // Databases come and go here by the hundred.
    "log_checkpoints=off",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acknowledged_is_risked_by_a_durable_server() {
        let settings = server_settings(Purpose::Durable, Path::new("/pg"));
        for needed in ["fsync=on", "synchronous_commit=on", "full_page_writes=on"] {
            assert!(settings.iter().any(|setting| setting == needed), "{needed}");
        }
    }

    #[test]
    fn no_server_listens_on_the_network() {
        for purpose in [Purpose::Durable, Purpose::Throwaway] {
            let settings = server_settings(purpose, Path::new("/pg"));
            assert!(settings.iter().any(|setting| setting == "listen_addresses="));
        }
    }

    #[test]
    fn a_folder_with_commas_and_quotes_is_one_socket_folder() {
        let settings = server_settings(Purpose::Durable, Path::new("/a,b\"c"));
        assert_eq!(settings[0], "unix_socket_directories=\"/a,b\"\"c\"");
    }
}
