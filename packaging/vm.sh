#!/bin/bash
# A small machine of Debian 12's own packages, for what the host may not have: pure cgroup v2, Linux
# 6.1, systemd, AppArmor, and a kernel that CRIU can work with. As root. It is emulated, 10 to 20
# times slower than the host, unless --accel kvm is given.
#
#   packaging/vm.sh [OPTION…] [test [PYTEST ARGUMENT…]]
#   packaging/vm.sh [OPTION…] make | boot | push | stop | sh COMMAND…
#
#   test   all below in turn: the unit tests, then pytest (without arguments: what concerns the
#          runtime); the reports are in DIR/reports, and the machine is stopped at the end
#   make   the machine's disc, when DIR has none (1.5 GB)
#   boot   starts it, unless it runs, and waits for it
#   push   copies this tree's programs and tests into it
#   sh     runs a command in it, in the tree
#   stop   powers it off; what was changed on its disc is forgotten
#
# Options: --work DIR (build/vm), --preset NAME (release), --accel kvm, and --cgroups hybrid or v1 for
# a machine with these instead of v2. The programs have to be built (packaging/test.sh, install.sh).
set -euo pipefail
. "$(dirname "$0")/common.sh"

work=$root/build/vm preset=release accel=tcg cgroups=v2
declare -A layouts=(  # what the kernel is told, for systemd
    [v2]=systemd.unified_cgroup_hierarchy=1
    [hybrid]=systemd.unified_cgroup_hierarchy=0
    [v1]='systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1'
)
while [ $# -gt 0 ]; do
    case $1 in
    --work) [ $# -gt 1 ] || die "--work needs a directory"; mkdir -p "$2"; work=$(realpath "$2"); shift 2 ;;
    --preset) [ $# -gt 1 ] || die "--preset needs a name"; preset=$2; shift 2 ;;
    --accel) [ $# -gt 1 ] || die "--accel needs kvm or tcg"; accel=$2; shift 2 ;;
    --cgroups) [ $# -gt 1 ] && [ "${layouts[$2]+x}" ] || die "--cgroups needs v2, hybrid or v1"; cgroups=$2; shift 2 ;;
    -h | --help) sed -n '2,19p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) break ;;
    esac
done
mapfile -t runtime_tests < <(cd "$root" && ls tests/test_runtime*.py)
runtime_tests+=(tests/test_security_modules.py tests/test_run_flags.py tests/test_lifecycle.py
    tests/test_default_container.py)

# Runs in mmdebstrap with the new root as its argument: how to get in, and nothing that disturbs.
customize() {
    echo corten-vm > "$1/etc/hostname"
    echo '127.0.0.1 localhost corten-vm' > "$1/etc/hosts"
    echo '/dev/vda / ext4 noatime 0 0' > "$1/etc/fstab"
    printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n' > "$1/etc/systemd/network/vm.network"
    install -D -m 600 "$work/key.pub" "$1/root/.ssh/authorized_keys"
    systemctl --root "$1" -q enable systemd-networkd ssh
    systemctl --root "$1" -q mask docker-registry podman podman.socket podman-auto-update.timer podman-restart \
        apt-daily.timer apt-daily-upgrade.timer man-db.timer getty@tty1 serial-getty@ttyS0 e2scrub_reap
    cp "$1"/boot/vmlinuz-* "$work/vmlinuz"
    cp "$1"/boot/initrd.img-* "$work/initrd"
}

# The docker command and the bootstrapped Debian of the tests, where the host has them.
copy_helpers() {
    local docker cache=${CORTEN_TEST_CACHE:-/var/cache/corten-tests}
    docker=$(command -v docker || echo "$root/build/tools/bin/docker")
    [ ! -x "$docker" ] || install "$docker" "$work/tree/usr/local/bin/docker"
    [ ! -d "$cache" ] || { mkdir -p "$work/tree/var/cache" && cp -r "$cache" "$work/tree/var/cache/corten-tests"; }
}

