#!/usr/bin/env bash
# Measures the figures of docs/FIGURES.md, in a folder of its own on the disk it is called from:
#
#   cargo build --release && docs/measure.sh
#
# Random bytes, default settings, loopback; files are compared outside the clock. Needs openssl, some
# 7 GB of disk and a quiet machine.
set -euo pipefail

# Nobody else is to be found, nor to find us.
export PELAGO_NETWORK_MDNS=false

pelago=$(realpath "$(dirname "$0")/../target/release/pelago")
folder=$(mktemp -d measure.XXXXXX)
cd "$folder"
trap 'kill $(jobs -p) 2>/dev/null || true; cd ..; rm -rf "$folder"' EXIT

now() { date +%s%N; }
milliseconds_since() { echo $((($(now) - $1) / 1000000)); }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
spread() { sort -n | awk 'NR == 1 {low = $1} {high = $1} END {print low " to " high}'; }
rate() { echo $((2147483648 / 1000 / $1)); } # MB/s of 2 GiB in so many milliseconds

# Starts a node on the data folder $1 with the other arguments; its address is $address, its id $node.
start() {
  local data=$1
  shift
  "$pelago" --data-dir "$data" start -p 0 --discovery false --listen /ip4/127.0.0.1/tcp/0 "$@" \
    >"$data.out" 2>"$data.err" &
  node=$!
  until grep -q ready "$data.out"; do sleep 0.005; done
  address=$(grep -o '/ip4/127.0.0.1/tcp/[^ ]*' "$data.out" | head -n 1)
}
hash_of() { "$pelago" --data-dir source --json share "$1" | grep -o '"hash":"[0-9a-f]*"' | cut -d '"' -f 4; }
peak_memory() { awk '/VmHWM/ {print int($2 / 1024) " MiB"}' "/proc/$1/status"; }

head -c 2147483648 /dev/urandom >big
head -c 1024 /dev/urandom >small

echo "## hashing 2 GiB, warm"
cat big >/dev/null
for _ in 1 2 3 4 5; do
  began=$(now)
  "$pelago" --data-dir hashing -q hash big >/dev/null
  ours=$(rate "$(milliseconds_since "$began")")
  theirs=$(openssl speed -multi "$(nproc)" -bytes 16384 -seconds 2 -evp sha256 2>/dev/null |
    awk '/^sha256/ {print int($2 / 1000)}')
  echo "$ours MB/s, openssl $theirs MB/s, ratio $(awk "BEGIN {print $ours / $theirs}")"
done

start source -d empty
big_hash=$(hash_of big)
small_hash=$(hash_of small)

echo "## 2 GiB, one source"
for run in 1 2 3 4 5; do
  rm -f copy
  began=$(now)
  /usr/bin/time -f "%M" "$pelago" --data-dir sink -q download "$big_hash" --peer "$address" -o copy \
    >/dev/null 2>"time.$run"
  milliseconds_since "$began" >>big.times
  cmp big copy
done
echo "median $(median <big.times) ms ($(spread <big.times)), $(rate "$(median <big.times)") MB/s"
echo "memory: source $(peak_memory $node), sink $(($(cat time.* | sort -n | tail -n 1) / 1024)) MiB"

echo "## 1 KB, cold command"
for run in $(seq 41); do
  began=$(now)
  "$pelago" --data-dir sink -q download "$small_hash" --peer "$address" -o "small.$run" >/dev/null
  echo $((($(now) - began) / 1000)) >>small.times
  cmp small "small.$run"
done
echo "median $(median <small.times) us ($(spread <small.times))"
kill $node
wait $node || true

echo "## a node with 100,000 files"
mkdir -p files
for ((n = 0; n < 100; n++)); do
  mkdir "files/$n"
  head -c 2000000 /dev/urandom | split -b 2000 -a 3 - "files/$n/"
done
began=$(now)
start many -d files
echo "ready after $(milliseconds_since "$began") ms, the first time"
until grep -q 'folder shared' many.err; do sleep 0.05; done
echo "all hashed after $(milliseconds_since "$began") ms, memory $(peak_memory $node)"
kill -9 $node
wait $node 2>/dev/null || true
began=$(now)
start many -d files
echo "ready after $(milliseconds_since "$began") ms, killed before"
until grep -q 'folder shared' many.err; do sleep 0.05; done
echo "memory $(peak_memory $node)"
kill $node
wait $node || true
began=$(now)
start many -d files
echo "ready after $(milliseconds_since "$began") ms, ended before"
