#!/bin/bash
# bench: tokens    the time to success where four of five token requests are reset: sealift
#
# Each of RUNS (30) fetches of a small two-platform image begins with nothing and has a seed of its
# own. Manifests and blobs come as they should.
RUNS=${RUNS:-30}
. "$(dirname "$0")/bench.bash"

build_programs
start_registry
"$target/test-image" busybox --registry "$registry" --repository library/busybox --tag 1.36 >/dev/null

with_sealift() {
    SEALIFT_HOME=$work/pulled "$sealift" pull "$1/library/busybox:1.36" \
        --platform linux/amd64,linux/arm64 --progress quiet
}

succeeded=0
for seed in $(seq "$runs"); do
    start_proxy --tokens --seed "$seed" --fault token=reset:0.8
    rm -rf "$work/pulled"
    if took=$(milliseconds with_sealift "$proxy"); then
        succeeded=$((succeeded + 1))
        printf '%s\n' "$took" >>"$work/times.sealift"
    fi
    note "seed $seed: ${took:-failed}"
    kill "${started[-1]}"
    wait "${started[-1]}" || true
    unset 'started[-1]'
done
worst=$(sort -n "$work/times.sealift" | tail -1)
printf '| 80 %% of tokens reset | succeeded | median | worst |\n|---|---|---|---|\n'
printf '| sealift | %s of %s | %s | %s |\n' "$succeeded" "$runs" \
    "$(seconds "$(median_of sealift)")" "$(seconds "$worst")"