make() {
    [ ! -e "$work/disc" ] || return 0
    install_packages vm
    say "making a machine in $work"
    mkdir -p "$work"
    rm -rf "$work"/{tree,key,key.pub,new-disc}
    ssh-keygen -q -t ed25519 -N '' -f "$work/key"
    mmdebstrap --quiet --mode=root --variant=minbase --include="$(packages run test guest | paste -sd,)" \
        --customize-hook="work='$work'; $(declare -f customize); customize \"\$1\"" bookworm "$work/tree"
    copy_helpers
    mke2fs -q -t ext4 -d "$work/tree" "$work/new-disc" 8G
    rm -rf "$work/tree"
    mv "$work/new-disc" "$work/disc"
}

running() { [ -e "$work/pid" ] && kill -0 "$(cat "$work/pid")" 2> /dev/null; }

in_vm() {
    ssh -o LogLevel=ERROR -i "$work/key" -p "$(cat "$work/port")" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=20 -o ServerAliveInterval=60 -o ServerAliveCountMax=30 root@127.0.0.1 "$@"
}

boot() {
    make
    ! running || return 0
    say "booting it"
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' > "$work/port"
    qemu-system-x86_64 -machine q35,accel=$accel -cpu max -smp 2 -m 3G -display none -daemonize -pidfile "$work/pid" \
        -serial "file:$work/serial" -kernel "$work/vmlinuz" -initrd "$work/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet ${layouts[$cgroups]} mitigations=off" \
        -drive "file=$work/disc,format=raw,if=virtio,snapshot=on" -device virtio-rng-pci \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$(cat "$work/port")-:22" -device virtio-net-pci,netdev=net
    local deadline=$((SECONDS + 600))
    until in_vm true 2> /dev/null; do
        running || die "the machine ended: see $work/serial"
        [ $SECONDS -lt $deadline ] || die "the machine does not answer: see $work/serial"
        sleep 2
    done
    in_vm 'uname -r; stat -fc %T /sys/fs/cgroup'
}

# The same paths as here, so that what the programs and tests say fits.
push() {
    local bin=build/$preset/bin files
    mapfile -t files < <(cd "$root" && ls -d "$bin"/{corten,cortend,corten-*} "$bin"/{cgroup,runtime,storage}{,_root}_test src/*/tests 2> /dev/null)
    tar -C "$root" --exclude=__pycache__ -cf - "${files[@]}" tests packaging | in_vm "mkdir -p '$root' && tar -C '$root' -xf -"
}

unit_tests='status=0; for t in build/'$preset'/bin/*_test; do echo "== $t"; $t --gtest_brief=1 || status=1; done; exit $status'

test_all() {
    [ $# -gt 0 ] || set -- "${runtime_tests[@]}"
    boot
    push
    local status=0 arguments
    arguments=$(printf '%q ' "$@")
    mkdir -p "$work/reports"
    in_vm "cd '$root' && $unit_tests" 2>&1 | tee "$work/reports/unit.log" || status=1
    in_vm "cd '$root' && CORTEN_TEST_SLOWNESS=10 CORTEN_RACE_SECONDS=120 CORTEN_TEST_EXCLUSIVE=1 CORTEN_PRESET=$preset PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -p no:cacheprovider --timeout=1200 -rs $arguments" 2>&1 | tee "$work/reports/pytest.log" || status=1
    stop
    say "closing lines of the runners"
    grep -E '^== |PASSED|FAILED' "$work/reports/unit.log" || status=1
    tail -1 "$work/reports/pytest.log"
    return $status
}

stop() {
    running || return 0
    in_vm 'systemctl poweroff' || true
    for _ in $(seq 60); do running || return 0; sleep 1; done
    kill "$(cat "$work/pid")"
}

require_debian
case ${1:-test} in
test) shift || true; test_all "$@" ;;
sh) shift; in_vm "cd '$root' && $*" ;;
make | boot | push | stop) "$1" ;;
*) die "unknown argument $1 (--help tells)" ;;
esac
