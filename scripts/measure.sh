#!/usr/bin/env bash
# Measures the figures of docs/PERFORMANCE.md, in a new folder below the current one:
#
#   cargo build --profile dist && scripts/measure.sh           # all cases
#   scripts/measure.sh one_source kills                    # these
#   scripts/measure.sh --help                              # their names
#
# Random bytes, default settings, loopback; files are compared outside the clock. Needs openssl, perl,
# curl, some 11 GB of disk and a quiet machine. `dead` needs root; `folder` uses strace if it is
# installed. scripts/swarm.sh measures how a file spreads over a network with limited bandwidth. PELAGO
# names another binary.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

readonly cases="hashing one_source cold many_files sources concurrent kills dead folder gateway"
readonly gib2=2147483648

rate() { echo $((gib2 / 1000 / $1)); } # MB/s, if 2 GiB take $1 milliseconds
mebibytes() { awk "BEGIN {printf \"%.1f MiB\n\", $1 / 1048576}"; }
download() { "${inside[@]}" "$pelago" --data-dir sink -q download "$@" >/dev/null; }

hashing() {
  local began ours theirs
  echo "## hashing 2 GiB, warm"
  random_file $gib2 big
  cat big >/dev/null
  for _ in 1 2 3 4 5; do
    began=$(now)
    "$pelago" --data-dir hashing -q hash big >/dev/null
    ours=$(rate "$(milliseconds_since "$began")")
    theirs=$(openssl speed -multi "$(nproc)" -bytes 16384 -seconds 2 -evp sha256 2>/dev/null |
      awk '/^sha256/ {print int($2 / 1000)}')
    echo "$ours MB/s, openssl $theirs MB/s, ratio $(ratio "$ours" "$theirs")"
  done
}

# Downloads `big`, whose hash is $1, five times from the following addresses. Prints times and memory.
big_download() {
  local hash=$1 began run from=()
  shift
  for run in "$@"; do from+=(--peer "$run"); done
  rm -f runs.times memory
  for run in 1 2 3 4 5; do
    rm -f copy
    began=$(now)
    /usr/bin/time -f "%M" -a -o memory "$pelago" --data-dir sink -q download "$hash" "${from[@]}" \
      -o copy >/dev/null
    milliseconds_since "$began" >>runs.times
    cmp big copy
  done
  rm copy
  echo "median $(median <runs.times) ms ($(spread <runs.times)), $(rate "$(median <runs.times)") MB/s, memory of the \
sink $(($(sort -n memory | tail -n 1) / 1024)) MiB"
}

one_source() {
  echo "## 2 GiB, one source"
  random_file $gib2 big
  start source
  big_download "$(share source big)" "$address"
  echo "memory of the source $(peak_memory $node) MiB"
  stop $node
}

cold() {
  local hash began run
  echo "## 1 KB, cold command"
  random_file 1024 small
  start source
  hash=$(share source small)
  rm -f small.times
  for run in $(seq 41); do
    rm -f small.copy
    began=$(now)
    download "$hash" --peer "$address" -o small.copy
    echo $((($(now) - began) / 1000)) >>small.times
    cmp small small.copy
  done
  echo "median $(median <small.times) us ($(spread <small.times))"
  stop $node
}

many_files() {
  local began n
  echo "## a node with 100,000 files"
  mkdir files
  for ((n = 0; n < 100; n++)); do
    mkdir "files/$n"
    head -c 2000000 /dev/urandom | split -b 2000 -a 3 - "files/$n/"
  done
  began=$(now)
  start many -d files
  echo "ready after $(milliseconds_since "$began") ms, the first time"
  until grep -q 'scanned a watched folder' many.err; do sleep 0.05; done
  echo "all hashed after $(milliseconds_since "$began") ms, memory $(peak_memory $node) MiB"
  kill -9 $node
  wait $node 2>/dev/null || true
  began=$(now)
  start many -d files
  echo "ready after $(milliseconds_since "$began") ms, killed before"
  until grep -q 'scanned a watched folder' many.err; do sleep 0.05; done
  echo "memory $(peak_memory $node) MiB"
  stop $node
  began=$(now)
  start many -d files
  echo "ready after $(milliseconds_since "$began") ms, ended before"
  stop $node
  rm -rf files
}

sources() {
  local n hash nodes=() addresses=()
  echo "## 2 GiB, four sources and one"
  random_file $gib2 big
  for n in 1 2 3 4; do
    start "source.$n"
    nodes+=("$node")
    addresses+=("$address")
    hash=$(share "source.$n" big)
  done
  echo "one:  $(big_download "$hash" "${addresses[0]}")"
  echo "four: $(big_download "$hash" "${addresses[@]}")"
  for node in "${nodes[@]}"; do stop "$node"; done
}

