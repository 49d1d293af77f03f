#!/bin/bash
# bench: faults    fetches over a broken network: how many succeed, and in what time: sealift, skopeo, crane
#
# 80 % of token requests are reset, 30 % of manifest requests answered 503, 30 % of blobs cut at a
# random byte, 5 % stalled. Each of RUNS fetches begins with nothing and has a seed of its own.
# A fetch that takes more than LIMIT seconds has failed.
. "$(dirname "$0")/bench.bash"

limit=${LIMIT:-120}
build_programs
start_registry
note 'generating the image'
"$target/test-image" random --sizes 8000000,1000000,20000 --registry "$registry" --repository bench/two --tag 1 >/dev/null

with_sealift() {
    SEALIFT_HOME=$work/pulled timeout "$limit" "$sealift" pull "$1/bench/two:1" \
        --platform linux/amd64,linux/arm64 --progress quiet
}
with_skopeo() {
    timeout "$limit" skopeo copy --quiet --all --retry-times 5 --src-tls-verify=false \
        "docker://$1/bench/two:1" "oci:$work/pulled:1"
}
with_crane() { timeout "$limit" crane pull --insecure --format=oci "$1/bench/two:1" "$work/pulled"; }

printf '| 80 %% of tokens reset, 30 %% of manifests 503, 30 %% of blobs cut, 5 %% stalled | succeeded | median time of those |\n|---|---|---|\n'
for tool in sealift skopeo crane; do
    succeeded=0
    for seed in $(seq "$runs"); do
        start_proxy --tokens --seed "$seed" --fault token=reset:0.8 --fault manifest=503:0.3 \
            --fault blob=cut:0.3 --fault blob=stall:0.05
        rm -rf "$work/pulled"
        if took=$(milliseconds "with_$tool" "$proxy"); then
            succeeded=$((succeeded + 1))
            printf '%s\n' "$took" >>"$work/times.$tool"
        fi
        note "$tool, seed $seed: ${took:-failed}"
        kill "${started[-1]}"
        wait "${started[-1]}" || true
        unset 'started[-1]'
    done
    time='–'
    [ ! -e "$work/times.$tool" ] || time=$(seconds "$(median_of "$tool")")
    printf '| %s | %s of %s | %s |\n' "$tool" "$succeeded" "$runs" "$time"
done
