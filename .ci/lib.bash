# Sourced by every script here: where things are, and one way to speak.
# shellcheck shell=bash disable=SC2034  # the variables are for the scripts that source this file
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

target=${CARGO_TARGET_DIR:-$root/target}
python_tools=$target/ci-python
node_tools=$target/ci-node
cargo_tools=$target/ci-cargo

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# A TCP port of the loopback interface that nobody listens on.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A fresh folder for a server's data, on a short path (a Unix socket will stand in it), and open to walk through:
# when root runs this, the database inside belongs to somebody else.
data_folder() {
    local folder
    folder=$(mktemp -d /tmp/penstock-ci.XXXXXX)
    chmod 755 "$folder"
    printf '%s\n' "$folder"
}
