# shellcheck shell=bash
# What the scripts that measure share. They source it.

# The nodes must not meet other nodes on the local network.
export PELAGO_NETWORK_MDNS=false

# What runs a program in a network namespace, and the address of its nodes there.
inside=() node_ip=127.0.0.1

# Figures

now() { date +%s%N; }
milliseconds_since() { echo $((($(now) - $1) / 1000000)); }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
spread() { sort -n | awk 'NR == 1 {low = $1} {high = $1} END {print low " to " high}'; }
ratio() { awk "BEGIN {printf \"%.2f\n\", $1 / $2}"; }
# The highest resident memory of process $1, in MiB.
peak_memory() { awk '/VmHWM/ {print int($2 / 1024)}' "/proc/$1/status"; }
# The clock ticks of CPU that process $1 has used, 100 a second.
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
# The first number and the first text called $1 of the JSON document on stdin.
number() { grep -o "\"$1\":[0-9.]*" | head -n 1 | cut -d : -f 2; }
text() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

# Content: random bytes, the same in each run, as the name of the file is the seed.

random_bytes() {
  local key
  key=$(md5sum <<<"$2" | cut -d ' ' -f 1)
  head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K "$key" -iv 0 2>/dev/null
}
# Writes the file $2 with $1 bytes, if it is not there.
random_file() { [[ -f $2 ]] || random_bytes "$1" "${2##*/}" >"$2"; }
# Writes $1 files of $2 to $3 bytes below the folder $4, 1,000 a folder.
random_tree() {
  mkdir "$4"
  random_bytes $(($1 * $3)) "${4##*/}" | perl -e '
    ($count, $low, $high, $tree) = @ARGV;
    for $n (0 .. $count - 1) {
      $folder = "$tree/" . int($n / 1000);
      mkdir $folder unless $n % 1000;
      # Sizes in an order that looks random.
      read STDIN, $data, $low + $n * 7919 % ($high - $low + 1);
      open $out, ">", "$folder/" . $n % 1000 or die $!;
      print $out $data;
      close $out;
    }
    # All of the input, so that its writer does not fail.
    1 while read STDIN, $data, 1 << 20' "$@"
}

# Nodes

# Sets $pelago to the path of the binary to measure.
find_pelago() {
  pelago=$(realpath -m "${PELAGO:-$(dirname "$0")/../target/dist/pelago}")
  [[ -x $pelago ]] ||
    { echo "$pelago is missing: run cargo build --profile dist, or set PELAGO" >&2 && exit 1; }
}
# Moves into $folder, a new one below the current one. At the end, ends all jobs and removes it.
enter_new_folder() {
  folder=$(mktemp -d "$PWD/measure.XXXXXX")
  readonly folder
  cd "$folder" || exit
  trap leave_folder EXIT
}
leave_folder() {
  stop_jobs
  cd ..
  rm -rf "$folder"
}
# Ends all jobs, and what `time` runs in them.
stop_jobs() {
  local job
  for job in $(jobs -p); do
    pkill -P "$job" || true
    kill "$job" 2>/dev/null || true
  done
  wait
}
# Waits until the file $2, which process $1 writes, has a line that contains $3. If
# the process ends or takes over 300 s, prints the file $4, its errors, and fails.
wait_for_line() {
  local start=$SECONDS
  until grep -q "$3" "$2"; do
    { kill -0 "$1" 2>/dev/null && ((SECONDS - start < 300)); } || { cat "$4" >&2 && return 1; }
    sleep 0.005
  done
}
# Starts a node on the data folder $1 with the other arguments. Sets $address, and $node to its process.
start() {
  local data=$1
  shift
  : >"$data.out"
  "${inside[@]}" "$pelago" --data-dir "$data" start -p 0 --discovery false --listen "/ip4/$node_ip/tcp/0" "$@" \
    >"$data.out" 2>"$data.err" &
  node=$!
  wait_for_line $node "$data.out" ready "$data.err" || return
  # shellcheck disable=SC2034 # for the script
  address=$(grep -o "/ip4/$node_ip/tcp/[^ ]*" "$data.out" | head -n 1)
}
stop() {
  kill "$1"
  wait "$1" || true
}
# Shares $2 with the node on the data folder $1, and prints the hash.
share() { "${inside[@]}" "$pelago" --data-dir "$1" --json share "$2" | text hash; }

# Hosts: a network namespace each, with limited bandwidth up and down, all on one bridge.
#
#   host 0 ──┬── bridge ──┬── host 1
#            └────────────┴── ... host N

readonly network=pelago-hosts-$$

address_of() { echo "10.78.$(($1 / 250)).$(($1 % 250 + 1))"; }
# Creates host 0 to host $1 with $2 Mbit/s each way. Removes networks of scripts that were killed:
# the names of their namespaces contain their process ids.
create_network() {
  local n namespace
  for namespace in $(ip netns list | awk '/^pelago-hosts-/ {print $1}'); do
    [[ -d /proc/$(cut -d - -f 3 <<<"$namespace") ]] || remove_namespace "$namespace"
  done
  ip netns add "$network-bridge"
  ip -n "$network-bridge" link add bridge type bridge
  ip -n "$network-bridge" link set bridge up
  for ((n = 0; n <= $1; n++)); do
    namespace=$network-$n
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
    ip link add lan netns "$namespace" type veth peer name "host$n" netns "$network-bridge"
    ip -n "$namespace" address add "$(address_of "$n")/16" dev lan
    ip -n "$network-bridge" link set "host$n" master bridge up
    ip -n "$namespace" link set lan up
    # Up and down.
    limit_rate "$namespace" lan "$2"
    limit_rate "$network-bridge" "host$n" "$2"
  done
}
limit_rate() { tc -n "$1" qdisc add dev "$2" root tbf rate "${3}mbit" burst 256kb latency 100ms; }
remove_network() {
  local namespace
  for namespace in $(ip netns list | awk '{print $1}'); do
    [[ $namespace != "$network"-* ]] || remove_namespace "$namespace"
  done
}
# Ends the processes in a namespace, and removes it with its cables.
remove_namespace() {
  local pids
  pids=$(ip netns pids "$1" 2>/dev/null || true)
  # shellcheck disable=SC2086 # one word a process
  [[ -z $pids ]] || kill -9 $pids 2>/dev/null || true
  ip netns delete "$1" 2>/dev/null || true
}
# Prints what host 0 has sent, headers included.
sent_by_seed() { ip netns exec "$network-0" cat /sys/class/net/lan/statistics/tx_bytes; }
