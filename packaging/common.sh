# Sourced by the scripts beside it: where the tree is, and how packages get on the machine.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

require_debian() {
    [ "$(id -u)" = 0 ] || die "run it as root: it installs packages and runs containers"
    command -v apt-get > /dev/null || die "this needs Debian's apt-get; packaging/debian-packages lists what to install by hand"
}

# packages PURPOSE…: the packages of packaging/debian-packages that serve one of these.
packages() {
    local purposes="$*"
    awk -v purposes="$purposes" 'BEGIN { n = split(purposes, p); for (i = 1; i <= n; i++) want[p[i]] = 1 }
        /^[^#]/ && want[$2] { print $1 }' "$root/packaging/debian-packages"
}

# install_packages PURPOSE…: installs what is missing of them; nothing is downloaded when nothing is.
install_packages() {
    local missing=() p
    for p in $(packages "$@"); do
        dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${#missing[@]} packages: ${missing[*]}"
    apt-get -q update > /dev/null
    # A package may bring a service that starts at once (docker-registry does); none is wanted here.
    local policy=/usr/sbin/policy-rc.d made=
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; made=1; }
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" > /dev/null || { [ -z "$made" ] || rm -f "$policy"; return 1; }
    [ -z "$made" ] || rm -f "$policy"
}

# build PRESET [TARGET…]: configures and compiles; says how long it took.
build() {
    local preset=$1; shift
    local began=$SECONDS
    say "building preset $preset with $(nproc) jobs"
    cmake --preset "$preset" -S "$root" > /dev/null
    cmake --build "$root/build/$preset" ${1:+--target "$@"}
    echo "built in $((SECONDS - began)) s"
}
