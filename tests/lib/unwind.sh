# SPDX-License-Identifier: MIT
#
# unwind.sh: sourced, after case.sh, by cases in which allocations fail.

# let_each_fail: any allocation may be told to, silently, whatever its kind.
let_each_fail() {
	local fault=/sys/kernel/debug
	[[ -e /proc/self/fail-nth ]] || skip 'the kernel cannot make allocations fail'
	for what in failslab fail_page_alloc; do
		echo N > $fault/$what/ignore-gfp-wait
		echo 0 > $fault/$what/verbose
	done
	echo 0 > $fault/fail_page_alloc/min-order
}
