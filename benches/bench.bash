# shellcheck shell=bash
# What the benchmarks share: programs, a registry with a generated image, timing, medians, tables.
# Each benchmark sources this file, prints a Markdown table to standard output and progress to
# standard error, and ends all that it started. RUNS sets how often each measurement is taken.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/release
sealift=${SEALIFT:-$target/sealift}
runs=${RUNS:-5}
mkdir -p "$root/.tools/bench/bin"
work=$(mktemp -d "$root/.tools/bench/run.XXXXXX")
user_home=$HOME
export PATH=$root/.tools/bin:$root/.tools/bench/bin:$PATH:/usr/sbin:/sbin HOME=$work/home
started=()

note() { printf '%s\n' "$*" >&2; }

end_all() {
    local pid
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    started=()
    rm -rf "$work"
}
trap end_all EXIT
trap 'exit 130' INT TERM

# Compiles sealift and the test parts, and crane into .tools/bench/bin.
build_programs() {
    note 'compiling sealift, the test parts and crane'
    (cd "$root" && HOME=$user_home cargo build --release --quiet --package sealift --package sealift-test-support --bins)
    [ -x "$root/.tools/bench/bin/crane" ] ||
        (cd "$root/benches/tools" && HOME=$user_home CGO_ENABLED=0 GOBIN=$root/.tools/bench/bin go install tool)
}

# wait_for FILE PATTERN: prints the first match of a sed pattern's group in a log, once it is there.
wait_for() {
    local found
    for _ in $(seq 200); do
        found=$(sed -n "s/.*$2.*/\\1/p" "$1" 2>/dev/null | head -n 1 || true)
        [ -z "$found" ] || { printf '%s' "$found" && return 0; }
        sleep 0.05
    done
    cat "$1" >&2
    return 1
}

# Starts a docker-registry with its content in $work; its address is in $registry.
start_registry() {
    cat >"$work/registry.yml" <<YML
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:0", secret: bench}
YML
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    started+=($!)
    registry=$(wait_for "$work/registry.log" 'listening on \(127[0-9.:]*\)')
}

# start_proxy FLAGS…: puts a fault-proxy in front of the registry; its address is in $proxy.
start_proxy() {
    proxies=$((${proxies:-0} + 1))
    "$target/fault-proxy" --upstream "$registry" "$@" >"$work/proxy.$proxies" &
    started+=($!)
    proxy=$(wait_for "$work/proxy.$proxies" 'listening on \(.*\)')
}

# milliseconds COMMAND…: runs it quietly and prints how long it took; fails as it does.
milliseconds() {
    local start end
    sync
    start=$(date +%s%N)
    "$@" >"$work/output" 2>&1 || return 1
    end=$(date +%s%N)
    printf '%s' $(((end - start) / 1000000))
}

median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }

seconds() { awk -v ms="$1" 'BEGIN { printf "%.2f s", ms / 1000 }'; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# measure NAME COMMAND…: one more measurement of NAME, into $work/times.NAME. A failing command ends
# the benchmark with what it printed.
measure() {
    local name=$1 took
    shift
    if ! took=$(milliseconds "$@"); then
        note "failed: $*"
        cat "$work/output" >&2
        exit 1
    fi
    note "$name: $took ms"
    printf '%s\n' "$took" >>"$work/times.$name"
}

median_of() { median <"$work/times.$1"; }

forget_times() { rm -f "$work"/times.*; }

# Starts a buildkitd whose docker.io is the registry; its address is in $buildkitd.
start_buildkitd() {
    cat >"$work/buildkitd.toml" <<TOML
[registry."docker.io"]
mirrors = ["$registry"]
[registry."$registry"]
http = true
TOML
    buildkitd=unix://$work/bk.sock
    buildkitd --config "$work/buildkitd.toml" --root "$work/buildkit" --addr "$buildkitd" \
        --containerd-worker=false --oci-worker-net=host >"$work/buildkitd.log" 2>&1 &
    started+=($!)
    for _ in $(seq 200); do
        buildctl --addr "$buildkitd" debug workers >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    cat "$work/buildkitd.log" >&2
    return 1
}
