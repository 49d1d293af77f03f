#!/bin/bash
# bench: context   600 MB in 3,000 files into a build and, as an image, out again: sealift, buildctl
#
# Both ask the same buildkitd over a Unix socket; its cache is emptied before each build. sealift
# leaves the image in its store, buildctl in an OCI archive.
. "$(dirname "$0")/bench.bash"

build_programs
start_registry
"$target/test-image" busybox --registry "$registry" --repository library/busybox --tag 1.36 >/dev/null
start_buildkitd
note 'generating the context'
mkdir -p "$work/context/files"
printf 'FROM busybox:1.36\nCOPY files /files\n' >"$work/context/Dockerfile"
openssl enc -aes-128-ctr -pass pass:1 -nosalt </dev/zero 2>/dev/null | head -c 600000000 |
    split -b 200000 -a 4 - "$work/context/files/f" || true

with_sealift() {
    "$sealift" build "$work/context" --builder "$buildkitd" --mirror "docker.io=http://$registry" \
        --platform linux/amd64 -t context:bench --progress quiet
}
with_buildctl() {
    buildctl --addr "$buildkitd" build --frontend dockerfile.v0 --opt platform=linux/amd64 \
        --local "context=$work/context" --local "dockerfile=$work/context" \
        --output "type=oci,dest=$work/context.tar"
}

for _ in $(seq "$runs"); do
    for tool in with_sealift with_buildctl; do
        buildctl --addr "$buildkitd" prune --all >/dev/null
        rm -rf "$work/sealift" "$work/context.tar"
        export SEALIFT_HOME=$work/sealift
        "$sealift" prefetch "$work/context" --mirror "docker.io=http://$registry" \
            --platform linux/amd64 --progress quiet >/dev/null
        measure "$tool" "$tool"
    done
done
printf '| 600 MB in 3,000 files, in and out (median of %s) | sealift | buildctl | ratio |\n|---|---|---|---|\n' "$runs"
printf '| one platform | %s | %s | %s |\n' "$(seconds "$(median_of with_sealift)")" \
    "$(seconds "$(median_of with_buildctl)")" "$(ratio "$(median_of with_sealift)" "$(median_of with_buildctl)")"
