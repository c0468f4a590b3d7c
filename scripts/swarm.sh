#!/usr/bin/env bash
# Measures how one file spreads from one seed to many downloaders that begin at the same moment. Each has
# a network namespace with limited bandwidth up and down; all are on one bridge.
#
#   cargo build --profile dist && sudo scripts/swarm.sh [--kill 3]
#
#           seed ──┬── bridge ──┬── host 1       each host knows only the address of the seed
#                  └────────────┴── ... host N
#
# Prints when each host was done, in seconds since the common start, and what the seed sent, headers
# included, over the size of the file. Files are compared outside the clock. The minimum time is the size
# over the bandwidth (8.4 s for 100 MiB at 100 Mbit/s). What hosts do not give to each other, all of them
# take from the seed at the same time.
#
#   --hosts N      downloaders (8)
#   --size N       MiB of the file (100)
#   --rate N       Mbit/s of every host, each way (100)
#   --kill N       kill -9 N hosts when they are half-way, and restart them immediately (0)
#   --one-shot     each host runs one `pelago download --peer SEED` and no other node
#   --logs DIR     keep the logs of the nodes in this folder
#
# Needs root, iproute2 and, in TMPDIR, space for every copy. PELAGO names another binary.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

hosts=8 size=100 rate=100 kills=0 is_one_shot="" logs=""
while (($#)); do
  case $1 in
  --hosts) hosts=$2 && shift ;;
  --size) size=$2 && shift ;;
  --rate) rate=$2 && shift ;;
  --kill) kills=$2 && shift ;;
  --one-shot) is_one_shot=yes ;;
  --logs) logs=$(realpath "$2") && shift ;;
  *) echo "$1 is not an option: see the head of $0" >&2 && exit 2 ;;
  esac
  shift
done
find_pelago
[[ $(id -u) == 0 ]] || { echo "network namespaces take root: sudo $0" >&2 && exit 1; }

folder=$(mktemp -d "${TMPDIR:-/tmp}/$network.XXXXXX")
clean_up() {
  remove_network
  # shellcheck disable=SC2046 # one word a job
  kill $(jobs -p) 2>/dev/null || true
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Runs pelago on host $1, without discovery.
on() {
  local host=$1
  shift
  PELAGO_NETWORK_NAME=$network PELAGO_STORAGE_SHARE_FOLDERS='' \
    exec ip netns exec "$network-$host" "$pelago" --data-dir "$folder/$host.data" "$@"
}
seconds() { awk -v n="$1" 'BEGIN { printf "%.2f", n / 1e9 }'; }

# Starts the node of host $1 with the other arguments, and waits until it is ready.
start_node() {
  local host=$1
  shift
  : >"$folder/$host.out"
  (on "$host" start --discovery false --listen "/ip4/$(address_of "$host")/tcp/8080" "$@") \
    >"$folder/$host.out" 2>>"$folder/$host.err" &
  echo $! >"$folder/$host.node"
  # The end of its namespace ends it; the shell must not report that.
  disown
  until grep -q '^ready' "$folder/$host.out"; do
    kill -0 "$(<"$folder/$host.node")" || { cat "$folder/$host.err" >&2 && exit 1; }
    sleep 0.01
  done
}

# What host $1 does from the common start on, and again after a kill.
get() {
  local from=()
  [[ -z $is_one_shot ]] || from=(--peer "$(address_of 0):8080")
  # The subshell becomes the command, so that this is the process to kill.
  (on "$1" --json -q download "$hash" "${from[@]}" -o "$folder/$1.copy") \
    >"$folder/$1.json" 2>>"$folder/$1.err" &
  echo $! >"$folder/$1.download"
  wait $! 2>/dev/null
}
is_half_way() {
  local blocks
  # The file is sparse: its blocks are what has arrived.
  blocks=$(stat -c %b "$folder/$1.copy.part" 2>/dev/null) && ((blocks * 512 >= size << 19))
}
run_host() {
  local host=$1 killed=
  read -r _ <&"$gate"
  get "$host" || killed=$(($(now) - began))
  while [[ -f $folder/$host.killed ]]; do
    rm "$folder/$host.killed"
    [[ -n $is_one_shot ]] || start_node "$host" -b "$seed"
    get "$host" && break
  done
  echo "$(($(now) - began)) $host${killed:+ killed after $(seconds "$killed") s}" >>"$folder/finished"
}
kill_half_way() {
  local victims=("$@") host left
  while ((${#victims[@]})); do
    left=()
    for host in "${victims[@]}"; do
      if [[ -f $folder/$host.copy ]]; then
        echo "host $host was done before it could be killed" >&2
      elif is_half_way "$host"; then
        touch "$folder/$host.killed"
        [[ -n $is_one_shot ]] || kill -9 "$(<"$folder/$host.node")"
        kill -9 "$(<"$folder/$host.download")" 2>/dev/null || true
      else
        left+=("$host")
      fi
    done
    victims=("${left[@]}")
    sleep 0.01
  done
}

create_network "$hosts" "$rate"
head -c $((size << 20)) /dev/urandom >"$folder/original"
start_node 0
hash=$(on 0 --json share "$folder/original" | text hash)
seed=$(grep -o '/ip4/10[^ ]*' "$folder/0.out" | head -n 1)

# All hosts wait at the gate, which opens for all of them at the same moment.
mkfifo "$folder/gate"
exec {gate}<>"$folder/gate"
running=()
for ((host = 1; host <= hosts; host++)); do
  [[ -n $is_one_shot ]] || start_node "$host" -b "$seed"
done
sent=$(sent_by_seed)
# A moment for the shells to arrive. Without it, the first host would begin before the last one.
began=$(($(now) + 500000000))
for ((host = 1; host <= hosts; host++)); do
  run_host "$host" &
  running+=($!)
done
while (($(now) < began)); do sleep 0.001; done
for ((host = 1; host <= hosts; host++)); do echo; done >"$folder/gate"
((!kills)) || kill_half_way $(seq "$kills")
wait "${running[@]}"
sent=$(($(sent_by_seed) - sent))

for ((host = 1; host <= hosts; host++)); do
  cmp "$folder/original" "$folder/$host.copy"
done
[[ -z $logs ]] || { mkdir -p "$logs" && cp "$folder"/*.err "$folder"/*.json "$logs"; }

echo "## $size MiB from 1 seed to $hosts hosts, $rate Mbit/s each way, $kills killed half-way"
sort -n "$folder/finished" | while read -r nanoseconds host rest; do
  echo "host $host: $(seconds "$nanoseconds") s${rest:+ ($rest)}"
done
sort -n "$folder/finished" | awk -v sent="$sent" -v size=$((size << 20)) '
  { v[NR] = $1 / 1e9 }
  END {
    printf "first %.2f s, median %.2f s, last %.2f s; ", v[1], v[int((NR + 1) / 2)], v[NR]
    printf "the seed sent %.2f times the file\n", sent / size
  }'
