#!/bin/bash
# Installs what the tests need, builds, and runs all of them: as root, on Debian 12.
#
#   packaging/test.sh [--preset NAME] [--only unit|integration] [--all] [PYTEST ARGUMENT…]
#
# The unit tests run under ctest, the integration tests under pytest against a cortend of their own
# and leave nothing on the host. The last line is the sum: "N passed, N failed, N skipped".
set -euo pipefail
. "$(dirname "$0")/common.sh"

preset=release only='' all=''
while [ $# -gt 0 ]; do
    case $1 in
    --preset) [ $# -gt 1 ] || die "--preset needs a name"; preset=$2; shift 2 ;;
    --only) [ $# -gt 1 ] || die "--only needs unit or integration"; only=$2; shift 2 ;;
    --all) all=1; shift ;;
    -h | --help) sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
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

# totals NAME JUNIT-FILE: prints "passed failed skipped" of a runner's report; a report that is missing is a failure.
totals() {
    /usr/bin/python3 - "$@" <<'P'
import sys, xml.etree.ElementTree as tree
try:
    cases = list(tree.parse(sys.argv[2]).iter("testcase"))
except (OSError, tree.ParseError):
    sys.exit(print(0, 1, 0))
failed = sum(c.find("failure") is not None or c.find("error") is not None for c in cases)
skipped = sum(c.find("skipped") is not None or c.get("status") in ("disabled", "notrun") for c in cases)
print(len(cases) - failed - skipped, failed, skipped)
P
}

require_debian
cd "$root"
install_packages build run test
unpack_docker
# What has proven itself on a clean machine: the lists grow, and docs/testing.md names what is not
# in them yet. Everything else is built and run with --all.
programs=(corten cortend corten-shim corten-init)
unit_programs=(base_test sys_test io_test)
integration=(tests/test_lifecycle.py)
if [ -n "$all" ]; then build "$preset"; else build "$preset" "${programs[@]}" "${unit_programs[@]}"; fi
reports=$root/build/reports
rm -rf "$reports"; mkdir -p "$reports"
passed=0 failed=0 skipped=0 status=0

add() {
    local p f s
    read -r p f s < <(totals "$1" "$2")
    echo "$1: $p passed, $f failed, $s skipped"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

if [ "$only" != integration ]; then
    say "unit tests"
    chosen=(-R "^($(IFS='|'; echo "${unit_programs[*]}"))$")
    [ -z "$all" ] || chosen=()
    ctest --test-dir "build/$preset" "${chosen[@]}" -j "$(nproc)" --timeout 120 --output-on-failure --output-junit "$reports/ctest.xml" > "$reports/ctest.log" 2>&1 || status=1
    [ $status = 0 ] || cat "$reports/ctest.log"
    tail -15 "$reports/ctest.log" | grep -E 'tests passed|Total Test time|No tests' || true
fi
if [ "$only" != unit ]; then
    say "integration tests"
    [ -z "$all" ] || integration=(tests)
    PYTHONDONTWRITEBYTECODE=1 CORTEN_PRESET=$preset timeout --kill-after=30 1800 /usr/bin/python3 -m pytest "${integration[@]}" \
        --timeout=240 --junitxml="$reports/pytest.xml" "$@" || status=1
fi
say "totals"
if [ "$only" != integration ]; then add ctest "$reports/ctest.xml"; fi
if [ "$only" != unit ]; then add pytest "$reports/pytest.xml"; fi
[ "$failed" = 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
