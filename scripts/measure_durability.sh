#!/usr/bin/env bash
# Measures the cost of durability, in syncs and in time, in a new folder below the current one:
#
#   cargo build --profile dist && scripts/measure_durability.sh               # with and without --no-sync, in turns
#   BASE=/path/to/an/earlier/pelago scripts/measure_durability.sh        # also with an earlier version
#
# Times mean little alone: a sync takes 0.1 ms on some machines and 10 ms on others. Needs strace, some 7 GB
# of disk and a quiet machine. PELAGO names another binary.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

find_pelago
base=${BASE:+$(realpath "$BASE")}
enter_new_folder

summary() {
  sort -n | awk '{v[NR] = $1 / 1000} END {printf "%.1f ms (%.1f to %.1f)", v[int((NR + 1) / 2)], v[1], v[NR]}'
}

start source

# The variants that are compared: a name, the binary, and additional flags of `download`.
ways=("now" "--no-sync")
[[ -z $base ]] || ways=("before" "${ways[@]}")
binary_of() { if [[ $1 == before ]]; then echo "$base"; else echo "$pelago"; fi; }
flags_of() { if [[ $1 == --no-sync ]]; then echo --no-sync; fi; }

# Counts the syncs of one run of a command.
syncs() {
  strace -f -qq -c -e trace=fsync,fdatasync,syncfs -o syncs "$@" >/dev/null 2>&1 || true
  awk '$NF ~ /sync/ {sum += $4} END {print sum + 0}' syncs
}

# Downloads $3, which has the hash $4, $2 times in each variant, in turns.
compare() {
  local title=$1 count=$2 content=$3 hash=$4 way run began
  echo "## $title, median of $count"
  rm -f times.*
  for ((run = 0; run < count; run++)); do
    for way in "${ways[@]}"; do
      rm -rf copy sink
      began=$(now)
      # shellcheck disable=SC2046 # One word or none.
      "$(binary_of "$way")" --data-dir sink -q download "$hash" --peer "$address" -o copy $(flags_of "$way") >/dev/null
      echo $((($(now) - began) / 1000)) >>"times.$way"
      diff -rq "$content" copy
    done
  done
  for way in "${ways[@]}"; do
    rm -rf copy sink
    # shellcheck disable=SC2046 # One word or none.
    echo "$way: $(summary <"times.$way"), $(syncs "$(binary_of "$way")" --data-dir sink -q download "$hash" \
      --peer "$address" -o copy $(flags_of "$way")) syncs"
  done
  rm -rf copy sink
}

head -c 1000 /dev/urandom >small
compare "download of 1 KB" 31 small "$(share source small)"

for ((n = 0; n < 1000; n++)); do
  mkdir -p "tree/$n"
  head -c 40000 /dev/urandom | split -b 2000 -a 2 - "tree/$n/"
done
echo "## share of 20,000 files in 1,000 folders, median of 5"
for way in "${ways[@]}"; do
  [[ $way == --no-sync ]] && continue
  rm -f runs.times
  for _ in 1 2 3 4 5; do
    rm -rf sharer
    began=$(now)
    "$(binary_of "$way")" --data-dir sharer -q share --no-serve tree >/dev/null
    echo $((($(now) - began) / 1000)) >>runs.times
  done
  rm -rf sharer
  echo "$way: $(summary <runs.times), $(syncs "$(binary_of "$way")" --data-dir sharer -q share --no-serve tree) syncs"
done
compare "download of them" 5 tree "$(share source tree)"

head -c $((2 << 30)) /dev/urandom >big
compare "download of 2 GiB" 3 big "$(share source big)"
began=$(now)
dd if=big of=copy bs=1M conv=fdatasync status=none
echo "dd conv=fdatasync of the same file: $((($(now) - began) / 1000000)) ms"
