#!/usr/bin/env bash
# Makes the packages of this version: a .tar.gz, and a .deb where there is dpkg.
#
#   scripts/package.sh [FOLDER [OPTION...]]
#
# They are written to FOLDER (default: target/package/made). The options are those of `cargo deb`,
# such as `--deb-revision 2`. $PELAGO names a program that is built already; without it, this builds
# one with the profile `dist`. The .deb takes cargo-deb (`cargo install --locked cargo-deb`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
made=$(realpath -m "${1:-target/package/made}")
shift || true

if [[ -z ${PELAGO:-} ]]; then
    CARGO_PROFILE_DIST_STRIP=symbols cargo build --profile dist --locked --bin pelago
    PELAGO=target/dist/pelago
    [[ -f $PELAGO ]] || PELAGO=$PELAGO.exe
fi

version=$("$PELAGO" --version | cut -d ' ' -f 2)
target=$(rustc -vV | sed -n 's/^host: //p')
# The folder that [package.metadata.deb] in Cargo.toml names.
stage=target/package
name=pelago-$version-$target
rm -rf "${stage:?}"/{usr,units,tar}
mkdir -p "$made" "$stage/units" "$stage/tar"

# The unit $1 as it is installed below $2, without the directions for those who build from source.
unit() {
    sed -e '1,/^\[Unit\]/{/^\[Unit\]/!d}' -e "s,^ExecStart=[^ ]*,ExecStart=$2/bin/pelago," "contrib/$1"
}

# The licences of all crates that are part of the program, with each text once.
licences() {
    local crate version licence text sum has
    local -A seen=()
    cargo tree --locked -e normal --prefix none -f '{p} {l} {r}' |
        grep -v -e '(/' -e '(proc-macro)' | sed 's/ (\*)$//' | sort -u |
        while read -r crate version licence; do
            printf '\n==== %s %s: %s\n' "$crate" "${version#v}" "$licence"
            has=
            for text in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$crate-${version#v}"/*; do
                [[ -f $text && ${text##*/} =~ ^(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE) ]] || continue
                has=true sum=$(cksum <"$text")
                if [[ -n ${seen[$sum]:-} ]]; then
                    printf '\nAs for %s.\n' "${seen[$sum]}"
                else
                    seen[$sum]="$crate (${text##*/})"
                    printf '\n' && cat "$text"
                fi
            done
            [[ $has ]] || printf '\nIts package has no text of the licence.\n'
        done
}

# The oldest glibc that has all symbols that the program needs; nothing on other systems.
glibc() {
    ! command -v objdump >/dev/null ||
        objdump -T "$PELAGO" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | cut -d _ -f 2
}

# Everything that both packages install below a prefix.
install -d "$stage/usr/bin" "$stage/usr/share/"{applications,doc/pelago,fish/vendor_completions.d} \
    "$stage/usr/share/"{bash-completion/completions,zsh/vendor-completions,icons/hicolor/scalable/apps} \
    "$stage/usr/lib/systemd/user"
suffix=
[[ $PELAGO != *.exe ]] || suffix=.exe
install -m 755 "$PELAGO" "$stage/usr/bin/pelago$suffix"
"$PELAGO" man --output "$stage/usr/share/man/man1" >/dev/null
"$PELAGO" completions bash >"$stage/usr/share/bash-completion/completions/pelago"
"$PELAGO" completions zsh >"$stage/usr/share/zsh/vendor-completions/_pelago"
"$PELAGO" completions fish >"$stage/usr/share/fish/vendor_completions.d/pelago.fish"
install -m 644 contrib/pelago.desktop "$stage/usr/share/applications/"
install -m 644 src/api/page/icon.svg "$stage/usr/share/icons/hicolor/scalable/apps/pelago.svg"
install -m 644 config/default.toml README.md CHANGELOG.md docs/GUIDE.md docs/OPERATING.md \
    "$stage/usr/share/doc/pelago/"
licences >"$stage/usr/share/doc/pelago/third-party-licences.txt"

# The tarball, for a prefix such as /usr/local or ~/.local.
cp -R "$stage/usr" "$stage/tar/$name"
install -d "$stage/tar/$name/lib/systemd/"{system,user}
unit pelago.service /usr/local >"$stage/tar/$name/lib/systemd/system/pelago.service"
unit pelago-user.service /usr/local >"$stage/tar/$name/lib/systemd/user/pelago.service"
install -m 644 LICENSE "$stage/tar/$name/share/doc/pelago/"
needed=$(glibc)
cat >"$stage/tar/$name/INSTALL" <<END
Pelago $version for $target${needed:+, with glibc $needed or later}

As root, for all users:   tar -xf $name.tar.gz --strip-components=1 --exclude=INSTALL -C /usr/local
As a user, for yourself:  tar -xf $name.tar.gz --strip-components=1 --exclude=INSTALL -C ~/.local

Nothing is started. share/doc/pelago/OPERATING.md has the service.
END
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
find "$stage/tar" -exec touch -h -d "@$epoch" {} + 2>/dev/null || true
tar -C "$stage/tar" -cf - "$name" | gzip -n >"$made/$name.tar.gz"
echo "$made/$name.tar.gz"

# The Debian package, whose files are below /usr.
if command -v dpkg >/dev/null; then
    unit pelago.service /usr >"$stage/units/pelago.service"
    unit pelago-user.service /usr >"$stage/usr/lib/systemd/user/pelago.service"
    cargo deb --locked --no-build --no-strip --profile dist --output "$made/" "$@"
fi
echo "needs glibc ${needed:-(unknown)} or later" >&2
