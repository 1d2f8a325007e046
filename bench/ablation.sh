#!/usr/bin/env bash
# What every piece of the pipeline brings: KLD on two texts with one piece left out, and with it
# alone, for several seeds and budgets. Prints a line per run: piece bits seed KLD-valid KLD-text.
#   bench/ablation.sh BUILD/examples TEXT [SEEDS] [BITS] [TOKENS]
set -euo pipefail
programs=$1 text=$2 seeds=${3:-0 1 2} budgets=${4:-2.96 3.95} tokens=${5:-32768}
pieces=(feedback gradients windows rotation measured cells)
scored=12288
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

kld() { grep -o '"kld": [0-9.e-]*' "$1" | tail -1 | cut -d' ' -f2; }

run() { # name, bits, seed, pieces to leave out
  local name=$1 bits=$2 seed=$3 flags=()
  shift 3
  for piece in "$@"; do flags+=(--without "$piece"); done
  "$programs/quantize_gpt2" --bits "$bits" --seed "$seed" --calibration-tokens "$tokens" \
    --work "$folder/work.$seed" --out "$folder/packed" --max-tokens $scored \
    --report "$folder/valid.json" "${flags[@]}" > "$folder/out" 2>&1
  "$programs/evaluate_gpt2" --model "$folder/packed" \
    --reference "$(dirname "$0")/../examples/data/wiki-gpt2" --text "$text" --max-tokens $scored \
    --report "$folder/text.json" > "$folder/out" 2>&1
  echo "$name $bits $seed $(kld "$folder/valid.json") $(kld "$folder/text.json")"
}

for seed in $seeds; do
  for bits in $budgets; do
    run all "$bits" "$seed"
    run without-finish "$bits" "$seed" finish
    for piece in "${pieces[@]}"; do run "without-finish-$piece" "$bits" "$seed" finish "$piece"; done
    run none "$bits" "$seed" finish "${pieces[@]}"
    for piece in "${pieces[@]}"; do
      others=()
      for other in "${pieces[@]}"; do [ "$other" = "$piece" ] || others+=("$other"); done
      run "only-$piece" "$bits" "$seed" finish "${others[@]}"
    done
  done
  rm -rf "$folder/work.$seed"
done
