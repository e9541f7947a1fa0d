#!/bin/bash
# Runs what others wrote to judge an OCI runtime, and says how many of their cases pass: as root.
#
#   packaging/conformance.sh --suite runc|runtime-tools|crun --source DIR [--runtime PROGRAM] [FILE…]
#
#   --suite    runc            tests/integration of runc's repository (bats)
#              runtime-tools   validation/ of opencontainers/runtime-tools (Go)
#              crun            tests/ of containers/crun (Python)
#   --source   that project's tree, fetched by you; it is copied, not changed. Its helpers are built with
#              the Go on the PATH, which the tree's go.mod may ask to be newer; those it has are taken
#   --runtime  the program to judge; corten-runtime of the release preset unless given
#   --work     a directory for copies, builds and reports; build/conformance unless given
#   --limit    seconds that a file may take; 300 unless given
#   FILE…      only these files, as the table names them
#
# All runs in namespaces of its own (processes, mounts, network, an empty /run) and, on cgroup v1, in a
# group of its own, so that nothing of it stays. A hybrid hierarchy is shown without its unified half,
# which these suites take for cgroup v2. The table and each file's output are in WORK/reports.
set -euo pipefail
. "$(dirname "$0")/common.sh"

suite='' source='' runtime=$root/build/release/bin/corten-runtime work=$root/build/conformance
limit=300
while [ $# -gt 0 ]; do
    case $1 in
    --suite | --source | --runtime | --work | --limit) [ $# -gt 1 ] || die "$1 needs a value"; printf -v "${1#--}" %s "$2"; shift 2 ;;
    -h | --help) sed -n '2,18p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    -*) die "unknown option $1 (--help tells)" ;;
    *) break ;;
    esac
done

go_build() { (cd "$tree" && GOFLAGS=-mod=vendor CGO_ENABLED=${CGO:-0} go build "$@") || die "$suite: go build ${*: -1} failed"; }

# --- runc: two root filesystems of Debian's packages, in the place of those that its scripts download.
# They are called .tar.xz and are not compressed: tar looks at what is in them, and the suite unpacks them a hundred times.
make_busybox() {
    local box=$work/busybox
    mkdir -p "$box"/{bin,dev,etc,home,root,tmp,usr,var}
    cp /bin/busybox "$box/bin/busybox"
    chroot "$box" /bin/busybox --install /bin
    printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/usr/sbin:/bin/false \
        nobody:x:65534:65534:nobody:/home:/bin/false > "$box/etc/passwd"
    printf '%s\n' root:x:0: daemon:x:1: nobody:x:65534: > "$box/etc/group"
    tar -C "$box" -cf "$1" .
}

make_debian() {
    debootstrap --variant=minbase bookworm "$work/debian" > "$work/debootstrap.log" || die "debootstrap failed: see $work/debootstrap.log"
    tar -C "$work/debian" --exclude=./dev/'*' -cf "$1" .
    rm -rf "$work/debian"
}

