#!/usr/bin/env bash
# Measures Pelago beside its peers in one sitting, in a new folder below the current one, and prints
# Markdown tables with medians, and how many times as long as Pelago each tool takes:
#
#   cargo build --profile dist && sudo scripts/measure-peers.sh     # all of it; 8 GB of disk
#   scripts/measure-peers.sh --short                                # the same with little content
#   scripts/measure-peers.sh --cases one-source,cold --tools pelago,libtorrent2 --rounds 3
#
# | case | what each tool downloads |
# |---|---|
# | one-source | 2 GiB from one source over loopback |
# | hosts | 100 MiB from one source to 8 hosts (--hosts) at once, each with 100 Mbit/s each way; needs root |
# | small-files | a folder of 20,000 files of 1 to 8 KiB over loopback; `cp -r` copies it, too |
# | cold | 1 KB over loopback, in 8 times as many rounds |
#
# | tool | command |
# |---|---|
# | pelago | `pelago download`, which waits until the content would survive a power cut |
# | no-sync | `pelago download --no-sync`, which does not wait; not in `hosts`, as it does not share |
# | libtorrent1, libtorrent2 | libtorrent_peer.py, with a torrent of BitTorrent v1 or v2 |
# | rqbit | `rqbit download` |
# | sendme | `sendme receive` |
#
# A round runs each tool once, in turn, and the next one begins with the next tool; there are 5
# (--rounds). A time is that of a whole command in an empty folder. Each tool has one source for all
# rounds, which is idle while the others run. Before each run, what was downloaded is removed, memory for
# a large file is touched, and `sync` runs; the content of the source is in memory. After it
# all content is compared. The content is random, and the same each time. A tool that is not installed is
# left out.
#
# Discovery of every kind is off. As root, everything runs in a network namespace without a way out:
# sendme has no flag against looking peers up by DNS. In `hosts`, BitTorrent peers know the addresses of
# all hosts, as from a tracker, and the others that of the source. Pelago and sendme encrypt; rqbit does
# not, and libtorrent, by default, encrypts handshakes only.
#
# PELAGO, PYTHON, RQBIT and SENDME name other binaries. Needs bash 5, curl, GNU time, openssl and perl.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

fail() { echo "$*" >&2 && exit 2; }
# Prints the names in $2, with commas between them, one a line. Fails if one is not among those in $1.
choose() {
  local name
  for name in ${2//,/ }; do
    [[ " $1 " == *" $name "* ]] || fail "$name is not one of: $1"
    echo "$name"
  done
}

all_cases="one-source hosts small-files cold"
all_tools="pelago no-sync libtorrent1 libtorrent2 rqbit sendme"
cases=$all_cases tools=$all_tools
rounds=5 hosts=8 big="2 GiB" medium="100 MiB" files=20000 cold_rounds=8
# A download that takes more seconds has failed.
readonly limit=300

arguments=("$@")
while (($#)); do
  case $1 in
  --rounds) rounds=${2:?} && shift ;;
  --hosts) hosts=${2:?} && shift ;;
  --cases) cases=$(choose "$all_cases" "${2:?}") && shift ;;
  --tools) tools=$(choose "$all_tools" "${2:?}") && shift ;;
  --short) rounds=1 hosts=3 big="64 MiB" medium="8 MiB" files=1000 cold_rounds=3 ;;
  *) fail "$1 is not an option: see the head of $0" ;;
  esac
  shift
done

is_root() { [[ $(id -u) == 0 ]]; }
if is_root; then
  [[ -n ${IS_ISOLATED:-} ]] || IS_ISOLATED=yes exec unshare --net "$0" "${arguments[@]}"
  ip link set lo up
  # rqbit keeps all files of a torrent open, and fails where this is not allowed.
  ulimit -n 100000 2>/dev/null || true
fi

