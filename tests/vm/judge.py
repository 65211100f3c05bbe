# SPDX-License-Identifier: MIT
"""Whether the kernel complained.

Two kinds of messages fail a case. A kernel report (a warning with a stack, a
sanitizer's or a checker's finding, a stall) always does. A message at level
warning or worse of a subject that the project names (its own module) does
unless the case says that it causes it, with a line `# kernel-log: REGEX`.
"""

import re

WARNING = 4  # the level; smaller numbers are worse

REPORTS = re.compile("|".join([
    r"WARNING: ", r"\bBUG: ", r"\bBUG [\w-]+ ?\(", r"\bkernel BUG at ",
    r"\bOops\b", r"\bKASAN: ", r"\bKCSAN: ", r"\bUBSAN: ", r"\bODEBUG: ",
    r"general protection fault", r"Kernel panic", r"stack segment",
    r"unable to handle", r"double fault",
    r"possible (recursive|circular|irq)", r"inconsistent lock state",
    r"suspicious RCU", r"sleeping function called", r"scheduling while atomic",
    r"held lock freed", r"bad unlock balance", r"lock held when returning",
    r"still has locks held", r"INFO: trying to register non-static key",
    r"\brefcount_t: ", r"list_(add|del) corruption",
    r"INFO: task .* blocked for more", r"\brcu: .*(stall|starved)",
    r"\bsoft lockup\b", r"\bhard LOCKUP\b", r"workqueue lockup",
    r"unregister_netdevice: waiting", r"Objects remaining",
    r"kmemleak: .*new suspected", r"bad usercopy|Kernel memory (over|expo)",
    r"\bslab error\b|Slab .* still|kmem_cache_destroy",
    r"cannot create duplicate filename", r"debugfs: .* already present",
    r"detected buffer overflow", r"kobject_add_internal failed(?!.*error: -12 )",
    r"Bad page (state|map)", r"Unknown symbol|disagrees about version",
    r"\(kernel messages were lost here\)",
]))

# What any module from outside the kernel's own tree causes.
HARMLESS = re.compile(
    "loading out-of-tree module taints kernel"
    "|module verification failed: signature"
    "|Tainted kernels? ?: ")

CONSOLE_LINE = re.compile(r"^(?:<\d+>)?\[ *(\d+\.\d+)\](?:\[ *[TC]\d+\])? (.*)$")


def complaints(records, subject=None, expected=()):
    """The messages of records ([level, seconds, text]) that fail a case."""
    return [text for level, _, text in records
            if is_complaint(level, text, subject, expected)]


def is_complaint(level, text, subject, expected):
    if HARMLESS.search(text):
        return False
    if REPORTS.search(text):
        return True
    return bool(subject and level <= WARNING and re.search(subject, text) and
                not any(re.search(each, text) for each in expected))


def console_records(text, after=None):
    """The records in a console's log, from the last line that contains after.
    Only warnings and worse get to the console, and it shows no levels."""
    if after and after in text:
        text = text[text.rindex(after):].split("\n", 1)[-1]
    records = []
    for line in text.splitlines():
        match = CONSOLE_LINE.match(line.rstrip("\r"))
        stamp, message = match.groups() if match else (0, line.rstrip("\r"))
        records.append([WARNING, float(stamp), message])
    return records


def format_records(records):
    return [f"[{stamp:10.4f}] {text}" for _, stamp, text in records
            if not text.startswith("vm: ")]
