# SPDX-License-Identifier: MIT
#
# io.sh: sourced, after case.sh, by cases that check data while the drivers of
# their device come and go.

# on_scratch: the case goes on in a directory of its own on a real disk.
on_scratch() {
	SCRATCH=$(mktemp -d "${BDUS_SCRATCH:-/scratch}/case.XXXXXX")
	trap 'cd /; rm -rf "$SCRATCH"' EXIT
	cd "$SCRATCH"
}

# start_on_file SIZE [KEY=VALUE...]: a device on the file ./backing, recoverable
# where that is possible.
start_on_file() {
	start loop file="$PWD/backing" size="$1" \
		recoverable="$(backend_can RECOVERY)" "${@:2}"
}

# next_driver N: replaces the driver, which is killed first if N is odd.
next_driver() {
	if (($1 % 2)); then
		kill_driver
	fi
	bdus run loop file="$PWD/backing" --replace "$ID" > /dev/null ||
		fail "replacing driver $1"
}

# while_replacing COMMAND...: runs a command, which must succeed, and meanwhile
# replaces the driver every two seconds.
while_replacing() {
	local pid count=0 status=0
	"$@" > output 2>&1 &
	pid=$!
	while kill -0 "$pid" 2> /dev/null; do
		next_driver $((++count))
		# The pace; nothing waits for it.
		nap 2
	done
	wait "$pid" || status=$?
	((status == 0)) || {
		grep -vE '^ ' output
		fail "after $count changes of driver: status $status of $*"
	}
	((count >= 3)) || fail "only $count changes of driver"
	equals "$(info timed-out failed terminated bad-replies)" $'0\n0\n0\n0' \
		"requests that went wrong"
}

# fio_verified NAME OPTION...: random reads and writes of 512 bytes to 256 KiB by
# four jobs, and all that was written is read back and checked.
fio_verified() {
	fio --name="$1" --numjobs=4 --rw=randrw --bsrange=512-256k --blockalign=512 \
		--verify=crc32c --verify_fatal=1 --verify_backlog=512 \
		--serialize_overlap=1 --time_based --group_reporting \
		--randrepeat=0 --exitall_on_error "${@:2}"
}

# fio_on_device SECONDS: past the page cache, each job in its own quarter.
fio_on_device() {
	fio_verified raw --filename="$DEV" --direct=1 --ioengine=libaio \
		--iodepth=16 --size=16M --offset_increment=16M --runtime="$1"
}

# fio_on_files DIRECTORY SECONDS: through the page cache, past it and by mmap at the
# same time.
fio_on_files() {
	local common=(--directory="$1" --size=12M --runtime="$2") pids=() pid
	fio_verified cached --ioengine=psync --fdatasync=64 "${common[@]}" &
	pids+=($!)
	fio_verified direct --ioengine=libaio --iodepth=8 --direct=1 \
		"${common[@]}" &
	pids+=($!)
	fio_verified mapped --ioengine=mmap --fsync=128 --bsrange=4k-256k \
		--blockalign=4k "${common[@]}" &
	pids+=($!)
	for pid in "${pids[@]}"; do
		wait "$pid" || return
	done
}

# raw_device_survives SECONDS
raw_device_survives() {
	on_scratch
	start_on_file 64M
	while_replacing fio_on_device "$1"
}

# file_system_survives TYPE SECONDS
file_system_survives() {
	on_scratch
	start_on_file 512M
	mkfs."$1" -q "$DEV"
	mkdir mnt
	mount "$DEV" mnt
	while_replacing fio_on_files "$PWD/mnt" "$2"
	umount mnt
	file_system_is_intact "$1"
}

# file_system_is_intact TYPE: what its checker says of $DEV.
file_system_is_intact() {
	case $1 in
	ext4) e2fsck -fn "$DEV" > fsck.out 2>&1 ;;
	xfs) xfs_repair -n "$DEV" > fsck.out 2>&1 ;;
	esac || {
		cat fsck.out
		fail "the $1 is damaged"
	}
}
