# Sourced: starts the demo server as the README says, unoptimised, on a free port and in a folder of its own, and stops it as a
# person would.
#   start_demo         sets demo_pid, demo_log, PENSTOCK_LISTEN and PENSTOCK_DATA_DIR (the last two exported)
#   stop_demo          Ctrl-C; fails unless the server ends with 0 and leaves no process behind
# shellcheck shell=bash

demo_pid=

demo_failed() {
    printf 'error: %s; the end of its log:\n' "$1" >&2
    tail -n 60 "$demo_log" >&2
    exit 1
}

start_demo() {
    local deadline
    PENSTOCK_LISTEN=127.0.0.1:$(free_port)
    PENSTOCK_METRICS_LISTEN=127.0.0.1:$(free_port)
    PENSTOCK_DATA_DIR=$(data_folder)
    export PENSTOCK_LISTEN PENSTOCK_METRICS_LISTEN PENSTOCK_DATA_DIR
    unset DATABASE_URL
    demo_log=$target/ci-demo.log
    trap end_demo EXIT

    # Built first, for the time that a server may take to be ready does not include that of its compiler.
    cargo build --quiet --locked --bin penstock

    # With job control the server does not inherit "ignore SIGINT", which a script's background jobs do.
    set -m
    cargo run --quiet --locked -- demo >"$demo_log" 2>&1 </dev/null &
    demo_pid=$!
    set +m

    deadline=$((SECONDS + 180))
    until [[ -s $PENSTOCK_DATA_DIR/demo.json ]] && curl -fsS -o /dev/null "http://$PENSTOCK_LISTEN/health/ready" 2>/dev/null; do
        kill -0 "$demo_pid" 2>/dev/null || demo_failed 'the demo server ended by itself'
        ((SECONDS < deadline)) || demo_failed 'the demo server is not ready after 180 s'
        sleep 0.2
    done
}

# Processes that work inside the data folder: the database we started, and nothing else.
left_behind() {
    local cwd
    for cwd in /proc/[0-9]*/cwd; do
        if [[ $(readlink "$cwd" 2>/dev/null) == "$PENSTOCK_DATA_DIR"* ]]; then
            cwd=${cwd#/proc/}
            printf '%s ' "${cwd%/cwd}"
        fi
    done
}

stop_demo() {
    local status=0 rest deadline=$((SECONDS + 60))
    kill -INT "$demo_pid"
    while kill -0 "$demo_pid" 2>/dev/null && ((SECONDS < deadline)); do
        sleep 0.1
    done
    # Whatever still hangs is ended, and its status tells.
    kill -KILL "$demo_pid" 2>/dev/null || true
    wait "$demo_pid" || status=$?
    demo_pid=
    ((status == 0)) || demo_failed "after Ctrl-C the demo server ended with status $status"
    rest=$(left_behind)
    [[ -z $rest ]] || demo_failed "the demo server left processes behind: $rest"
}

# On any way out: nothing of ours goes on running, nothing stays on the disk.
end_demo() {
    local pid
    if [[ -n $demo_pid ]]; then
        kill -INT "$demo_pid" 2>/dev/null || true
        wait "$demo_pid" 2>/dev/null || true
    fi
    for pid in $(left_behind); do
        kill -QUIT "$pid" 2>/dev/null || true
    done
    rm -rf "$PENSTOCK_DATA_DIR"
}
