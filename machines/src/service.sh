# What happens to a service, done to truncwatch's: by systemd, in an emulated machine.
# What it says on lines that begin with @@ is read by boot.rs.
mkdir -p /run/busybox
/usr/bin/busybox --install -s /run/busybox
# systemd's and Debian's programs first.
export PATH=/usr/sbin:/usr/bin:/run/busybox
CONFIGURATION=/etc/truncwatch/truncwatch.toml
# The firmware's words are not at their line's end.
echo

# A step, by its name and the function that takes it.
step() {
    echo "@@ begin $1"
    (set -ex; "$2") 2>&1
    status=$?
    if [ $status != 0 ]; then
        systemctl status truncwatch --no-pager --full
        journalctl -u truncwatch -o short-monotonic --no-pager | tail -n 30
    fi
    echo "@@ end $status"
}

# Tries this once a second.
within() {
    left=$1
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || { echo "not seen in time: $*"; return 1; }
        sleep 1
    done
}

# Where a step has to fail, `!` would end it in neither case (set -e).
not() { ! "$@"; }
property() { systemctl show truncwatch --property="$1" --value; }
is() { [ "$(property "$1")" = "$2" ]; }
metric() { wget -q -O - http://127.0.0.1:9849/metrics | grep -q -x -F "$1"; }
told() { journalctl -u truncwatch -o cat --no-pager | grep -q "$1"; }
# Of nice.rs; the field's name alone comes in what is said of a wrong configuration.
told_of_nice() { told 'be nice\|be less nice'; }

# Kills a server in the middle of its answer.
cut_short() {
    /vm/hyper-server --tcp=127.0.0.1:8000 &
    server=$!
    within 20 wget -q -O /dev/null http://127.0.0.1:8000/bytes/1 || { kill -KILL $server; return 1; }
    wget -q -O /dev/null http://127.0.0.1:8000/slow/1000000000 &
    sleep 2
    kill -KILL $server
    wait || true
}

is_nice() { [ "$(cut -d ' ' -f 19 "/proc/$(property MainPID)/stat")" = 10 ]; }
findings() { journalctl -t truncwatch CAUSE=process-exit -o json --no-pager; }
found() { [ "$(findings | wc -l)" = "$1" ]; }

starts() {
    cat /proc/version
    # Debian's, at which perf_event_open asks for CAP_SYS_ADMIN.
    [ "$(cat /proc/sys/kernel/perf_event_paranoid)" = 3 ]
    systemctl enable --now truncwatch
    is ActiveState active
    is SubState running
    is NRestarts 0
    process=$(property MainPID)
    cat "/proc/$process/status" | grep -E '^(Uid|Cap|Threads)'
    # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF.
    grep -q -x "CapEff:[[:space:]]*000000c000080004" "/proc/$process/status"
    grep -q "^Uid:[[:space:]]*$(id -u truncwatch)[[:space:]]" "/proc/$process/status"
    # It is nice, and could be less so (LimitNICE=).
    within 20 is_nice
    journalctl -u truncwatch -o cat --no-pager
    not told_of_nice
    not told 'not seen'
}

finds() {
    cut_short
    within 20 found 1
    findings
    for field in MISSING_BYTES PROMISED_BYTES SENT_BYTES TIMELINE; do
        findings | grep -q "\"$field\""
    done
    findings | grep -q -F '"PROCESS_UNIT":"trial.service"'
    findings | grep -q -F '"PROCESS_COMM":"hyper-server"'
    metric 'truncwatch_truncated_messages_total{cause="process-exit",fault="local",unit="trial.service"} 1'
}

reloads() {
    systemctl reload truncwatch
    within 20 metric 'truncwatch_reloads_total 1'
    is ActiveState active
}

keeps_its_configuration_for_a_wrong_one() {
    cp $CONFIGURATION /run/good.toml
    echo 'unit = 1' >>$CONFIGURATION
    not systemctl reload truncwatch
    is ActiveState active
    within 20 told 'unknown field `unit`'
    systemctl kill --signal=HUP --kill-whom=main truncwatch
    within 20 metric 'truncwatch_reload_failures_total 1'
    cp /run/good.toml $CONFIGURATION
    is ActiveState active
}

is_started_anew_when_killed() {
    systemctl kill --signal=KILL --kill-whom=main truncwatch
    within 60 is NRestarts 1
    within 60 is ActiveState active
    cut_short
    within 20 found 2
}

is_started_anew_when_it_hangs() {
    systemctl kill --signal=STOP --kill-whom=main truncwatch
    within 120 is NRestarts 2
    within 60 is ActiveState active
    told 'Watchdog timeout'
    cut_short
    within 20 found 3
}

stops() {
    systemctl stop truncwatch
    is ActiveState inactive
    is Result success
    # In all that it has said.
    told watching
    not told_of_nice
    not told panicked
}

stays_ended_for_a_wrong_configuration() {
    echo 'unit = 1' >>$CONFIGURATION
    not systemctl start truncwatch
    is ActiveState failed
    is ExecMainStatus 2
    sleep 8
    is NRestarts 0
    is ActiveState failed
    cp /run/good.toml $CONFIGURATION
    systemctl reset-failed truncwatch
    systemctl start truncwatch
    is ActiveState active
}

step starts starts
step finds finds
step reloads reloads
step "keeps its configuration for a wrong one" keeps_its_configuration_for_a_wrong_one
step "is started anew when killed" is_started_anew_when_killed
step "is started anew when it hangs" is_started_anew_when_it_hangs
step stops stops
step "stays ended for a wrong configuration" stays_ended_for_a_wrong_configuration
echo "@@ begin warnings"
dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace'
echo "@@ end 0"
busybox poweroff -f
