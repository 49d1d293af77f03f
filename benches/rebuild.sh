#!/bin/bash
# bench: rebuild   a build of examples/hello for two platforms in which nothing has changed: sealift, buildctl
#
# Both ask the same buildkitd. buildctl's builds find their base image in a registry on loopback,
# which is a mirror of docker.io; sealift's are sealed.
. "$(dirname "$0")/bench.bash"

build_programs
start_registry
"$target/test-image" busybox --registry "$registry" --repository library/busybox --tag 1.36 >/dev/null
start_buildkitd
export SEALIFT_HOME=$work/sealift

with_sealift() {
    "$sealift" build "$root/examples/hello" --builder "$buildkitd" --mirror "docker.io=http://$registry" \
        --platform linux/amd64,linux/arm64 -t hello:bench --progress quiet
}
with_buildctl() {
    buildctl --addr "$buildkitd" build --frontend dockerfile.v0 --opt platform=linux/amd64,linux/arm64 \
        --local "context=$root/examples/hello" --local "dockerfile=$root/examples/hello" \
        --output "type=oci,dest=$work/hello.tar"
}

for tool in with_sealift with_buildctl; do
    milliseconds "$tool" >/dev/null || { cat "$work/output" >&2 && exit 1; }
done
for _ in $(seq "$runs"); do
    measure with_sealift with_sealift
    measure with_buildctl with_buildctl
done
printf '| nothing changed, two platforms (median of %s) | sealift | buildctl | ratio |\n|---|---|---|---|\n' "$runs"
printf '| examples/hello | %s | %s | %s |\n' "$(seconds "$(median_of with_sealift)")" \
    "$(seconds "$(median_of with_buildctl)")" "$(ratio "$(median_of with_sealift)" "$(median_of with_buildctl)")"
