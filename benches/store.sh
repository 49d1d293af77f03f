#!/bin/bash
# bench: store     600 MB into the store without a network, beside what hashing and writing take alone
#
# The row in bold is the physical limit that the pull benchmark is to be read against.
. "$(dirname "$0")/bench.bash"

cd "$work"
HOME=$user_home cargo bench --quiet --manifest-path "$root/Cargo.toml" --package sealift-content \
    --bench limit -- "${SIZE_MB:-600}" "$runs"