# The tools. Of each, `offer_` starts a source of the content $1 in the folder $source, and sets $node to
# its process and $offer to what a download needs to know. `download_` sets $command to the download of
# that into the current folder, as $name, by a node with the address $node_ip and the port $port.

libtorrent_peer=$(realpath "$(dirname "$0")/libtorrent_peer.py")
python="" rqbit="" sendme=""
readonly rqbit_flags=(-v info --ipv4-only --disable-dht --disable-lsd --disable-trackers
  --disable-upnp-port-forward)
readonly sendme_flags=(--no-progress --relay disabled --magic-ipv6-addr "[::1]:0")

offer_pelago() {
  start "$source/data" || return
  offer="$(share "$source/data" "$1") $address"
}
download_pelago() {
  local hash from
  read -r hash from <<<"$offer"
  command=("$pelago" --data-dir data -q download "$hash" --peer "$from" -o "$name")
  [[ $tool != no-sync ]] || command+=(--no-sync)
}

offer_libtorrent() {
  "$python" "$libtorrent_peer" create "${tool#libtorrent}" "$1" "$source/torrent" || return
  "${inside[@]}" "$python" "$libtorrent_peer" seed "$source/torrent" "$(dirname "$1")" "$node_ip:0" \
    >"$source/out" 2>"$source/err" &
  node=$!
  wait_for_line $node "$source/out" "$node_ip:" "$source/err" || return
  offer="$source/torrent $(head -n 1 "$source/out")"
}
download_libtorrent() {
  local torrent from
  read -r torrent from <<<"$offer"
  command=("$python" "$libtorrent_peer" get "$torrent" . "$node_ip:$port" "$from" "${others[@]}")
}

offer_rqbit() {
  local listen api
  listen=$(free_port) api=127.0.0.1:$(free_port)
  # A copy, as it opens for writing what it shares, which makes Pelago prove each chunk before sending it.
  cp -r "$1" "$source/$name"
  "${inside[@]}" "$rqbit" "${rqbit_flags[@]}" --listen-ip "$node_ip" --listen-port "$listen" \
    --http-api-listen-addr "$api" share "$source/$name" >"$source/out" 2>&1 &
  node=$!
  wait_for_line $node "$source/out" "Initial check results" "$source/out" || return
  "${inside[@]}" curl -sSf "http://$api/torrents/0/metadata" -o "$source/torrent" || return
  offer="$source/torrent $node_ip:$listen"
}
download_rqbit() {
  local torrent from
  read -r torrent from <<<"$offer"
  printf -v from '%s,' "$from" "${others[@]}"
  command=("$rqbit" "${rqbit_flags[@]}" --listen-ip "$node_ip" --listen-port "$port" download
    --disable-http-api -e -o . --initial-peers "${from%,}" "$torrent")
}

offer_sendme() {
  (cd "$source" && exec "${inside[@]}" "$sendme" send "${sendme_flags[@]}" --magic-ipv4-addr "$node_ip:0" \
    --ticket-type addresses "$1") >"$source/out" 2>"$source/err" </dev/null &
  node=$!
  wait_for_line $node "$source/out" "sendme receive" "$source/err" || return
  offer=$(awk '/sendme receive/ {print $3}' "$source/out")
}
download_sendme() {
  command=("$sendme" receive "${sendme_flags[@]}" --magic-ipv4-addr "$node_ip:0" "$offer")
}

download_cp() { command=(cp -r "$folder/content/$name" "$name"); }

