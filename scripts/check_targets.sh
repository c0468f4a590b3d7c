#!/usr/bin/env bash
# Checks that the code compiles for other systems whose standard library is installed (`rustup target
# add`). Nothing is linked, so a stub stands for the C compiler of each: the C of dependencies is not
# checked. Without arguments, all targets below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
((${#@})) || set -- x86_64-pc-windows-gnu aarch64-apple-darwin aarch64-unknown-linux-gnu

stub=$(mktemp -d)
trap 'rm -rf "$stub"' EXIT
# Writes an empty file where the output of the compiler, or an empty archive, is expected.
cat >"$stub/cc" <<'END'
#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -o) shift && : >"$1" ;;
        -o*) : >"${1#-o}" ;;
    esac
    shift
done
END
cat >"$stub/ar" <<'END'
#!/bin/sh
for word; do case $word in *.a) printf '!<arch>\n' >"$word" ;; esac; done
END
chmod +x "$stub"/*

for target; do
    if ! [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]]; then
        echo "skipped: rustup target add $target" >&2
        continue
    fi
    name=${target//-/_}
    env "CC_$name=$stub/cc" "CXX_$name=$stub/cc" "AR_$name=$stub/ar" RUSTFLAGS="-D warnings" \
        cargo check --workspace --lib --bins --locked --target "$target"
done
