#!/usr/bin/env bash
# Instructions for 64 weights of one token on ARM, as the emulator counts them, against budgets:
# decoding, products, and what is done for every run of 256 channels. As counted with g++ 12.
#   arm_budgets.sh NM PROGRAM EMULATOR...     (the program of one_product.cpp, linked statically)
set -euo pipefail
nm=$1 program=$2
emulator=("${@:3}")
# Format, neon, neon_dotprod.
budgets="
b1_l4        40.7  28.7
b2_l2        38.7  23.5
b2_l4        42.3  28.0
b3_l3        48.3  34.0
b3_l4        52.4  37.2
b4_l4        43.0  23.8
b1_l6        45.9  34.1
b2_l6        48.5  31.1
b3_l6        60.3  45.1
b4_l6        53.5  36.5
b2_l8       129.6 120.7
b3_l8       181.9 115.4
b4_l8       143.5 115.4
b1_l12       87.8  71.9
b2_l12       80.6  60.4
b3_l12       88.2  70.1
b4_l12       70.7  49.9
b2_hash16    95.9  59.6
b2.5_hash16 108.2  68.4
b3_hash16   108.5  66.9
b4_hash16   108.0  62.3
b2_hash32   150.6 125.1
b3_hash32   167.1 135.4
b3.5_hash32 182.9 136.0
b4_hash32   169.1 128.4
linear5      55.8  35.8
linear6      57.5  34.0
linear8      39.8  15.4
raw16        66.8  66.8
"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
symbol=8products # of a namespace that holds the kernels alone
mapfile -t places < <("$nm" --numeric-sort "$program" |
  awk -v symbol=$symbol '$2 ~ /[tTwW]/ && index($3, symbol) { print $1 }')

count() { # format, set, channels
  "${emulator[@]}" -singlestep -d exec,nochain -dfilter "0x${places[0]}..0x${places[-1]}" -D "$log" \
    "$program" "$@"
  grep -c $symbol "$log"
}

check() { # format, set, budget
  local less more
  less=$(count "$1" "$2" 512)
  more=$(count "$1" "$2" 1024)
  awk -v name="$1 $2" -v budget="$3" -v counted=$(((more - less) * 10 / 128)) 'BEGIN {
    counted /= 10
    fits = counted < 1.1 * budget && counted > 0.8 * budget
    printf "%s %.1f%s\n", name, counted, fits ? "" : ", where the budget is " budget
    exit !fits }'
}

failed=0
while read -r format neon dotprod; do
  [ -n "$format" ] || continue
  check "$format" neon "$neon" || failed=1
  check "$format" neon_dotprod "$dotprod" || failed=1
done <<< "$budgets"
exit $failed