# One running node downloads; the commands only ask it to.
concurrent() {
  local n hash hashes=() source began alone running=()
  echo "## 50 downloads of 20 MiB from one source: one after another, and concurrently"
  start source
  source=$node
  for n in $(seq 50); do
    random_file $((20 << 20)) "twenty.$n"
    hashes+=("$(share source "twenty.$n")")
  done
  start sink -b "$address"
  began=$(now)
  for n in $(seq 50); do
    download "${hashes[n - 1]}" --peer "$(source_address)" -o "twenty.$n.copy"
  done
  alone=$(milliseconds_since "$began")
  echo "one after another $alone ms, memory of the sink $(peak_memory $node) MiB, of the source $(peak_memory $source) MiB"
  stop $node
  compare_twenties
  rm -rf sink
  start sink -b "$(source_address)"
  began=$(now)
  for n in $(seq 50); do
    download "${hashes[n - 1]}" --peer "$(source_address)" -o "twenty.$n.copy" &
    running+=($!)
  done
  wait "${running[@]}"
  began=$(milliseconds_since "$began")
  echo "concurrently $began ms ($(ratio "$began" "$alone") of that), memory of the sink $(peak_memory $node) MiB, of the source $(peak_memory $source) MiB"
  stop $node
  compare_twenties
  stop $source
  rm -f twenty.*
}
source_address() { grep -o '/ip4/127.0.0.1/tcp/[^ ]*' source.out | head -n 1; }
compare_twenties() {
  local n
  for n in $(seq 50); do
    cmp "twenty.$n" "twenty.$n.copy"
    rm "twenty.$n.copy"
  done
}

kills() {
  local hash points point killed=0 sent running
  echo "## 2 GiB with up to 20 random kill -9 on the way"
  random_file $gib2 big
  start source
  hash=$(share source big)
  rm -f copy copy.part
  # The sizes in KiB at which the download is killed.
  points=$(for _ in $(seq 20); do echo $((RANDOM * 64)); done | sort -n)
  for point in $points; do
    "$pelago" --data-dir sink -q download "$hash" --peer "$address" -o copy >/dev/null 2>&1 &
    running=$!
    # The file is sparse: its blocks are what has arrived.
    while kill -0 $running 2>/dev/null; do
      (($(stat -c %b copy.part 2>/dev/null || echo 0) / 2 <= point)) || break
      sleep 0.002
    done
    [[ ! -f copy ]] || break
    kill -9 $running 2>/dev/null && killed=$((killed + 1))
    wait $running 2>/dev/null || true
  done
  download "$hash" --peer "$address" -o copy
  cmp big copy
  sent=$(sent_to_sink)
  echo "killed $killed times; the source sent $(mebibytes $((sent - gib2))) more than the file, \
$(mebibytes $(((sent - gib2) / killed))) a kill"
  stop $node
  rm copy
}
# Prints what the source has sent to the node on the data folder `sink`, now and earlier. The source counts
# by peer, and lists connected peers only.
sent_to_sink() {
  local source=$node sink sent=
  start sink -b "$(source_address)"
  sink=$node
  node=$source
  until sent=$("$pelago" --data-dir source --json peers | number sent_bytes) && [[ -n $sent ]]; do
    sleep 0.05
  done
  stop "$sink" >/dev/null
  echo "$sent"
}