prepare_runc() {
    local kind image helper place
    for kind in busybox debian; do
        image=$work/$kind-$(go env GOARCH).tar.xz
        [ -e "$image" ] || { "make_$kind" "$image.part" && mv "$image.part" "$image"; }
        cp -n "$image" "$tree/tests/integration/testdata/"
    done
    # Until 1.1 each helper stands beside its source, later together in _bin.
    for helper in "$tree"/{contrib,tests}/cmd/*/; do
        helper=${helper%/}
        [[ $(basename "$helper") =~ ^(memfd-bind|_bin|\*)$ ]] && continue
        place=$helper/$(basename "$helper")
        ! grep -q cmd/_bin "$tree/tests/integration/helpers.bash" || place=$tree/tests/cmd/_bin/$(basename "$helper")
        [ -x "$place" ] || CGO=1 go_build -tags seccomp -o "$place" "./${helper#"$tree/"}"
    done
}
list_runc() { (cd "$tree/tests/integration" && ls ./*.bats); }
run_runc() { # under a terminal at which nobody types, as the suite expects
    local idle; idle=$(mktemp -u "$work/idle.XXXXXX"); mkfifo "$idle"; exec 3<> "$idle"; rm "$idle"
    cd "$tree/tests/integration"
    RUNC=$runtime timeout -k 5 "$limit" script -qefc "bats -t $1" /dev/null <&3 | tr -d '\r'
}

# --- runtime-tools
prepare_runtime_tools() {
    local file
    [ -x "$tree/runtimetest" ] || go_build -o runtimetest ./cmd/runtimetest
    for file in "$tree"/validation/*/*.go; do
        [[ $file = */validation/util/* ]] || [ -x "${file%.go}.t" ] || go_build -o "${file%.go}.t" "$file"
    done
}
list_runtime_tools() { (cd "$tree/validation" && ls ./*/*.t) | sed 's|.*/||; s|\.t$||'; }
run_runtime_tools() { cd "$tree"; RUNTIME=$runtime timeout -k 5 "$limit" "validation/$1/$1.t"; }

# --- crun
prepare_crun() {
    printf '#define HAVE_SECCOMP 1\n#define HAVE_ERROR_H 1\n#define HAVE_LINUX_IOPRIO_H 1\n' > "$tree/tests/config.h"
    gcc -O1 -static -I"$tree/tests" -o "$tree/tests/init" "$tree/tests/init.c" -lseccomp || die "crun: tests/init.c does not compile"
    # What only crun's command line has: --cgroup-manager, and a configuration's name.
    cat > "$tree/as-crun" <<'END'
#!/bin/bash
given=()
while [ $# -gt 0 ]; do
    case $1 in
    --cgroup-manager) [ "$2" != systemd ] || given+=(--systemd-cgroup); shift ;;
    --cgroup-manager=systemd) given+=(--systemd-cgroup) ;;
    --cgroup-manager=*) ;;
    --config) [ "$2" = config.json ] || given+=("$1" "$2"); shift ;;
    *) given+=("$1") ;;
    esac
    shift
done
exec "$JUDGED" "${given[@]}"
END
    chmod +x "$tree/as-crun"
}
list_crun() { (cd "$tree/tests" && ls test_*.py); }
run_crun() {
    cd "$tree"
    local program=$runtime
    [ "$(basename "$runtime")" = crun ] || program=$tree/as-crun
    JUDGED=$runtime INIT=$tree/tests/init OCI_RUNTIME=$program PYTHONDONTWRITEBYTECODE=1 timeout -k 5 "$limit" /usr/bin/python3 "tests/$1"
}

# --- where it runs
# Joins a group named $1 in each hierarchy of cgroup v1; what the controller needs before is copied from above.
join_groups() {
    local hierarchy file
    for hierarchy in "${hierarchies[@]}"; do
        mkdir "$hierarchy/$1"
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$hierarchy/$file" ] || cat "$hierarchy/$file" > "$hierarchy/$1/$file"
        done
        echo "$BASHPID" > "$hierarchy/$1/cgroup.procs"
    done
}

# What is frozen cannot be killed, and the process namespace would not end.
thaw() {
    find "$1" -name freezer.state -exec sh -c 'for state; do echo THAWED > "$state"; done' thaw {} + 2> /dev/null || true
}

remove_groups() {
    local hierarchy
    [ ! -e "/sys/fs/cgroup/freezer/$1" ] || thaw "/sys/fs/cgroup/freezer/$1"
    for hierarchy in "${hierarchies[@]}"; do
        for _ in 1 2 3 4 5; do
            find "$hierarchy/$1" -depth -type d -exec rmdir {} + 2> /dev/null && break
            [ ! -e "$hierarchy/$1" ] || sleep 0.5
        done
        [ ! -e "$hierarchy/$1" ] || say "left behind: $hierarchy/$1"
    done
}