# The functions of $tool are called after this.
kind() {
  case $tool in
  no-sync) echo pelago ;;
  *) echo "${tool%[12]}" ;;
  esac
}
label() {
  case $tool in
  pelago) echo "Pelago" ;;
  no-sync) echo "Pelago, \`--no-sync\`" ;;
  libtorrent?) echo "libtorrent, v${tool#libtorrent}" ;;
  cp) echo "\`cp -r\`" ;;
  *) echo "$tool" ;;
  esac
}
free_port() {
  perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

find_program() {
  local path
  path=$(command -v "$1") && realpath "$path"
}
find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" /usr/bin/python3; do
    ! "$candidate" -c 'import sys, libtorrent; print(sys.executable)' 2>/dev/null || return 0
  done
  return 1
}
find_tools() {
  local wanted=$tools tool
  tools="" versions=()
  for tool in $wanted; do
    case $tool in
    pelago | no-sync) versions+=("$("$pelago" --version | sed s/p/P/)") ;;
    libtorrent?)
      python=$(find_python) || { echo "$tool is left out: apt install python3-libtorrent" >&2 && continue; }
      versions+=("libtorrent $("$python" "$libtorrent_peer" version) ($("$python" --version))")
      ;;
    *)
      local -n variable=${tool^^} program=$tool
      program=$(find_program "${variable:-$tool}") ||
        { echo "$tool is left out: cargo install $tool, or set ${tool^^} to its path" >&2 && continue; }
      versions+=("$("$program" --version)")
      ;;
    esac
    tools+=" $tool"
  done
}

# Starts the sources of the content $name in this case.
declare -A offers nodes
offer_all() {
  local source
  for tool in $tools; do
    [[ $case != hosts || $tool != no-sync ]] || continue
    source=$folder/source.$tool
    mkdir "$source"
    touch "$source/out"
    if "offer_$(kind)" "$folder/content/$name"; then
      offers[$tool]=$offer nodes[$tool]=$node
    else
      give_up "its source did not start" "$source/out"
    fi
  done
}
stop_all() {
  for tool in "${!nodes[@]}"; do stop "${nodes[$tool]}" 2>/dev/null; done
  offers=() nodes=()
  rm -rf source.* sink
}
# Reports that $tool failed at $1, with the end of the log $2, and leaves it out from here on.
give_up() {
  echo "$case: $tool is left out, as $1" >&2
  tail -n 5 "$2" >&2
  echo "failed" >"results/$case.$tool"
  has_failed=yes
}
has_given_up() { [[ $(cat "results/$case.$tool" 2>/dev/null) == failed ]]; }
# Appends to the results of $tool: microseconds first.
record() {
  echo "$*" >>"results/$case.$tool"
  echo "$case, round $round of $count: $tool $(seconds "$1") s" >&2
}
seconds() { awk "BEGIN {printf \"%.3f\", $1 / 1000000}"; }
# Is what arrived in the folder $1 correct?
is_correct() {
  if [[ -d content/$name ]]; then diff -rq "content/$name" "$1/$name"; else cmp "content/$name" "$1/$name"; fi
}

# Uses as much free memory as the content takes. A virtual machine may have given it back to its host,
# and the first tool that uses it again would wait for the host.
touch_memory() {
  if [[ $case == one-source ]]; then
    cp "content/$name" warm
    rm warm
  fi
}

# One round of $tool over loopback. Records the time, CPU seconds of source and sink, and MiB of both.
over_loopback() {
  local node=${nodes[$tool]:-} offer=${offers[$tool]:-} others=() port=0 meter=()
  local command began took watchdog process status=0 before=0 usage="0 0 0" cpu=0 memory=0
  rm -rf sink
  mkdir sink
  "download_$(kind)"
  # It costs a millisecond.
  [[ $case == cold ]] || meter=(/usr/bin/time -q -o "$folder/usage" -f "%U %S %M")
  touch_memory
  sync
  if [[ -n $node ]]; then
    # From here on the kernel records the peak anew.
    echo 5 >"/proc/$node/clear_refs"
    before=$(ticks "$node")
  fi
  sleep $limit &
  watchdog=$!
  began=${EPOCHREALTIME/[.,]/}
  (cd sink && exec "${meter[@]}" "${command[@]}") >out 2>&1 </dev/null &
  process=$!
  wait -n $process $watchdog || status=$?
  took=$((${EPOCHREALTIME/[.,]/} - began))
  if kill $watchdog 2>/dev/null; then
    wait $watchdog 2>/dev/null || true
  else
    pkill -KILL -P $process || true
    kill -KILL $process 2>/dev/null || true
    give_up "it took over $limit s" out && return
  fi
  ((status == 0)) || { give_up "it ended with status $status" out && return; }
  is_correct sink || { give_up "what arrived is wrong" out && return; }
  if [[ -n $node ]]; then
    cpu=$(($(ticks "$node") - before)) memory=$(peak_memory "$node")
  fi
  [[ $case == cold ]] || usage=$(<usage)
  record "$took" "$(awk -v ticks="$cpu" -v memory="$memory" \
    '{print ticks / 100, $1 + $2, memory, int($3 / 1024)}' <<<"$usage")"
}