# Ten sources have 256 MiB; 290 are dead. Half of these refuse connections, the others (in a namespace,
# behind a cable without another end) never answer.
dead() {
  local n hash nodes=() alive=() dead=() space=pelago-measure-$$ alone among
  echo "## 256 MiB from 10 sources, and from the same among 290 that are dead"
  [[ $(id -u) == 0 ]] || { echo "skipped: a cable that leads nowhere takes root" && return; }
  random_file $((256 << 20)) quarter
  ip netns add "$space"
  ip -n "$space" link set lo up
  ip -n "$space" link add lan type veth peer name nowhere
  ip -n "$space" address add 10.79.0.1/16 dev lan
  ip -n "$space" link set lan up
  ip -n "$space" link set nowhere up
  inside=(ip netns exec "$space")
  for n in $(seq 10); do
    start "source.$n"
    nodes+=("$node")
    alive+=("$address")
    hash=$(share "source.$n" quarter)
  done
  for n in $(seq 145); do
    dead+=("/ip4/127.0.0.1/tcp/$n")
    # The neighbour is known, so that the system does not report it as unreachable.
    ip -n "$space" neighbour add "10.79.1.$n" lladdr 02:00:00:00:00:01 dev lan
    dead+=("/ip4/10.79.1.$n/tcp/8080")
  done
  alone=$(quarter_download "$hash" "${alive[@]}")
  # shellcheck disable=SC2046 # one word an address
  among=$(quarter_download "$hash" $(printf '%s\n' "${alive[@]}" "${dead[@]}" | shuf))
  echo "alone $alone ms, among the dead $among ms: $(ratio "$among" "$alone") times"
  for node in "${nodes[@]}"; do stop "$node"; done
  inside=()
  ip netns delete "$space"
}
# Prints the median of five downloads of `quarter` from these addresses, in milliseconds.
quarter_download() {
  local hash=$1 began run from=()
  shift
  for run in "$@"; do from+=(--peer "$run"); done
  rm -f runs.times
  for run in 1 2 3 4 5; do
    rm -f copy
    began=$(now)
    download "$hash" "${from[@]}" -o copy
    milliseconds_since "$began" >>runs.times
    cmp quarter copy
  done
  rm copy
  median <runs.times
}

folder() {
  local n hash began
  echo "## a folder of 20,000 files of 1 to 6 KB"
  random_tree 20000 1024 6143 tree
  start source
  began=$(now)
  if ! hash=$(share source tree) || [[ -z $hash ]]; then
    echo "skipped: folders cannot be shared yet"
    stop $node
    return
  fi
  echo "shared after $(milliseconds_since "$began") ms, memory $(peak_memory $node) MiB"
  rm -f runs.times
  for n in 1 2 3; do
    rm -rf copy
    began=$(now)
    download "$hash" --peer "$address" -o copy
    milliseconds_since "$began" >>runs.times
    diff -r tree copy
  done
  echo "downloaded after $(median <runs.times) ms ($(spread <runs.times))"
  if command -v strace >/dev/null; then
    rm -rf copy
    strace -f -c -o calls -e trace=fsync,fdatasync,syncfs,sync,sync_file_range \
      "$pelago" --data-dir sink -q download "$hash" --peer "$address" -o copy >/dev/null
    awk '$NF == "total" {print "syncs of one download: " $(NF - 1)}' calls
  fi
  stop $node
  rm -rf tree copy
}

# Reads a file through the gateway of a node that does not have it, from a new source, and compares that
# with `download`. The two take turns, as the machine's speed drifts. What one has written is removed
# before the other begins, so that the system does not write it to the disk meanwhile.
gateway() {
  local hash run began source from url
  echo "## 1 GiB through the gateway, not here yet, and by \`download\`"
  random_file $((1 << 30)) gib
  start source
  source=$node from=$address
  hash=$(share source gib)
  rm -f first.times gateway.times runs.times
  for run in 1 2 3 4 5; do
    rm -rf reader sink
    began=$(now)
    download "$hash" --peer "$from" -o copy
    milliseconds_since "$began" >>runs.times
    rm -rf copy sink
    start reader
    url=$("$pelago" --data-dir reader link "pelago:$hash?peer=${from%%/p2p/*}" --http)
    # The time to the first byte includes the connection to the source.
    curl -s -o /dev/null -r 0-0 -w '%{time_starttransfer}\n' "$url" | awk '{print int($1 * 1000000)}' >>first.times
    stop $node
    start reader
    url=$("$pelago" --data-dir reader link "pelago:$hash?peer=${from%%/p2p/*}" --http)
    began=$(now)
    curl -s -o /dev/null "$url"
    milliseconds_since "$began" >>gateway.times
    curl -s "$url" | cmp - gib
    echo "memory of the reader $(peak_memory $node) MiB"
    stop $node
  done
  stop "$source"
  echo "first byte: median $(median <first.times) us ($(spread <first.times))"
  echo "gateway: median $(median <gateway.times) ms ($(spread <gateway.times)); download: median \
$(median <runs.times) ms ($(spread <runs.times)); rate $(ratio "$(median <runs.times)" "$(median <gateway.times)") of that of download"
  rm -rf copy reader gib
}

wanted=("$@")
((${#wanted[@]})) || read -r -a wanted <<<"$cases"
for case in "${wanted[@]}"; do
  [[ " $cases " == *" $case "* ]] || { echo "cases: $cases" && exit 2; }
done

find_pelago
enter_new_folder
trap 'ip netns delete "pelago-measure-$$" 2>/dev/null || true; leave_folder' EXIT
for case in "${wanted[@]}"; do "$case"; done
