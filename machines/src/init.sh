#!/bin/busybox sh
# The first process of the emulated machine, and its only one beside the tests.
# What it says on lines that begin with @@ is read by boot.rs.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# What the kernel's command line sets comes as variables: declared.rs, DEGRADED.
[ "$TRACEFS" = no ] || mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security
if [ "$CGROUP" = v1 ]; then
    mount -t cgroup -o cpu cgroup /sys/fs/cgroup
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
ip link set lo up

# The tests ask cargo to build what they start, and look for it where cargo
# puts it: it is there already.
export CARGO=/bin/true CARGO_TARGET_DIR=/vm/target

begin() { echo "@@ begin $1"; }
end() { echo "@@ end $1"; }

if [ "$TESTS" = list ]; then
    begin list
    /vm/live --list
    end 0
    poweroff -f
fi

begin load
# Not at a terminal, where it says more while it starts.
set -o pipefail
/vm/truncwatch --verbose --duration 0.1 --output /tmp/report ${OPTION:---pid=1} 2>&1 | cat
loaded=$?
if [ $loaded = 0 ] && [ "$TESTS" != no ]; then
    # The programs are others where they have to ask.
    /vm/truncwatch --duration 0.1 --output /tmp/report --comm sh --port 1 --cgroup / 2>&1 | cat
    loaded=$?
    # And where perf's events are refused, for the verifier's counts: a test holds it.
    /vm/truncwatch --verbose --duration 0.1 --output /tmp/report --pid 1 --hide perf-events 2>&1 | grep instructions
fi
end $loaded

if [ $loaded = 0 ] && [ "$TESTS" != no ]; then
    while read -r test; do
        begin "$test"
        timeout -s KILL "$LIMIT" /vm/live --exact "$test" >/tmp/output 2>&1 </dev/null
        status=$?
        [ $status = 0 ] || cat /tmp/output
        end $status
        # What a test leaves that did not come to its end.
        [ $status = 0 ] || kill -KILL -1
    done </vm/tests
fi

begin warnings
dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace'
end 0
poweroff -f