# One round of $tool to all hosts. Records the time of the last host, that of the first one, and what the
# source sent, in hundredths of the content.
to_all_hosts() {
  local offer=${offers[$tool]} port=6881 gate n m others command began sent running=()
  rm -rf sink gate
  mkfifo gate
  exec {gate}<>gate
  sync
  : >finished
  sent=$(sent_by_seed)
  # A moment for the shells to arrive at the gate, which opens for all at once.
  began=$((${EPOCHREALTIME/[.,]/} + 500000))
  for ((n = 1; n <= hosts; n++)); do
    mkdir -p "sink/$n"
    others=()
    for ((m = 1; m <= hosts; m++)); do ((m == n)) || others+=("$(address_of $m):$port"); done
    (
      node_ip=$(address_of $n)
      "download_$(kind)"
      cd "sink/$n"
      read -r _ <&"$gate"
      timeout $limit ip netns exec "$network-$n" "${command[@]}" >"../$n.out" 2>&1 </dev/null
      echo $((${EPOCHREALTIME/[.,]/} - began)) >>"$folder/finished"
    ) &
    running+=($!)
  done
  while ((${EPOCHREALTIME/[.,]/} < began)); do sleep 0.001; done
  for ((n = 1; n <= hosts; n++)); do echo; done >gate
  exec {gate}>&-
  for n in "${!running[@]}"; do
    wait "${running[n]}" || { give_up "a host failed or took over $limit s" "sink/$((n + 1)).out" && return; }
  done
  sent=$(($(sent_by_seed) - sent))
  for ((n = 1; n <= hosts; n++)); do
    is_correct "sink/$n" || { give_up "what arrived is wrong" "sink/$n.out" && return; }
  done
  record "$(sort -n finished | tail -n 1)" "$(sort -n finished | head -n 1)" \
    $((sent * 100 / $(stat -c %s "content/$name")))
}

# The median of column $1 of the results of $tool.
column() { cut -d ' ' -f "$1" "results/$case.$tool" | median; }
print_table() {
  local base=() title columns
  case $case in
  one-source) title="$big, one source" ;;
  hosts) title="$medium, one source, $hosts hosts" ;;
  small-files) title="$files files of 1 to 8 KiB" ;;
  cold) title="1 KB, cold" ;;
  esac
  for tool in pelago no-sync; do
    if [[ -f results/$case.$tool ]] && ! has_given_up; then base+=("$(column 1)"); else base+=(0); fi
  done
  case $case in
  hosts) columns="last host | least to most | times Pelago | first host | sent by the source" ;;
  cold) columns="median of $count | least to most | times Pelago | times \`--no-sync\`" ;;
  *) columns="median of $count | least to most | times Pelago | times \`--no-sync\` | CPU, source + sink \
| memory, source + sink" ;;
  esac
  printf '\n| %s | %s |\n|---%s|\n' "$title" "$columns" "$(tr -cd '|' <<<"| $columns" | sed 's/|/|---/g')"
  for tool in $all_tools cp; do
    [[ -f results/$case.$tool ]] || continue
    if has_given_up; then
      echo "| $(label) | failed |"
      continue
    fi
    echo "$(column 1) $(cut -d ' ' -f 1 "results/$case.$tool" | spread)" \
      "$(column 2) $(column 3) $(column 4) $(column 5)" |
      awk -v label="$(label)" -v kind="$case" -v pelago="${base[0]}" -v no_sync="${base[1]}" '
        function time(n) {
          return kind == "cold" ? sprintf("%.1f ms", n / 1000) : sprintf("%.2f s", n / 1000000)
        }
        function times(base) { return base ? sprintf("%.2f", $1 / base) : "" }
        {
          printf "| %s | %s | %s to %s | %s |", label, time($1), time($2), time($4), times(pelago)
          if (kind == "hosts") printf " %s | %.2f copies |", time($5), $6 / 100
          else printf " %s |", times(no_sync)
          if (kind ~ /one-source|small-files/) {
            if (label ~ /cp/) printf " %.2f s | %d MiB |", $6, $8
            else printf " %.2f + %.2f s | %d + %d MiB |", $5, $6, $7, $8
          }
          print ""
        }'
  done
}

