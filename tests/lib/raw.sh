# SPDX-License-Identifier: MIT
#
# raw.sh: sourced, after case.sh, by cases that speak kbdus.h themselves; they
# tell the program raw (raw.c) what to do. It is started by sourcing this and
# ends with the case.

declare -A R=()
RESULT=

# raw_do COMMAND...: does it, whatever the result, and sets RESULT.
raw_do() {
	local rest word
	[[ ${RAW_PID:-} ]] || fail "raw is dead"
	echo "$*" >&"${RAW[1]}"
	read -r RESULT rest <&"${RAW[0]}" || fail "raw died of: $*"
	for word in $rest; do
		R[${word%%=*}]=${word#*=}
	done
}

# raw RESULT COMMAND...: the command has this result: ok, or the name of an error.
# What came out is in R: ${R[seqnum]}, ${R[handle]}, ...
raw() {
	raw_do "${@:2}"
	[[ $RESULT == "$1" ]] || fail "$RESULT, not $1: raw ${*:2}"
}

# raw_is RESULT COMMAND...: whether the command has this result.
raw_is() {
	raw_do "${@:2}"
	[[ $RESULT == "$1" ]]
}

# raw_device KEY=VALUE...: an available device, whose driver is raw; sets DEV and
# ID. By default it can only be written, so that udev makes no requests.
raw_device() {
	raw ok open
	raw ok create "$@"
	ID=${R[seqnum]}
	DEV=/dev/bdus-$ID
	raw ok info "seqnum=$ID"
	[[ -z ${BDUS_PROTOCOL:-} ]] ||
		equals "${R[protocol]}" "$BDUS_PROTOCOL" "raw's protocol"
	raw ok serve until=DEVICE_AVAILABLE
	[[ -b $DEV ]] || fail "no node $DEV"
}

# client_writes [BLOCK [COUNT]]: begins to write blocks of 4096 bytes in the
# background; client_result says how it ended.
client_writes() {
	dd if=/dev/zero of="$DEV" bs=4096 seek="${1:-0}" count="${2:-1}" \
		oflag=direct conv=notrunc,nocreat status=none 2> client.out &
	CLIENT=$!
}

# client_result TEXT: "ok", or what the client complained of.
client_result() {
	local status=0
	wait "$CLIENT" || status=$?
	if [[ $1 == ok ]]; then
		((status == 0)) || fail "the client failed: $(< client.out)"
	else
		((status != 0)) || fail "the client succeeded"
		grep -qF "$1" client.out || fail "the client said: $(< client.out)"
	fi
}

declare -A WRITERS=() HELD=()

# writer BLOCK: a client begins to write this block in the background, beside others.
writer() {
	client "writer.$1" "write:$(($1 * 4096))"
	WRITERS[$1]=$!
}

# written BLOCK [RESULT]: what became of that: OK or the name of an error.
written() {
	wait "${WRITERS[$1]}"
	tells "writer.$1" open "${2:-OK}"
}

# raw_receive_block BLOCK: the next request is to write it; HELD[BLOCK] is its handle.
raw_receive_block() {
	raw_receive WRITE
	equals "${R[offset]}" $(($1 * 4096)) offset
	HELD[$1]=${R[handle]}
}

# hold BLOCK...: clients write these blocks, and raw has the requests.
hold() {
	local block
	for block; do
		writer "$block"
		raw_receive_block "$block"
	done
}

# raw_receive TYPE: the next request is of this type.
raw_receive() {
	raw ok receive
	equals "${R[type]}" "$1" "type of the request"
}

# statistic FIELD VALUE: of the device of raw; at once, or as soon as the module
# has read what raw has sent.
statistic() {
	local end=$((SECONDS + 10 * BDUS_SLOW))
	until has_statistic "$@"; do
		((SECONDS <= end)) || equals "${R[$1]}" "$2" "$1"
	done
}

has_statistic() {
	raw ok info "seqnum=$ID"
	[[ ${R[$1]} == "$2" ]]
}

# request_waits: a request waits to be received, the only one there is.
request_waits() {
	if raw_is ok has feature=channels; then
		raw ok ring_state
		[[ ${R[waiting]} == 1 ]]
	elif raw_is ok has feature=sends_ahead; then
		has_statistic with_driver_now 1
	else
		has_statistic queued_now 1
	fi
}

# skip_request TYPE: what ended before raw asked for it has been sent to it all
# the same, by some protocols.
skip_request() {
	raw_is EOPNOTSUPP has feature=sends_ahead || raw_receive "$1"
}

# skip_notification TYPE: the same for what is not answered.
skip_notification() {
	raw_is EOPNOTSUPP has feature=socket || raw_receive "$1"
}

LATE=0 BAD=0

# reply_late KEY=VALUE...: an answer to a request that does not wait for it any more
# is ignored and counted.
reply_late() {
	raw ok reply "$@"
	statistic late_replies $((++LATE))
	statistic bad_replies $BAD
}

# reply_again KEY=VALUE...: so is one to a request that was answered before, unless the
# module forgets what was answered: then it is refused, or was found before by the
# module itself.
reply_again() {
	if raw_is EOPNOTSUPP has feature=forgets; then
		reply_late "$@"
	else
		raw_do reply "$@"
		[[ $RESULT == EINVAL || $RESULT == ok ]] || fail "$RESULT: raw reply $*"
		statistic late_replies $LATE
		statistic bad_replies $((++BAD))
	fi
}

coproc RAW { exec "$BDUS_OUT/tests/raw"; }
