#!/usr/bin/env bash
# Measures the cost of a node that is nearly idle, and how soon it notices and announces changes, for
# docs/PERFORMANCE.md. Works in a new folder below the current one:
#
#   cargo build --profile dist && scripts/measure_idle.sh       # all cases
#   scripts/measure_idle.sh idle                           # one: idle, news, watched
#
# Default settings except mDNS, loopback, random bytes. Takes some four minutes and 500 MB of disk.
# PELAGO names another binary.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

find_pelago
enter_new_folder

median_and_spread() { sort -n | awk 'NR == 1 {low = $1} {high = $1; v[NR] = $1} END {print v[int((NR + 1) / 2)] " (" low " to " high ")"}'; }
memory() { awk '/VmRSS/ {now = $2} /VmHWM/ {most = $2} END {printf "%.1f MiB (%.1f at most)\n", now / 1024, most / 1024}' "/proc/$1/status"; }
called() { "$pelago" --data-dir "$@"; }

# Starts a node on the data folder $1 with the other arguments and default listeners.
start_idle() {
  mkdir -p empty
  start "$1" --listen /ip4/127.0.0.1/udp/0/quic-v1 -d empty "${@:2}"
}
until_peers() { until called "$1" --json status | grep -q "\"peers\":$2,"; do sleep 0.05; done; }

# A knows B and C; all three are idle.
idle() {
  local first before
  echo "## idle, two peers, for 60 s after 60 s"
  start_idle a
  first=$node
  start_idle b -b "$address"
  start_idle c -b "$(grep -o '/ip4/127.0.0.1/tcp/[^ ]*' a.out | head -n 1)"
  until_peers a 2
  sleep 60
  before=$(ticks "$first")
  sleep 60
  awk "BEGIN {printf \"%.2f %% of a core\n\", ($(ticks "$first") - $before) / 60}"
  memory "$first"
  stop_jobs
}

# The time from the end of `share` at B until C lists the share.
news() {
  local began at
  echo "## a new share in another's list, ms, 20 times"
  start_idle a
  start_idle b -b "$address"
  start_idle c -b "$address"
  until_peers a 2
  for at in $(seq 20); do
    head -c 1000 /dev/urandom >"new-$at"
    called b -q share "new-$at" >/dev/null
    began=$(now)
    until called c list --network --wait 0 2>/dev/null | grep -q "new-$at$"; do
      [[ $(milliseconds_since "$began") -lt 60000 ]] || break
    done
    milliseconds_since "$began"
  done | median_and_spread
  stop_jobs
}

# 100,000 files in 100 folders.
watched() {
  local began first hash before at
  echo "## 100,000 watched files"
  mkdir -p many
  perl -e 'for my $f (0 .. 99) { mkdir "many/$f"; for my $n (0 .. 999) {
    open my $o, ">", "many/$f/$n"; my $r = pack("N*", map { int(rand(2**32)) } 1 .. 500); print $o $r; close $o } }'
  began=$(now)
  start_idle a -d many
  echo "ready after $(milliseconds_since "$began") ms, the first time"
  first=$node
  until grep -q "files=100000" a.err; do sleep 0.05; done
  echo "all shared after $(milliseconds_since "$began") ms"
  memory "$first"
  start_idle b -b "$address"
  until_peers a 1
  echo "from the last write to the end of another node's download, ms, 20 times"
  for at in $(seq 20); do
    head -c 100000 /dev/urandom >"new"
    hash=$(called hash hash new | cut -d ' ' -f 1)
    cp new "many/$at/new"
    began=$(now)
    until called a link "$hash" >/dev/null 2>&1; do sleep 0.01; done
    called b -q download "$hash" -o "got-$at" >/dev/null
    milliseconds_since "$began"
    cmp new "got-$at"
  done | median_and_spread
  memory "$first"
  stop_jobs
  began=$(now)
  start_idle a -d many
  echo "ready after $(milliseconds_since "$began") ms, the second time"
  first=$node
  until grep -q "scanned a watched folder.*many" a.err; do sleep 0.05; done
  echo "looked at again after $(milliseconds_since "$began") ms"
  memory "$first"
  before=$(ticks "$first")
  sleep 30
  awk "BEGIN {printf \"then %.2f %% of a core\n\", ($(ticks "$first") - $before) / 30}"
  stop_jobs
}

for case in "${@:-idle news watched}"; do for one in $case; do "$one"; rm -rf -- *; done; done
