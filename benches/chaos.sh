#!/bin/bash
# bench: chaos     one store under random kills, stops, full disks and bit flips; ends at a broken promise
#
# A seed a round, so that a round that fails can be run again: SEEDS="7 8" STEPS=2000 benches/chaos.sh
. "$(dirname "$0")/bench.bash"

seeds=${SEEDS:-$(seq 1 10)} steps=${STEPS:-500}
cd "$root"
echo '| seed | steps | result |'
echo '|---|---|---|'
for seed in $seeds; do
    SEALIFT_CHAOS_SEED=$seed SEALIFT_CHAOS_STEPS=$steps HOME=$user_home \
        cargo test --quiet --package sealift --test transfers -- chaos:: >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
    echo "| $seed | $steps | both promises held |"
done
