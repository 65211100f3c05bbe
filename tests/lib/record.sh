# SPDX-License-Identifier: MIT
#
# record.sh: sourced, after case.sh, by cases that look at what the driver fault
# was asked for. Its record is the file ./record.

# start_recorded SIZE [KEY=VALUE...]: a device without anything recorded yet. What
# udev reads of it comes later, so cases ask for lines of some kind.
start_recorded() {
	start fault size="$1" record="$PWD/record" "${@:2}"
	settle
	forget
}

forget() {
	: > record
}

# recorded PATTERN: the lines that match, in their order.
recorded() {
	grep -E -- "^($1)( |\$)" record || :
}

# sequence: the kinds of callbacks in a line, repetitions left out.
sequence() {
	grep -oE '^[a-z_]+' record | grep -v '^read$' | uniq | tr '\n' ' '
}
