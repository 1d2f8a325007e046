#!/bin/sh
# Builds and runs the consumer with what pkg-config says: build.sh COMPILER PACKAGE KERNELS OPTION...
# KERNELS is a file that has the kernels, or header_only.
set -eu
compiler=$1 package=$2 kernels=$3
shift 3
if [ "$kernels" = header_only ]; then
  kernels=
else
  set -- -DNASH_SWARM_KERNELS_ELSEWHERE "$@"
fi
cd "$(dirname "$0")/.."
program=$(mktemp)
trap 'rm -f "$program"' EXIT
# shellcheck disable=SC2046,SC2086  # several options; a file or none
"$compiler" "$@" $(pkg-config --cflags "$package") main.cpp second.cpp $kernels \
  $(pkg-config --libs "$package") -o "$program"
"$program"
