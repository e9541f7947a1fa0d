#!/bin/bash
# From a fresh clone on Debian 12 to a running container, in one command, as root.
#
#   packaging/install.sh [--prefix DIR] [--no-start]
#
# Installs the packages that building needs, builds the release preset, starts cortend, gets the
# image `debian` (from Docker Hub where that answers, else made of Debian's own packages) and runs
# a container that says where it is. Without --prefix nothing is installed outside of build/; with
# it the programs are copied to DIR/bin. With --no-start it ends after the build.
set -euo pipefail
. "$(dirname "$0")/common.sh"

prefix='' start=1
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -gt 1 ] || die "--prefix needs a directory"; prefix=$2; shift 2 ;;
    --no-start) start=''; shift ;;
    -h | --help) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) die "unknown argument $1 (--help tells)" ;;
    esac
done

require_debian
cd "$root"
install_packages build run
build release corten cortend corten-shim corten-init corten-runtime
bin=$root/build/release/bin
if [ -n "$prefix" ]; then
    install -d "$prefix/bin"
    install -s "$bin"/{corten,cortend,corten-shim,corten-init,corten-runtime} "$prefix/bin"
    bin=$prefix/bin
fi
[ -n "$start" ] || exit 0

corten=$bin/corten
if "$corten" version > /dev/null 2>&1; then
    say "a daemon is running already"
else
    say "starting cortend"
    install -d /run/corten /var/log
    setsid "$bin/cortend" > /var/log/cortend.log 2>&1 < /dev/null &
    for _ in $(seq 100); do
        if "$corten" version > /dev/null 2>&1; then break; fi
        sleep 0.1
    done
    "$corten" version > /dev/null || { tail -20 /var/log/cortend.log >&2; die "cortend does not answer, see /var/log/cortend.log"; }
fi

if ! "$corten" image inspect debian > /dev/null 2>&1; then
    say "getting the image debian"
    # A network that swallows packets would keep a pull waiting: a minute is enough to know.
    if ! timeout 60 "$corten" pull debian; then
        say "no registry answers: making the image from Debian's packages"
        "$corten" image bootstrap debian
    fi
fi

say "a container"
"$corten" run --rm debian sh -c '
    . /etc/os-release
    echo "Hello from inside. I am process $$ of $PRETTY_NAME, my name here is $(hostname),"
    echo "my address is $(tail -1 /etc/hosts | cut -f1), and these are my processes:"
    for process in /proc/[0-9]*; do echo "  ${process#/proc/} $(cat "$process/comm")"; done'
cat <<END

Next:
  export PATH=$bin:\$PATH
  corten run -it debian bash        a shell in a container
  corten explain CONTAINER          what the engine did to the host for it
  export DOCKER_HOST=unix:///run/corten/corten.sock     and the docker command works as well
END
