# SPDX-License-Identifier: MIT
#
# Completion of `bdus` and `bdus-info` for fish. `--help` is offered only as the
# first argument and nothing after it, each option only once, and devices are the
# block nodes /dev/bdus-*, sorted by number, and those of other backends.

function __bdus_devices
    for node in /dev/bdus-?*
        test -b $node; and echo $node
    end | sort -V
    for record in /run/bdus/*/device
        string replace -rf '^path (.*)' '$1' <$record
    end
end

function __bdus_drivers
    bdus run --list 2>/dev/null | string match -r '^  [^ ]+ .*' |
        string replace -r '^  ([^ ]+) +' '$1\t'
end

function __bdus_columns
    bdus list --help 2>/dev/null | awk '/^Columns:/ { on = 1; next } on && /^  / { print tolower($1) }'
end

# The words before the one being completed, without "bdus".
function __bdus_words
    set -l words (commandline -opc)
    set -e words[1]
    string join -- \n $words
end

function __bdus_needs_command
    test (count (__bdus_words)) -eq 0
end

# Whether the command is one of these and has no --help.
function __bdus_in
    set -l words (__bdus_words)
    test (count $words) -ge 1; or return 1
    contains -- $words[1] $argv; or return 1
    not contains -- --help $words
end

function __bdus_is_first
    test (count (__bdus_words)) -eq 1; and __bdus_in run list info flush destroy version
end

# Whether the command is $argv[1] and none of the other words is there yet.
function __bdus_lacks
    __bdus_in $argv[1]; or return 1
    set -l words (__bdus_words)
    for word in $argv[2..-1]
        contains -- $word $words; and return 1
    end
    return 0
end

# The same for options with a value, which is completed right behind them.
function __bdus_lacks_or_ends
    set -l words (__bdus_words)
    contains -- $words[-1] $argv[2..-1]; and __bdus_in $argv[1]; or __bdus_lacks $argv
end

# The driver on the command line of `bdus run`.
function __bdus_driver
    set -l words (__bdus_words)
    set -l skip
    for word in $words[2..-1]
        if test -n "$skip"
            set skip
        else if contains -- $word --replace --backend --protocol
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
    return 1
end

function __bdus_keys
    bdus run (__bdus_driver) --help 2>/dev/null |
        string match -r '^  [a-z-]+=.*' |
        string replace -r '^  ([a-z-]+=)[^ ]* +' '$1\t'
end

complete -c bdus -f
complete -c bdus -n __bdus_needs_command -a run -d 'Create a device and run its driver'
complete -c bdus -n __bdus_needs_command -a list -d 'List devices'
complete -c bdus -n __bdus_needs_command -a info -d 'Show everything about devices'
complete -c bdus -n __bdus_needs_command -a flush -d 'Flush devices'
complete -c bdus -n __bdus_needs_command -a destroy -d 'Destroy devices'
complete -c bdus -n __bdus_needs_command -a version -d 'Print versions'
complete -c bdus -n '__bdus_needs_command; or __bdus_is_first' -l help -d 'Show a summary'

complete -c bdus -n '__bdus_in list info flush destroy' -k -a '(__bdus_devices)'

complete -c bdus -n '__bdus_lacks destroy --all' -l all -d 'All devices'
complete -c bdus -n '__bdus_lacks_or_ends destroy --flush-timeout' -l flush-timeout -x -d 'Give up flushing after so many seconds'
complete -c bdus -n '__bdus_lacks destroy --no-flush' -l no-flush -d 'Do not flush'
complete -c bdus -n '__bdus_lacks destroy --quiet -q' -l quiet -s q -d 'Print nothing but errors'

complete -c bdus -n '__bdus_lacks flush --all' -l all -d 'All devices'
complete -c bdus -n '__bdus_lacks_or_ends flush --timeout' -l timeout -x -d 'Give up after so many seconds'
complete -c bdus -n '__bdus_lacks flush --quiet -q' -l quiet -s q -d 'Print nothing but errors'

for command in list info
    complete -c bdus -n "__bdus_lacks $command --bytes -b" -l bytes -s b -d 'Sizes in bytes'
    complete -c bdus -n "__bdus_lacks $command --json -J" -l json -s J -d JSON
    complete -c bdus -n "__bdus_lacks $command --noheadings -n" -l noheadings -s n -d 'No headings'
    complete -c bdus -n "__bdus_lacks_or_ends $command --output -o" -l output -s o -x -a '(__fish_complete_list , __bdus_columns)' -d 'Columns to show'
    complete -c bdus -n "__bdus_lacks $command --output-all -a" -l output-all -s a -d 'All columns'
    complete -c bdus -n "__bdus_lacks $command --raw -r" -l raw -s r -d 'For programs'
end

complete -c bdus -n '__bdus_in run; and not __bdus_driver >/dev/null' -a '(__bdus_drivers)'
complete -c bdus -n '__bdus_in run; and __bdus_driver >/dev/null' -F -a '(__bdus_keys)'
complete -c bdus -n '__bdus_lacks run --foreground -f' -l foreground -s f -d 'Stay in the foreground'
complete -c bdus -n '__bdus_lacks_or_ends run --replace' -l replace -x -k -a '(__bdus_devices)' -d 'Take over a device'
complete -c bdus -n '__bdus_lacks run --wait' -l wait -d 'With --replace: wait until it is available'
complete -c bdus -n '__bdus_lacks_or_ends run --backend' -l backend -x -a 'auto kbdus ublk nbd fuse' -d 'What makes the device'
complete -c bdus -n '__bdus_lacks_or_ends run --protocol' -l protocol -x -a 'ioctl mmap uds ring' -d 'How it talks to the module'
complete -c bdus -n '__bdus_lacks run --log' -l log -d 'Write a line for each callback'
complete -c bdus -n '__bdus_is_first; and __bdus_in run' -l list -s l -d 'List drivers'

complete -c bdus -n '__bdus_lacks version --cmdbdus' -l cmdbdus -d 'Of the commands'
complete -c bdus -n '__bdus_lacks version --libbdus' -l libbdus -d 'Of the library'
complete -c bdus -n '__bdus_lacks version --kbdus' -l kbdus -d 'Of the module'
complete -c bdus -n '__bdus_lacks version --backends' -l backends -d 'What makes devices'

function __bdus_info_properties
    bdus-info --help 2>/dev/null | string match -r '^ +--[a-z-]+ +.*' |
        string replace -r '^ +(--[a-z-]+) +' '$1\t' | string match -v -- '--help*'
end

complete -c bdus-info -f
complete -c bdus-info -n 'test (count (commandline -opc)) -eq 1' -l help -d 'Show a summary'
complete -c bdus-info -n 'not contains -- --help (commandline -opc)' -k -a '(__bdus_devices)'
complete -c bdus-info -n 'not contains -- --help (commandline -opc); and string match -q -- "-*" (commandline -ct)' -a '(__bdus_info_properties)'
