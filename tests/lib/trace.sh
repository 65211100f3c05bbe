# SPDX-License-Identifier: MIT
#
# trace.sh: sourced, after case.sh, by cases that look at the module's events and
# at its files in debugfs.

TRACE=/sys/kernel/tracing/instances/case

# trace_start: collects events from now on, in their order on all processors.
trace_start() {
	[[ -d /sys/kernel/tracing/events/kbdus ]] ||
		skip "this kernel has no event tracing"
	[[ ! -d $TRACE ]] || rmdir $TRACE
	mkdir $TRACE
	trap trace_end EXIT
	echo counter > $TRACE/trace_clock
	echo 1 > $TRACE/events/kbdus/enable
}

trace_end() {
	[[ ! -d $TRACE/events/kbdus ]] || echo 0 > $TRACE/events/kbdus/enable
	rmdir $TRACE
}

# traced PATTERN: the events that match, as "EVENT: FIELDS", without "kbdus_".
traced() {
	sed -n 's/^.*: kbdus_\([a-z_]*: .*\)$/\1/p' $TRACE/trace |
		grep -E -- "$1" || :
}

# request_key PATTERN: what all events of a request have in common, the first one
# queued that matches: its device, queue, tag and sequence.
request_key() {
	local line
	line=$(traced "^request_queued: .*$1" | head -n 1)
	[[ $line ]] || fail "no such request: $1"
	grep -oE 'device=[0-9]+ queue=0 tag=[0-9]+ sequence=[0-9]+ ' <<< "$line"
}

# steps KEY: a request's way: each event, where from, and with which error.
steps() {
	traced "^request_[a-z]*: $1" |
		sed -E 's/^request_([a-z]*): .* from=([a-z_]+) error=(.*)$/\1 \2 \3/'
}

# debugfs FILE: that file of $ID.
debugfs() {
	cat "$(debugfs_of "$ID")/$1"
}

debugfs_of() {
	echo "/sys/kernel/debug/kbdus/$1"
}

need_debugfs() {
	[[ -d /sys/kernel/debug/kbdus ]] || skip "this kernel has no debugfs"
}
