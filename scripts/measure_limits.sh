#!/usr/bin/env bash
# Measures how exactly rate limits are held (docs/PERFORMANCE.md), in a new folder below the current one:
#
#   cargo build --profile dist && scripts/measure_limits.sh
#
# Each download is as large as its limit lets pass in ten seconds. Prints its size over its time.
# Random bytes, loopback. Takes some four minutes and 5 GB of disk.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

find_pelago
enter_new_folder

# Limits the source by flag $1 of `pelago limit`, and the sink by the setting $2, to $3 bytes a second;
# `none` for neither.
measure() {
  local flag=$1 setting=$2 rate=$3 hash found
  hash=$(share source "$rate")
  [[ $flag == none ]] || "$pelago" --data-dir source -q limit "--$flag" "$rate" >/dev/null
  [[ $setting == none ]] || export "PELAGO_TRANSFER_${setting^^}=$rate"
  found=$("$pelago" --data-dir sink -q --json download "$hash" --peer "$address" -o copy | number bytes_per_second)
  cmp "$rate" copy
  rm copy
  [[ $flag == none ]] || "$pelago" --data-dir source -q limit "--$flag" off >/dev/null
  [[ $setting == none ]] || unset "PELAGO_TRANSFER_${setting^^}"
  awk "BEGIN {printf \"%s %s: %d of %d bytes a second, %+.1f %%\n\", \"$flag\", \"$setting\", $found, $rate,
    ($found / $rate - 1) * 100}"
}

rates=(50000 1000000 20000000 200000000)
for rate in "${rates[@]}"; do head -c $((rate * 10)) /dev/urandom >"$rate"; done

mkdir empty
start source -d empty

for rate in "${rates[@]}"; do
  measure upload none "$rate"
  measure none download_limit "$rate"
  measure upload-per-peer download_limit_per_peer "$rate"
done
measure none none 200000000
