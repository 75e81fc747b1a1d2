#!/usr/bin/env bash
# Times a hundred starts of a program that runs Python, from exec to exit:
#
#     cargo build --release -p example-consumer
#     benches/starts.sh target/release/example-consumer 'import json; print(json.dumps(1))'
#
# Prints the wall time of each tenth of them, sorted, and the processor time of one.
set -euo pipefail

"$@" > /dev/null # once, to have the files in memory
TIMEFORMAT='%R %U %S'
for _ in $(seq 100); do
    { time "$@" > /dev/null; } 2>&1
done | sort -n | awk '
    { wall[NR] = $1 * 1000; cpu += ($2 + $3) * 1000 }
    END {
        printf "wall ms, fastest to slowest:"
        for (i = 1; i <= NR; i += 11) printf " %.0f", wall[i]
        printf "\nprocessor ms, mean: %.1f\n", cpu / NR
    }'
