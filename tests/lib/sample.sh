# SPDX-License-Identifier: MIT
#
# sample.sh: sourced, after case.sh, by cases about drivers written with the
# library only; see sample.c.

sample() {
	"$BDUS_OUT/tests/sample" "$@"
}

# start_sample MODE [KEY...]: in the foreground; sets PID, DEV and ID. What it says
# is in ./sample.out and ./sample.err.
start_sample() {
	rm -f sample.out
	"$BDUS_OUT/tests/sample" "$@" foreground > sample.out 2> sample.err &
	PID=$!
	wait_until 20 grep -qs ^/dev/ sample.out
	DEV=$(< sample.out)
	set_id
}

# sample_ends STATUS TEXT: how the sample in the foreground ends, and how what it
# says then begins.
sample_ends() {
	local status=0
	wait "$PID" || status=$?
	equals "$status" "$1" "status of the driver"
	[[ $(tail -n 1 sample.err) == "$2"* ]] || fail "it said: $(< sample.err)"
}
