# SPDX-License-Identifier: MIT
#
# Completion of `bdus` and `bdus-info` for bash. `--help` is offered only as the
# first argument and nothing after it, each option only once, and devices are the
# block nodes /dev/bdus-*, sorted by number, and those of other backends.

_bdus_devices() {
	local node
	for node in /dev/bdus-?*; do
		[[ -b $node ]] && printf '%s\n' "$node"
	done | sort -V
	awk '$1 == "path" { print $2 }' /run/bdus/*/device 2>/dev/null
}

# The names of the drivers are the first words of the lines of the list.
_bdus_drivers() {
	bdus run --list 2>/dev/null | awk '/^  / && $1 != "none," { print $1 }'
}

_bdus_properties() {
	bdus-info --help 2>/dev/null | awk '$1 ~ /^--/ && $1 != "--help" { print $1 }'
}

# _bdus_offer WORD...: those that are not on the command line yet.
_bdus_offer() {
	local word used
	local -a left=()
	for word; do
		used=
		for ((i = _bdus_first; i < COMP_CWORD; i++)); do
			[[ ${COMP_WORDS[i]} == "$word" ]] && used=1
		done
		[[ $used ]] || left+=("$word")
	done
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(
		compgen -W "${left[*]}" -- "${COMP_WORDS[COMP_CWORD]}"
	)
}

_bdus_offer_devices() {
	local -a devices
	mapfile -t devices < <(_bdus_devices)
	_bdus_offer "${devices[@]}"
	compopt -o nosort 2>/dev/null
}

_bdus_offer_columns() {
	local word=${COMP_WORDS[COMP_CWORD]} columns
	local before=
	[[ $word == *,* ]] && before=${word%,*},
	columns=$(bdus list --help 2>/dev/null |
		awk '/^Columns:/ { on = 1; next } on && /^  / { print tolower($1) }')
	mapfile -t COMPREPLY < <(compgen -P "$before" -W "$columns" -- \
		"${word##*,}")
	compopt -o nospace 2>/dev/null
}

_bdus_run() {
	local i
	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ||
			${COMP_WORDS[i - 1]} == --@(replace|backend|protocol) ]] ||
			break
	done
	if [[ ${COMP_WORDS[COMP_CWORD - 1]} == --replace ]]; then
		_bdus_offer_devices
	elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --backend ]]; then
		_bdus_offer auto kbdus ublk nbd fuse
	elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --protocol ]]; then
		_bdus_offer ioctl mmap uds ring
	elif ((i < COMP_CWORD)); then
		local -a keys
		mapfile -t keys < <(bdus run "${COMP_WORDS[i]}" --help 2>/dev/null |
			awk '/^  [a-z-]+=/ { sub(/=.*/, "="); print $1 }')
		if [[ ${COMP_WORDS[COMP_CWORD]} == = ||
			${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
			# A value: most are numbers, some are files.
			mapfile -t COMPREPLY < <(compgen -f -- \
				"${COMP_WORDS[COMP_CWORD]#=}")
		else
			_bdus_offer --foreground --replace --wait --backend \
				--protocol --log "${keys[@]}"
			[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
		fi
	else
		local -a drivers
		mapfile -t drivers < <(_bdus_drivers)
		_bdus_offer --foreground --replace --wait --backend --protocol \
			--log --list "${drivers[@]}"
	fi
}

_bdus() {
	local previous=${COMP_WORDS[COMP_CWORD - 1]} i
	local _bdus_first=2
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_bdus_first=1
		_bdus_offer run list info flush destroy version --help
		return
	fi
	[[ ${COMP_WORDS[1]} == --help || ${COMP_WORDS[2]} == --help &&
		$COMP_CWORD -gt 2 ]] && return
	((COMP_CWORD == 2)) && _bdus_offer --help
	case ${COMP_WORDS[1]}:$previous in
	destroy:--flush-timeout | flush:--timeout)
		COMPREPLY=()
		;;
	list:-o | list:--output | info:-o | info:--output)
		_bdus_offer_columns
		;;
	destroy:*)
		_bdus_offer --all --flush-timeout --no-flush --quiet
		_bdus_offer_devices
		;;
	flush:*)
		_bdus_offer --all --timeout --quiet
		_bdus_offer_devices
		;;
	list:* | info:*)
		_bdus_offer --bytes --json --noheadings --output --output-all --raw
		_bdus_offer_devices
		;;
	run:*)
		_bdus_run
		;;
	version:*)
		_bdus_offer --cmdbdus --libbdus --kbdus --backends
		;;
	esac
}

_bdus_info() {
	local _bdus_first=$COMP_CWORD i
	local -a properties
	COMPREPLY=()
	[[ ${COMP_WORDS[1]} == --help && $COMP_CWORD -gt 1 ]] && return
	((COMP_CWORD == 1)) && _bdus_offer --help
	# Properties may be asked for several times.
	mapfile -t properties < <(_bdus_properties)
	_bdus_offer "${properties[@]}"
	_bdus_offer_devices
}

complete -F _bdus bdus
complete -F _bdus_info bdus-info
