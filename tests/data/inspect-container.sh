# Prints what a container's environment looks like from inside, in sections; runs in busybox's sh.
section() { echo "## $1"; }
section status
grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups|Umask)' /proc/1/status
section ids
id -u; id -g
section mounts
cat /proc/self/mountinfo
section devices
cd /dev && for f in $(ls -A); do
    if [ -L "$f" ]; then echo "$f -> $(readlink "$f")"; else stat -c '%n %A %t:%T %u:%g' "$f"; fi
done; cd /
section sysctls
for f in net/ipv4/ping_group_range net/ipv4/ip_unprivileged_port_start net/ipv4/ip_forward kernel/hostname kernel/shmmax; do
    echo "$f $(cat /proc/sys/$f | tr '\t' ' ')"
done
section environment
tr '\0' '\n' < /proc/1/environ
section hosts
cat /etc/hosts
section hostname
cat /etc/hostname
section resolv
cat /etc/resolv.conf
section masked
for f in /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi \
         /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware; do
    if [ -d $f ]; then echo "$f dir $(ls -A $f | wc -l)"; elif [ -e $f ]; then echo "$f file $(head -c 10 $f 2>/dev/null | wc -c)"; else echo "$f absent"; fi
done
section readonly
for f in /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /sys /sys/fs/cgroup/memory /sys/fs/cgroup/pids; do
    if [ ! -e $f ]; then echo "$f absent"; elif [ -d $f ]; then
        mkdir $f/corten-probe 2>/dev/null && echo "$f writable" || echo "$f refused"
    else (echo > $f) 2>/dev/null && echo "$f writable" || echo "$f refused"; fi
done
section process
echo "cwd $(readlink /proc/1/cwd)"; echo "oom_score_adj $(cat /proc/1/oom_score_adj)"
awk '{print "session", $6, "group", $5, "tty", $7, "nice", $19}' /proc/1/stat
section descriptors
ls /proc/1/fd
section root
ls -A /
section namespaces
ls /proc/1/ns
section limits
cat /proc/1/limits
section syscalls
unshare -U true 2>/dev/null && echo "unshare user allowed" || echo "unshare user refused"
mount -t tmpfs none /mnt 2>/dev/null && echo "mount allowed" || echo "mount refused"
(hostname changed) 2>/dev/null && echo "sethostname allowed" || echo "sethostname refused"
chroot / true 2>/dev/null && echo "chroot allowed" || echo "chroot refused"
mknod /tmp/node b 7 0 2>/dev/null && echo "mknod allowed" || echo "mknod refused"
(exec 3< /tmp/node) 2>/dev/null && echo "open of a host disk allowed" || echo "open of a host disk refused"
date -s "@$(date +%s)" 2>&1 | grep -q 'not permitted' && echo "settime refused" || echo "settime allowed"
dmesg >/dev/null 2>&1 && echo "syslog allowed" || echo "syslog refused"
