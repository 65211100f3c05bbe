# SPDX-License-Identifier: MIT
#
# events.sh: sourced, after case.sh, by cases about drivers without callbacks; they run
# the program events (events.c).

# start_events [KEY=VALUE...]: starts it in the background and waits until all its devices
# are available. Sets PID, PATHS, and DEV and ID to the first. It writes to ./out.
start_events() {
	local count=1 word
	for word; do
		[[ $word != devices=* ]] || count=${word#*=}
	done
	: > out
	"$BDUS_OUT/tests/events" "$@" > out 2>&1 &
	PID=$!
	wait_until 20 are_available "$count"
	mapfile -t PATHS < <(grep ^/dev/ out)
	DEV=${PATHS[0]}
	set_id
	uses_protocol
}

are_available() {
	(($(sed -n '/^\/dev/p' out | wc -l) == $1))
}

# ends_well: the program has ended as it should.
ends_well() {
	wait "$PID" || fail "it said: $(< out)"
	equals "$(tail -n 1 out)" ended 'what it said last'
}
