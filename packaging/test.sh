#!/bin/bash
# Installs what the tests need, builds, and runs all of them: as root, on Debian 12.
#
#   packaging/test.sh [--preset NAME] [--only unit|integration] [--peers] [PYTEST ARGUMENT…]
#
# The unit tests run under ctest, the integration tests under pytest against a cortend of their own
# and leave nothing on the host. --peers also installs podman, docker.io, containerd, runc, crun,
# skopeo, umoci and buildah (120 MB), whose tests are skipped where they are missing. The output ends
# with the closing lines of both.
set -euo pipefail
. "$(dirname "$0")/common.sh"

preset=release only='' purposes='build run test'
while [ $# -gt 0 ]; do
    case $1 in
    --preset) [ $# -gt 1 ] || die "--preset needs a name"; preset=$2; shift 2 ;;
    --only) [ $# -gt 1 ] || die "--only needs unit or integration"; only=$2; shift 2 ;;
    --peers) purposes+=' peer'; shift ;;
    -h | --help) sed -n '2,9p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) break ;;
    esac
done

# The stock docker command, the tests' main client. Debian 12 has it in the package of the whole
# engine: only the command is taken out of it, so that no second engine starts on this host.
unpack_docker() {
    command -v docker > /dev/null && return
    local tools=$root/build/tools
    [ -x "$tools/bin/docker" ] && return
    say "unpacking the docker command"
    rm -rf "$tools/unpack"
    mkdir -p "$tools/bin" "$tools/unpack"
    (cd "$tools/unpack" && apt-get -q download docker.io > /dev/null && dpkg-deb -x docker.io_*.deb .)
    mv "$tools/unpack/usr/bin/docker" "$tools/bin/docker"
    rm -rf "$tools/unpack"
}

require_debian
cd "$root"
# shellcheck disable=SC2086
install_packages $purposes
unpack_docker
build "$preset"
reports=$root/build/reports
rm -rf "$reports"; mkdir -p "$reports"
status=0

if [ "$only" != integration ]; then
    say "unit tests"
    ctest --test-dir "build/$preset" -j "$(nproc)" --timeout 120 --output-on-failure --output-junit "$reports/ctest.xml" > "$reports/ctest.log" 2>&1 || status=1
    [ $status = 0 ] || cat "$reports/ctest.log"
fi
if [ "$only" != unit ]; then
    say "integration tests"
    PYTHONDONTWRITEBYTECODE=1 CORTEN_PRESET=$preset timeout --kill-after=30 1800 /usr/bin/python3 -m pytest tests \
        --timeout=240 --junitxml="$reports/pytest.xml" "$@" 2>&1 | tee "$reports/pytest.log" || status=1
fi
say "closing lines of the runners"
if [ "$only" != integration ]; then grep -E 'tests passed|Total Test time|No tests' "$reports/ctest.log" || status=1; fi
if [ "$only" != unit ]; then tail -1 "$reports/pytest.log"; fi
exit $status