# First in the new namespaces: mounts each hierarchy of cgroup v1 again, with our group as its root.
furnish() {
    local hierarchy options
    ip link set lo up
    mount -t tmpfs -o mode=755 tmpfs /run
    # A copy of /dev: what changes the owner of a device must not reach the host's.
    mkdir /run/dev
    mount -t tmpfs -o mode=755 tmpfs /run/dev
    cp -ax /dev/. /run/dev
    chown 0:0 /run/dev/null
    mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts /run/dev/pts
    mount -t tmpfs -o mode=1777 tmpfs /run/dev/shm
    mount --move /run/dev /dev
    [ ${#hierarchies[@]} -gt 0 ] || return 0
    local -A controllers
    while read -r hierarchy options; do controllers[$hierarchy]=${options#r[wo],}; done < <(findmnt -rnt cgroup -o TARGET,FS-OPTIONS)
    umount -R /sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    for hierarchy in "${hierarchies[@]}"; do
        mkdir -p "$hierarchy"
        options=${controllers[$hierarchy]}
        [[ $options != *name=* ]] || options=none,name=${options##*name=}
        mount -t cgroup -o "$options" cgroup "$hierarchy"
    done
}

run_files() {
    furnish
    local file began status
    for file; do
        began=$SECONDS status=0
        (set +e; "run_$kind" "$file") > "$reports/$file.log" 2>&1 < /dev/null & wait $! || status=$?
        row "$file" "$status" $((SECONDS - began))
    done
    thaw /sys/fs/cgroup
}

# One line of the table, of the Test Anything Protocol in a file's output. What ended badly without saying so has failed.
row() {
    awk -v file="$1" -v status="$2" -v seconds="$3" '
        /^ok .*# *[Ss][Kk][Ii][Pp]/ { skipped++; next } /^ok / { passed++ } /^not ok / { failed++ }
        /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0 }
        /^  ---/ { notes++ }
        # runtime-tools: some of its programs say nothing but what is wrong.
        END { if (passed + skipped + failed == 0 && plan == 0) { if (notes || status != 0) failed = 1; else passed = 1 }
              if (passed + skipped + failed < plan) failed += plan - passed - skipped - failed
              if (status != 0 && !failed) failed = 1
              printf "%-34s %6d %6d %6d %5d s\n", file, passed, skipped, failed, seconds }' "$reports/$1.log" | tee -a "$reports/table"
}

require_debian
kind=${suite//-/_}
declare -F "run_$kind" > /dev/null || die "--suite is runc, runtime-tools or crun"
[ -d "$source" ] || die "--source: no directory '$source'"
runtime=$(command -v "$runtime") || die "--runtime: no such program"
install_packages conformance
mkdir -p "$work/tmp"
work=$(realpath "$work") runtime=$(realpath "$runtime")
export TMPDIR=$work/tmp GOCACHE=$work/gocache
name=$suite-$(basename "$(realpath "$source")")
tree=$work/$name reports=$work/reports/$name/$(basename "$runtime")
mkdir -p "$tree"
cp -au "$source/." "$tree/"
say "building what $suite needs in $tree"
"prepare_$kind"
[ $# -gt 0 ] || mapfile -t files < <("list_$kind" | sed 's|^\./||')
[ $# -eq 0 ] || files=("$@")
rm -rf "$reports"; mkdir -p "$reports"
mapfile -t hierarchies < <(findmnt -rnt cgroup -o TARGET)
printf '%-34s %6s %6s %6s\n' "$suite on $(basename "$runtime")" passed skipped failed | tee "$reports/table"
group=conformance-$$
trap 'remove_groups "$group"' EXIT
(join_groups "$group"
exec unshare --mount --propagation private --net --pid --fork --kill-child --cgroup --mount-proc \
    bash -c "set -euo pipefail; $(declare -p root suite kind runtime work tree reports hierarchies limit); $(declare -f); run_files \"\$@\"" "$0" "${files[@]}")
awk 'NR > 1 { p += $2; s += $3; f += $4 } END { printf "%-34s %6d %6d %6d\n", "all", p, s, f }' "$reports/table" | tee -a "$reports/table"
