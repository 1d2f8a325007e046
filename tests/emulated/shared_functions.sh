#!/bin/sh
# Functions of the library that files of a program share: the linker keeps one copy of them, whatever
# machine the file was compiled for that it takes it from. In an object for a newer machine they hold
# none of its instructions, but for those whose symbols have the key of the machine (NASH_SWARM_TARGET).
#   shared_functions.sh NM OBJDUMP KEY OBJECT
set -eu
{
  "$1" --defined-only "$4"
  "$2" --disassemble --no-show-raw-insn "$4"
} | awk -v key="$3" '
  NF == 3 && $2 ~ /^[VWu]$/ && $3 ~ /^_Z[A-Z]*N[A-Z]*10nash_swarm/ { shared[$3] = 1 }
  /^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3) }
  name in shared && $2 ~ /^(v.*|andn|bextr|bls.*|lzcnt|mulx|pdep|pext|rorx|sarx|shlx|shrx|tzcnt)$/ {
    if (index(name, key)) keyed[name] = 1
    else if (!(name in bare)) { bare[name] = 1; print name " has " $2 " and no key " key }
  }
  END {
    for (name in keyed) ++with_key
    for (name in bare) ++without
    printf "%d functions with instructions of %s have the key, %d have not\n", with_key, key, without
    exit with_key == 0 || without != 0
  }'