# Prints the words after $1, beginning with the one of that number, and with the first after the last.
rotated() {
  local first=$((($1 - 1) % ($# - 1)))
  shift
  local words=("$@")
  echo "${words[@]:first}" "${words[@]:0:first}"
}

run_case() {
  local name round count=$rounds
  case $case in
  one-source) name=big && random_file "${big// /}" content/big ;;
  hosts) name=medium && random_file "${medium// /}" content/medium ;;
  small-files) name=tree && random_tree "$files" 1024 8192 content/tree ;;
  cold) name=small count=$((rounds * cold_rounds)) && random_file 1000 content/small ;;
  esac
  if [[ $case == hosts ]]; then
    create_network "$hosts" 100
    inside=(ip netns exec "$network-0") node_ip=$(address_of 0)
  fi
  offer_all
  [[ $case != small-files ]] || offers[cp]=""
  for ((round = 1; round <= count; round++)); do
    # shellcheck disable=SC2086 # words
    for tool in $(rotated "$round" $all_tools cp); do
      if [[ ! -v offers[$tool] ]] || has_given_up; then continue; fi
      if [[ $case == hosts ]]; then to_all_hosts; else over_loopback; fi
    done
  done
  stop_all
  if [[ $case == hosts ]]; then
    remove_network
    inside=() node_ip=127.0.0.1
  fi
  rm -rf "content/$name"
}

find_pelago
find_tools
[[ -n $tools ]] || fail "none of the tools is installed"
[[ -x /usr/bin/time ]] || fail "GNU time is missing: apt install time"
enter_new_folder
trap 'if is_root; then remove_network; fi; leave_folder' EXIT
# No tool finds settings, or leaves state, outside the folder.
export HOME=$folder PELAGO_NETWORK_NAME=$network
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME
mkdir content results

has_failed=
for case in $cases; do
  if [[ $case == hosts ]] && ! is_root; then
    echo "hosts is skipped: network namespaces take root" >&2
  else
    run_case
  fi
done

processor() { awk -F ': ' -v field="$1" '$1 ~ "^" field "\t*$" {print $2; exit}' /proc/cpuinfo; }
abilities=$(processor "(flags|Features)" | tr ' ' '\n' | grep -xE 'aes|vaes|sha_ni|sha2|avx2|avx512f' | paste -sd ' ')
echo "$(nproc) cores of $(processor "model name") (family $(processor "cpu family"), model $(processor model);" \
  "$abilities), $(uname -sr), $(df --output=fstype . | tail -n 1), $rounds rounds in turn."
echo "$(printf '%s\n' "${versions[@]}" "$(cp --version | head -n 1)" | sort -u | paste -sd , | sed 's/,/, /g')."
for case in $cases; do
  count=$rounds
  [[ $case != cold ]] || count=$((rounds * cold_rounds))
  ! ls "results/$case".* >/dev/null 2>&1 || print_table
done
[[ -z $has_failed ]]
