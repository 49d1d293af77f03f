#!/bin/bash
# bench: memory    the peak memory of a pull of 10 GB in two platforms: sealift, skopeo, crane
#
# On loopback, and of sealift also through a proxy that gives each connection 60 MB/s, so that it
# opens as many connections as it may.
. "$(dirname "$0")/bench.bash"

sizes=${SIZES:-1000000000,1000000000,1000000000,1000000000,1000000000}
gigabytes=$(awk -v s="$sizes" 'BEGIN { n = split(s, v, ","); for (i = 1; i <= n; i++) t += v[i]; printf "%.1f", 2 * t / 1e9 }')
build_programs
start_registry
note 'generating the image'
"$target/test-image" random --sizes "$sizes" --registry "$registry" --repository bench/ten --tag 1 >/dev/null

# peak COMMAND…: runs it and prints the peak of its resident memory in MiB, as the kernel keeps it.
peak() {
    local pid most=0 now
    "$@" >"$work/output" 2>&1 &
    pid=$!
    while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        most=$now
        sleep 0.02
    done
    wait "$pid" || { cat "$work/output" >&2 && exit 1; }
    awk -v kb="$most" 'BEGIN { printf "%.0f MiB", kb / 1024 }'
}

sealift_from() {
    rm -rf "$work/pulled"
    peak env "SEALIFT_HOME=$work/pulled" "$sealift" pull "$1/bench/ten:1" --platform linux/amd64,linux/arm64 --progress quiet
}

with_sealift=$(sealift_from "$registry")
note "sealift: $with_sealift"
rm -rf "$work/pulled"
with_skopeo=$(peak skopeo copy --quiet --all --src-tls-verify=false "docker://$registry/bench/ten:1" "oci:$work/pulled:1")
note "skopeo: $with_skopeo"
rm -rf "$work/pulled"
with_crane=$(peak crane pull --insecure --format=oci "$registry/bench/ten:1" "$work/pulled")
note "crane: $with_crane"
start_proxy --rate 60000000 --delay 20
many=$(sealift_from "$proxy")

printf '| peak memory of a pull of %s GB | sealift | skopeo | crane |\n|---|---|---|---|\n' "$gigabytes"
printf '| docker-registry on loopback | %s | %s | %s |\n' "$with_sealift" "$with_skopeo" "$with_crane"
printf '| 60 MB/s a connection, 20 ms a request | %s | | |\n' "$many"
