#!/bin/sh
# Builds and runs the consumer with what pkg-config says: build.sh COMPILER PACKAGE KERNELS OPTION...
set -eu
compiler=$1 package=$2 kernels=$3
shift 3
cd "$(dirname "$0")/.."
program=$(mktemp)
trap 'rm -f "$program"' EXIT
# shellcheck disable=SC2046  # several options
"$compiler" -DNASH_SWARM_KERNELS_ELSEWHERE "$@" $(pkg-config --cflags "$package") \
  main.cpp second.cpp "$kernels" $(pkg-config --libs "$package") -o "$program"
"$program"
