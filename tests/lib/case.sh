# SPDX-License-Identifier: MIT
#
# case.sh: the vocabulary of cases. A case sources it first, with the module
# loaded and no device there, and says in a few sentences what must hold. It
# stops at the first command that fails. What a case leaves behind (processes,
# mounts, devices) is cleaned up for it by after-case.

set -eEuo pipefail
: "${BDUS_SLOW:=${VM_SLOW:-1}}"
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND"' ERR

fail() {
	echo "FAILED: $*"
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

# nap SECONDS: waits a moment. That takes no process, but in bash before 5.2, where the
# time may be over before the read has begun that it is to end.
nap() {
	if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 502)); then
		read -rt "$1" <> <(:) || :
	else
		sleep "$1"
	fi
}

# wait_until SECONDS COMMAND...: until the command succeeds; the time is scaled
# by what a slow kernel needs.
wait_until() {
	local end=$((SECONDS + $1 * BDUS_SLOW))
	shift
	until "$@"; do
		((SECONDS <= end)) || fail "not within the time: $*"
		nap 0.05
	done
}

# start DRIVER [KEY=VALUE...]: starts a driver in the background and sets DEV
# (its node) and ID.
start() {
	fit "$@"
	DEV=$(bdus run "${FITTED[@]}") || fail "bdus run ${FITTED[*]}"
	set_id
	[[ -b $DEV ]] || fail "no node $DEV"
	uses_protocol
}

# fit DRIVER [KEY=VALUE...]: sets FITTED to these words, and if they leave it open
# which callbacks the driver fault has, to all that the backend of the run can do.
fit() {
	FITTED=("$@")
	[[ $1 != fault || ${BDUS_BACKEND:-kbdus} == kbdus || " $* " == *" ops="* ]] ||
		FITTED+=("ops=$(callbacks)")
}

# callbacks: those that the backend of the run can do.
callbacks() {
	printf read,write,write_same,write_zeros,fua_write,flush,discard
	[[ $(backend_can SECURE-ERASE) == no ]] || printf ,secure_erase
	[[ $(backend_can IOCTL) == no ]] || printf ,ioctl
}

# backend_can TRAIT: yes or no, as `bdus version --backends` has it.
backend_can() {
	bdus version --backends | awk -v name="${BDUS_BACKEND:-kbdus}" -v trait="$1" '
		NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i }
		$1 == name { print $column[trait] }'
}

# set_id: sets ID to that of $DEV.
set_id() {
	if [[ $DEV == /dev/bdus-* ]]; then
		ID=${DEV#/dev/bdus-}
	else
		ID=$(bdus-info "$DEV" --id)
	fi
}

# protocol: how the driver of $ID talks to the module; nothing if there is none.
protocol() {
	bdus list -n -r -o PROTOCOL "$ID" 2> /dev/null || :
}

# uses_protocol [NAME]: the driver of $ID talks in this way, unless it is gone
# already: in the way of the run, if no other is named.
uses_protocol() {
	local name=${1:-${BDUS_PROTOCOL:-}} used
	used=$(protocol)
	[[ -z $name || -z $used ]] ||
		equals "$used" "$name" "the driver's protocol"
}

# start_foreground DRIVER [KEY=VALUE...]: the same, and sets PID to its process,
# a child of the case. Its output goes to ./driver.out.
start_foreground() {
	: > driver.out
	fit "$@"
	bdus run "$1" --foreground "${FITTED[@]:1}" > driver.out 2>&1 &
	PID=$!
	wait_until 20 grep -qs ^/dev/ driver.out
	DEV=$(grep -m1 ^/dev/ driver.out)
	set_id
	uses_protocol
}

# info FIELD...: numbers about $ID, e.g. info queued-now.
info() {
	bdus-info "$ID" "${@/#/--}"
}

# service: who serves $ID: available, orphan, ... as `bdus list` says.
state() {
	bdus list -n -r -o STATE "$ID"
}

driver_pid() {
	info driver-pid
}

# kill_driver: the driver of $ID dies at once; returns when the module knows.
kill_driver() {
	local pid
	pid=$(driver_pid)
	kill -KILL "$pid"
	wait_until 10 process_is_gone "$pid"
}

# A process whose main thread has ended is gone when the others are, too.
process_is_gone() {
	local tasks=(/proc/"$1"/task/*)
	((${#tasks[@]} == 1)) || return 1
	[[ ! -d /proc/$1 ]] || grep -q '^State:.[ZX]' "/proc/$1/status" 2>/dev/null
}

# stop_process PID: suspends a process. The signal alone does not: each thread goes
# on until it is next scheduled.
stop_process() {
	kill -STOP "$1"
	wait_until 10 process_is_stopped "$1"
}

process_is_stopped() {
	[[ -z $(grep -h '^State:' /proc/"$1"/task/*/status | grep -v 'State:.[Tt]') ]]
}

