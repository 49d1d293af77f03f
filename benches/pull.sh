#!/bin/bash
# bench: pull      a 600 MB two-platform image from docker-registry: sealift, skopeo, crane
#
# On loopback, and through a proxy that gives each connection 8 MB/s and each request 50 ms. The
# last column is what this machine needs to hash and write the same bytes with two processes.
# SLOW_RUNS (RUNS where it is not set) is how often the slow case is measured: its peers take a
# minute each time.
. "$(dirname "$0")/bench.bash"

sizes=${SIZES:-200000000,60000000,30000000,10000000}
megabytes=$(awk -v s="$sizes" 'BEGIN { n = split(s, v, ","); for (i = 1; i <= n; i++) t += v[i]; printf "%d", 2 * t / 1e6 }')
rounds=$runs
build_programs
start_registry
note 'generating the image'
"$target/test-image" random --sizes "$sizes" --registry "$registry" --repository bench/two --tag 1 >/dev/null

with_sealift() {
    SEALIFT_HOME=$work/pulled "$sealift" pull "$1/bench/two:1" --platform linux/amd64,linux/arm64 --progress quiet
}
with_skopeo() { skopeo copy --quiet --all --src-tls-verify=false "docker://$1/bench/two:1" "oci:$work/pulled:1"; }
with_crane() { crane pull --insecure --format=oci "$1/bench/two:1" "$work/pulled"; }

hash_and_write() {
    mkdir -p "$work/pulled"
    # shellcheck disable=SC2016 # the inner shell expands these
    find "$work/registry" -name data -size +1M -print0 |
        xargs -0 -P 2 -I '{}' sh -c 'tee "$1/$$" <"$2" | sha256sum' sh "$work/pulled" '{}'
}

# compare CASE ADDRESS: measures all of them in turns, and prints the table's row.
compare() {
    local tool fastest
    forget_times
    for _ in $(seq "$rounds"); do
        for tool in with_sealift with_skopeo with_crane hash_and_write; do
            rm -rf "$work/pulled"
            measure "$tool" "$tool" "$2"
        done
    done
    fastest=$(printf '%s\n' "$(median_of with_skopeo)" "$(median_of with_crane)" | sort -n | head -n 1)
    printf '| %s | %s | %s | %s | %s | %s |\n' "$1" \
        "$(seconds "$(median_of with_sealift)")" "$(seconds "$(median_of with_skopeo)")" \
        "$(seconds "$(median_of with_crane)")" "$(ratio "$(median_of with_sealift)" "$fastest")" \
        "$(seconds "$(median_of hash_and_write)")"
}

printf '| pull of %s MB, two platforms (median of %s) | sealift | skopeo | crane | ratio to the faster | hash and write |\n' "$megabytes" "$runs"
printf '|---|---|---|---|---|---|\n'
compare 'docker-registry on loopback' "$registry"
start_proxy --rate 8000000 --delay 50
rounds=${SLOW_RUNS:-$runs}
compare "8 MB/s a connection, 50 ms a request (median of $rounds)" "$proxy"
