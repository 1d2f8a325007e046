#!/usr/bin/env bash
# What every piece of the pipeline brings: KLD on two texts with all pieces, with one left out, and
# with one alone, for several seeds. Without the finish, since it mends part of what others miss,
# but for the first line. Prints a line per run: name, seed, KLD at 2.96 and 3.95 bits on valid.txt, and
# on the text.
#   bench/ablation.sh PROGRAMS TEXT [SEEDS] [TOKENS]
set -euo pipefail
program=$1/quantize_gpt2 text=$2 seeds=${3:-0 1 2} tokens=${4:-32768}
pieces=(feedback gradients windows rotation order measured cells)
valid=$(dirname "$0")/../examples/data/valid.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

run() { # name, seed, pieces to leave out
  local name=$1 seed=$2 flags=()
  shift 2
  for piece in "$@"; do flags+=(--without "$piece"); done
  "$program" --bits 2.96,3.95 --seed "$seed" --calibration-tokens "$tokens" --max-tokens 12288 \
    --work "$folder/work.$seed" --out "$folder/packed" --text "$valid" --text "$text" \
    --report "$folder/report.json" "${flags[@]}" > "$folder/out" 2>&1
  echo "$name $seed" $(grep -o '"kld": [0-9.e-]*' "$folder/report.json" | cut -d' ' -f2)
}

for seed in $seeds; do
  run finished "$seed"
  run all "$seed" finish
  for piece in "${pieces[@]}"; do run "without-$piece" "$seed" finish "$piece"; done
  run none "$seed" finish "${pieces[@]}"
  for piece in "${pieces[@]}"; do
    others=()
    for other in "${pieces[@]}"; do [ "$other" = "$piece" ] || others+=("$other"); done
    run "only-$piece" "$seed" finish "${others[@]}"
  done
  rm -rf "$folder/work.$seed"
done
