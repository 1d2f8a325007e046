#!/usr/bin/env bash
# Instructions for 64 weights of one token on ARM, as the emulator counts them, against budgets: what
# a panel of 256 channels takes more than a pruned one. As counted with g++ 12.
#   arm_budgets.sh NM PROGRAM EMULATOR...     (the program of one_product.cpp, linked statically)
set -euo pipefail
nm=$1 program=$2
emulator=("${@:3}")
# Format, neon, neon_dotprod.
budgets="
b1_l4        40.7  28.3
b2_l2        38.1  23.0
b2_l4        42.6  27.7
b3_l3        48.1  33.4
b3_l4        52.5  37.1
b4_l4        43.4  24.2
b1_l6        45.5  33.9
b2_l6        48.4  30.9
b3_l6        60.3  42.8
b4_l6        53.4  36.4
b1_l8       118.7 104.9
b2_l8       133.6 116.5
b3_l8       183.1 105.5
b4_l8       136.8 119.2
b1_l12       87.5  71.8
b2_l12       79.6  60.3
b3_l12       88.0  70.1
b4_l12       70.7  50.2
b1_hash16   111.6  65.7
b1.5_hash16 113.9  69.0
b2_hash16    96.0  59.3
b2.5_hash16 106.7  68.2
b3_hash16   109.8  66.7
b3.5_hash16 114.6  73.9
b4_hash16   108.3  62.1
b1_hash32   173.1 135.3
b1.5_hash32 180.1 136.8
b2_hash32   150.1 125.0
b2.5_hash32 178.1 133.1
b3_hash32   165.8 135.1
b3.5_hash32 182.1 135.9
b4_hash32   168.8 127.9
linear5      56.5  36.5
linear6      58.2  33.9
linear8      41.3  15.9
raw16        66.4  66.4
mixed        54.8  36.6
"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
symbol=8products # of a namespace that holds the kernels alone
mapfile -t places < <("$nm" --numeric-sort "$program" |
  awk -v symbol=$symbol '$2 ~ /[tTwW]/ && index($3, symbol) { print $1 }')

count() { # format, set
  "${emulator[@]}" -singlestep -d exec,nochain -dfilter "0x${places[0]}..0x${places[-1]}" -D "$log" \
    "$program" "$1" "$2" 256
  grep -c $symbol "$log"
}

check() { # format, set, budget, instructions of the pruned panel
  local instructions
  instructions=$(count "$1" "$2")
  awk -v name="$1 $2" -v budget="$3" -v more=$((instructions - $4)) 'BEGIN {
    counted = more / 64
    fits = counted < 1.1 * budget && counted > 0.8 * budget
    printf "%s %.1f%s\n", name, counted, fits ? "" : ", where the budget is " budget
    exit !fits }'
}

failed=0
while read -r format; do
  if ! grep -q "^$format " <<< "$budgets"; then
    echo "$format has no budget"
    failed=1
  fi
done <<< "$("${emulator[@]}" "$program" formats)"

pruned_neon=$(count pruned neon)
pruned_dotprod=$(count pruned neon_dotprod)
while read -r format neon dotprod; do
  [ -n "$format" ] || continue
  check "$format" neon "$neon" "$pruned_neon" || failed=1
  check "$format" neon_dotprod "$dotprod" "$pruned_dotprod" || failed=1
done <<< "$budgets"
exit $failed
