#!/usr/bin/env bash
# Measures how exactly rate limits are held (docs/PERFORMANCE.md), in a new folder below the current one:
#
#   cargo build --profile dist && scripts/measure_limits.sh
#
# Each download is as large as its limit lets pass in ten seconds. Prints its size over its time.
# Random bytes, loopback. Takes some four minutes and 5 GB of disk.
set -euo pipefail

# The nodes must not meet other nodes on the local network.
export PELAGO_NETWORK_MDNS=false

pelago=$(realpath "$(dirname "$0")/../target/dist/pelago")
folder=$(mktemp -d measure.XXXXXX)
cd "$folder"
trap 'kill $(jobs -p) 2>/dev/null || true; wait; cd ..; rm -rf "$folder"' EXIT

number() { grep -o "\"$1\":[0-9.]*" | cut -d : -f 2; }

# Limits the source by flag $1 of `pelago limit`, and the sink by the setting $2, to $3 bytes a second;
# `none` for neither.
measure() {
  local flag=$1 setting=$2 rate=$3 hash found
  hash=$("$pelago" --data-dir source --json share "$rate" | grep -o '"hash":"[0-9a-f]*"' | cut -d '"' -f 4)
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
"$pelago" --data-dir source start -p 0 -d empty --discovery false --listen /ip4/127.0.0.1/tcp/0 >out 2>err &
until grep -q ready out; do sleep 0.005; done
address=$(grep -o '/ip4/127.0.0.1/[^ ]*' out | head -n 1)

for rate in "${rates[@]}"; do
  measure upload none "$rate"
  measure none download_limit "$rate"
  measure upload-per-peer download_limit_per_peer "$rate"
done
measure none none 200000000
