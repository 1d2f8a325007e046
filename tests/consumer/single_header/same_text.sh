#!/bin/sh
# The preprocessor makes the same text of a header and of the one file made of it, whatever is said
# of the kernels: same_text.sh FOLDER SINGLE HEADER COMPILER OPTION...
set -eu
folder=$1 single=$2 header=$3
shift 3
for kernels in NO_MACRO NASH_SWARM_KERNELS_HERE NASH_SWARM_KERNELS_ELSEWHERE; do
  for file in "$single" "$header"; do
    echo "#include <$file>" | "$@" "-D$kernels" -E -P -x c++ - | grep -v '^ *$' \
      > "$folder/$(basename "$file").$kernels.txt"
  done
  cmp "$folder/$(basename "$single").$kernels.txt" "$folder/$(basename "$header").$kernels.txt"
done
