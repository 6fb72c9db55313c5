# Shared by the examples and by tests/clients/run: a hallpass to work against. To be sourced.
#
# With HALLPASS_URL and HALLPASS_KEY set, that one is used. Otherwise a new one is started on a free
# port, with its data in a temporary folder that is removed at the end.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cleanup_pids=()
cleanup_dirs=()

cleanup() {
    local pid
    for pid in "${cleanup_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${cleanup_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ ${#cleanup_dirs[@]} -eq 0 ] || rm -rf "${cleanup_dirs[@]}"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() { printf '%s\n' "$*" >&2; exit 1; }

# The binary: $HALLPASS_BIN, or the one that cargo builds here.
find_hallpass() {
    if [ -n "${HALLPASS_BIN-}" ]; then
        [ -x "$HALLPASS_BIN" ] || die "HALLPASS_BIN names no program: $HALLPASS_BIN"
        HALLPASS_BIN=$(cd "$(dirname "$HALLPASS_BIN")" && pwd)/$(basename "$HALLPASS_BIN")
        return 0
    fi
    HALLPASS_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/hallpass
    [ -x "$HALLPASS_BIN" ] || (cd "$root" && cargo build --bin hallpass) || die "hallpass does not build"
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
}

# wait_for URL PID: until URL answers 200, for at most 30 s, and while the process PID lives.
wait_for() {
    local attempt
    for attempt in $(seq 300); do
        curl -sf -o /dev/null --max-time 2 "$1" && return 0
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# start_hallpass [NAME=VALUE…]: starts one with these variables in its environment, and sets
# HALLPASS_URL, HALLPASS_KEY (the first key, unrestricted), hallpass_dir and hallpass_pid.
start_hallpass() {
    local port attempt pid
    for attempt in 1 2 3; do
        hallpass_dir=$(mktemp -d "${TMPDIR:-/tmp}/hallpass-clients.XXXXXX")
        cleanup_dirs+=("$hallpass_dir")
        port=$(free_port)
        hallpass_settings=("$@")
        (cd "$hallpass_dir" && exec env "HALLPASS_LISTEN=127.0.0.1:$port" \
            "HALLPASS_ISSUER=http://127.0.0.1:$port" \
            "HALLPASS_DATABASE_URL=sqlite://$hallpass_dir/hallpass.db" \
            "HALLPASS_KEYS_DIR=$hallpass_dir/keys" "HALLPASS_LOG=warn" \
            "$@" "$HALLPASS_BIN" serve >"$hallpass_dir/out" 2>"$hallpass_dir/err" </dev/null) &
        pid=$!
        cleanup_pids+=("$pid")
        if wait_for "http://127.0.0.1:$port/readyz" "$pid"; then
            hallpass_pid=$pid
            HALLPASS_URL=http://127.0.0.1:$port
            HALLPASS_KEY=$(grep -m1 '^sk_live_' "$hallpass_dir/out") || die "no first key was printed"
            export HALLPASS_URL HALLPASS_KEY
            return 0
        fi
    done
    cat "$hallpass_dir/err" >&2
    die "hallpass does not start"
}

# For examples: the hallpass that was named, or a new one.
want_hallpass() {
    if [ -n "${HALLPASS_URL-}" ] && [ -n "${HALLPASS_KEY-}" ]; then
        HALLPASS_URL=${HALLPASS_URL%/}
        export HALLPASS_URL HALLPASS_KEY
        return 0
    fi
    find_hallpass
    start_hallpass "$@"
}

# hallpass_cli ARG…: the command line on the database of the server that start_hallpass started.
hallpass_cli() {
    (cd "$hallpass_dir" && env -u HALLPASS_URL -u HALLPASS_KEY \
        "HALLPASS_ISSUER=$HALLPASS_URL" \
        "HALLPASS_DATABASE_URL=sqlite://$hallpass_dir/hallpass.db" \
        "HALLPASS_KEYS_DIR=$hallpass_dir/keys" "${hallpass_settings[@]}" "$HALLPASS_BIN" "$@")
}

# post PATH JSON [CURL ARG…]: calls the API with HALLPASS_KEY and prints the answer; an error ends
# the program.
post() {
    local path=$1 body=$2
    shift 2
    curl -sS --fail-with-body "$HALLPASS_URL/v1/$path" -H "Authorization: Bearer $HALLPASS_KEY" \
        -H 'Content-Type: application/json' -d "$body" "$@"
}

# get PATH [CURL ARG…]: the same for reading.
get() {
    local path=$1
    shift
    curl -sS --fail-with-body "$HALLPASS_URL/v1/$path" -H "Authorization: Bearer $HALLPASS_KEY" "$@"
}

# field NAME: that member of the JSON object on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
