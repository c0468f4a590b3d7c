#!/usr/bin/env bash
# Measures everyday work with many files, in a new folder below the current one:
#
#   cargo build --profile dist && scripts/measure_daily.sh [case]...
#
# | case | prints |
# |---|---|
# | album | an album of 60 files through the gateway, against one file of the same size |
# | pause | `pause --all` of 5,000 downloads that wait for a source |
# | removal | the time and the writes until 30,000 removed files are withdrawn |
# | chmod | bytes read of 1,000 files of 1 MiB until the node is ready, and until one is served, after `chmod -R` |
# | readers | the memory that 20 readers of 16 MiB add |
#
# Loopback. Needs curl, 4 GB of disk and a quiet machine; some 5 minutes. PELAGO names another binary.
set -euo pipefail

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

find_pelago
declare -A nodes=()
enter_new_folder

of() { "$pelago" --data-dir "$@"; }
# Prints what the system has counted for the process of node $1. $2 is rchar, wchar or write_bytes.
counted() { awk -v "what=$2:" '$1 == what {print $2}' "/proc/${nodes[$1]}/io"; }
resident() { awk '/^VmRSS/ {print $2}' "/proc/${nodes[$1]}/status"; }

# Starts the node $1, and sets $address.
start_named() {
  start "$@"
  nodes[$1]=$node
}
stop_named() {
  stop "${nodes[$1]}"
  unset "nodes[$1]"
}

album() {
  local size=$((4 << 20)) at link began urls
  mkdir -p source.d/album
  for ((at = 10; at < 70; at++)); do head -c $size /dev/urandom >source.d/album/$at; done
  head -c $((60 * size)) /dev/urandom >source.d/one
  start_named source
  local album one
  album=$(of source --json share source.d/album | text link)
  one=$(of source --json share source.d/one | text link)
  for _ in 1 2 3 4 5; do
    for what in album one; do
      rm -rf reader
      start_named reader
      if [[ $what == album ]]; then
        link=$(of reader link "$album" --http)
        urls=$(for ((at = 10; at < 70; at++)); do echo "${link%/}/$at"; done)
      else
        urls=$(of reader link "$one" --http)
      fi
      began=$(now)
      # Six at a time, as a browser does.
      xargs -P 6 -n 1 curl -sSf -o /dev/null <<<"$urls"
      echo $((($(now) - began) / 1000000)) >>"times.$what"
      stop_named reader
    done
  done
  stop_named source
  local slow fast
  slow=$(median <times.album) fast=$(median <times.one)
  echo "album: 60 files of 4 MiB in $slow ms, one file of 240 MiB in $fast ms, medians of 5:" \
    "$(awk "BEGIN {printf \"%.2f\", $slow / $fast}") times"
}

pause() {
  local began
  start_named waiting
  # Hashes without a source.
  for ((at = 0; at < 5000; at++)); do printf '%064x\n' $((at + 1)); done |
    xargs -P 2 -n 1 "$pelago" --data-dir waiting -q download --detach --timeout 1 -o out
  began=$(now)
  of waiting -q pause --all >/dev/null
  echo "pause: 5,000 downloads in $((($(now) - began) / 1000000)) ms"
  stop_named waiting
}

removal() {
  local at began written
  mkdir -p many
  for ((at = 0; at < 30000; at++)); do echo $at >"many/$at"; done
  start_named removing -d many
  until [[ $(of removing --json status | grep -o '"shares":[0-9]*' | head -n 1) == '"shares":30000' ]]; do sleep 0.2; done
  written=$(counted removing write_bytes)
  began=$(now)
  rm -rf many/*
  until [[ $(of removing --json status | grep -o '"shares":[0-9]*' | head -n 1) == '"shares":0' ]]; do sleep 0.1; done
  echo "removal: 30,000 files in $((($(now) - began) / 1000000)) ms," \
    "$((($(counted removing write_bytes) - written) >> 10)) KiB written"
  stop_named removing
}

chmod_case() {
  local at before hash
  mkdir -p modes
  for ((at = 0; at < 1000; at++)); do head -c $((1 << 20)) /dev/urandom >modes/$at; done
  start_named modal
  hash=$(of modal --json share modes | text hash)
  stop_named modal
  chmod -R g+w modes
  start_named modal
  before=$(counted modal rchar)
  of sink -q download "$hash" --peer "$address" --only 500 -o one >/dev/null
  cmp one/500 modes/500
  echo "chmod: 1,000 files of 1 MiB: $((before >> 10)) KiB read until ready," \
    "$((($(counted modal rchar) - before) >> 10)) KiB more until one was served"
  stop_named modal
}

readers() {
  local at link before most=0 began
  for ((at = 0; at < 20; at++)); do head -c $((16 << 20)) /dev/urandom >read.$at; done
  start_named source
  start_named reading
  for ((at = 0; at < 20; at++)); do
    link=$(of source --json share read.$at | text link)
    of reading link "$link" --http
  done >urls
  before=$(resident reading)
  xargs -P 20 -n 1 curl -sSf --limit-rate 2M -o /dev/null <urls &
  began=$!
  while kill -0 $began 2>/dev/null; do
    at=$(resident reading)
    ((at <= most)) || most=$at
    sleep 0.05
  done
  wait $began
  echo "readers: 20 readers of 16 MiB add $(((most - before) >> 10)) MiB to $((before >> 10)) MiB"
  stop_named reading
  stop_named source
}

cases=("$@")
((${#cases[@]})) || cases=(album pause removal chmod readers)
for case in "${cases[@]}"; do
  if [[ $case == chmod ]]; then case=chmod_case; fi
  "$case"
done
