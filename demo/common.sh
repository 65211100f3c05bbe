# SPDX-License-Identifier: MIT
#
# common.sh: what the parts of the demonstration share. Sourced with `trees` set to
# the directories whose files are copied.

step() {
	printf '\n==> %s\n' "$*"
}

# Checksums of everything below the directory $1.
checksums() {
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

same_as_original() {
	local tree
	for tree in "${trees[@]}"; do
		cmp <(checksums "$tree") <(checksums "$1/${tree##*/}")
	done
}