# is_gone ID|PATH: neither BDUS nor /dev knows the device.
is_gone() {
	local node=$1
	[[ $1 == /* ]] || node=/dev/bdus-$1
	[[ ! -e $node ]] && ! bdus-info "${1#/dev/bdus-}" --id > /dev/null 2>&1
}

# expect_error TEXT COMMAND...: the command fails and says so.
expect_error() {
	local text=$1 output
	shift
	if output=$("$@" 2>&1); then
		fail "succeeded: $*"
	fi
	grep -qF -- "$text" <<< "$output" ||
		fail "'$*' said '$output', not '$text'"
}

# expect_status STATUS COMMAND...
expect_status() {
	local status=0
	"${@:2}" || status=$?
	((status == $1)) || fail "exit status $status, not $1: ${*:2}"
}

# equals ACTUAL EXPECTED [WHAT]
equals() {
	[[ $1 == "$2" ]] || fail "${3:-value} is '$1', not '$2'"
}

# replace DRIVER [KEY=VALUE...]: starts a driver in the background that takes
# over $ID.
replace() {
	bdus run --replace="$ID" "$@" > replace.out || fail "bdus run --replace=$ID $*"
	uses_protocol
}

# holds FIELD NUMBER: whether a number about $ID is that, e.g. queued-now 3.
holds() {
	[[ $(info "$1") == "$2" ]]
}

# under_way NUMBER: so many requests of $ID are not answered. How many of them the
# driver has in its hands is up to the protocol.
under_way() {
	local counts
	counts=($(info queued-now with-driver-now))
	((counts[0] + counts[1] == $1))
}

# client NAME REQUEST...: makes requests of $DEV in the background (words: see
# client.c); what becomes of them is in the file NAME.
client() {
	"$BDUS_OUT/tests/client" "$DEV" "${@:2}" > "$1" 2>&1 &
}

# tells FILE LINE...: these are its lines.
tells() {
	equals "$(< "$1")" "$(printf '%s\n' "${@:2}")" "$1"
}

# is_unused: nobody has $ID open any more.
is_unused() {
	holds openers 0
}

# open_client: a client that keeps $DEV open until close_client.
open_client() {
	local said
	mkfifo client.in client.out
	"$BDUS_OUT/tests/client" "$DEV" < client.in > client.out &
	CLIENT=$!
	exec 7> client.in 8< client.out
	read -ru 8 said
	equals "$said" open "what the client says"
}

# client_gets RESULT REQUEST: what becomes of a request of that client: OK or the
# name of an error.
client_gets() {
	local said
	echo "$2" >&7
	read -ru 8 said || fail "the client has ended"
	equals "$said" "$1" "the result of $2"
}

close_client() {
	echo close >&7
	wait "$CLIENT"
	exec 7>&- 8<&-
	rm client.in client.out
}

# new_client_gets RESULT: what becomes of opening $DEV.
new_client_gets() {
	local said
	said=$("$BDUS_OUT/tests/client" "$DEV" < /dev/null) || :
	equals "$said" "$1" "the result of opening $DEV"
}

# is_now VALUE COMMAND...: what the command prints, to be waited for.
is_now() {
	[[ $("${@:2}") == "$1" ]]
}

# no_devices: neither BDUS nor /dev knows any.
no_devices() {
	[[ -z $(bdus list -n) ]] && ! compgen -G '/dev/bdus-[0-9]*' > /dev/null
}

# settle: udev has looked at all new devices, if there is one. It has been seen to
# say for minutes that it has not while nothing was left to look at; that is none of
# our business unless a device or the kernel keeps it waiting.
settle() {
	type -P udevadm > /dev/null || return 0
	udevadm settle --timeout=$((20 * BDUS_SLOW)) && return
	ls -l /run/udev
	! keeps_waiting || fail "udev waits for a device"
}

# keeps_waiting: says of what is still waited for, by udev or by others; fails if there
# is nothing.
keeps_waiting() {
	local device task found=1
	for device in $(bdus list -n -r -o ID); do
		[[ $(bdus-info "$device" --queued-now --with-driver-now) != $'0\n0' ]] ||
			continue
		bdus info "$device"
		found=0
	done
	for task in $(pgrep udev); do
		grep -q '^State:.D' "/proc/$task/status" 2> /dev/null || continue
		cat "/proc/$task/comm" "/proc/$task/stack" || :
		found=0
	done
	return "$found"
}

# needs_partitions: skips the case where the kernel cannot read any usual table.
needs_partitions() {
	[[ ! -e /proc/config.gz ]] ||
		zcat /proc/config.gz | grep -q '^CONFIG_EFI_PARTITION=y' ||
		skip "the kernel reads no partition tables"
}
