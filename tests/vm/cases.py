# SPDX-License-Identifier: MIT
"""Cases: found as files, described by their first lines, chosen by name."""

import dataclasses
import fnmatch
import os
import re
from pathlib import Path

DEFAULT_TIMEOUT = 60
IN_TURNS, AT_ONCE, ALWAYS = "in-turns", "at-once", "at-once-always"
HEAVY = "heavy"
NO_CASES = ("README*", "*.inc")  # even if executable
DIRECTIVE = re.compile(r"^(?:#|//) *(timeout|group|kernel-log|variants|backends|processors|weight): *(.+?) *$")


@dataclasses.dataclass(frozen=True)
class Task:
    """A case to be run, in one of the ways that the project knows."""

    case: "Case"
    label: str = ""  # tells it from the case's other variants
    environment: dict = dataclasses.field(default_factory=dict)
    rank: int = 0  # those of a lower one are run first

    @property
    def name(self):
        return f"{self.case.name} [{self.label}]" if self.label else \
            self.case.name


class UsageError(Exception):
    """What was asked for does not exist; the message names it."""


@dataclasses.dataclass(frozen=True)
class Case:
    name: str  # path below the directory of cases
    timeout: int = DEFAULT_TIMEOUT
    groups: frozenset = frozenset()
    kernel_log: tuple = ()  # messages it is expected to cause
    variants: tuple = ()  # the project's word on which ones make sense
    backends: tuple = ()  # the project's word on where it makes sense
    processors: str = IN_TURNS  # or AT_ONCE, or that under a slow kernel, too: ALWAYS
    is_heavy: bool = False  # not to be repeated in each way, unless that is asked for
    summary: str = ""


def discover(directory):
    """All cases below a directory, by name: every executable file is one."""
    found = {}
    for path in sorted(Path(directory).rglob("*")):
        if (path.is_file() and os.access(path, os.X_OK) and
                not any(path.match(pattern) for pattern in NO_CASES)):
            name = str(path.relative_to(directory))
            found[name] = read_header(name, path)
    return found


def read_header(name, path):
    """A case from its leading comment: directives and a first sentence."""
    timeout, groups, kernel_log, summary = DEFAULT_TIMEOUT, set(), [], ""
    variants, backends, processors = (), area_backends(path), IN_TURNS
    is_heavy = False
    for line in leading_comment(path):
        match = DIRECTIVE.match(line)
        text = line.lstrip("#/ ").strip()
        if not match:
            if text and not summary and not text.startswith(("!", "SPDX")):
                summary = text
        elif match[1] == "timeout":
            timeout = parse_timeout(name, match[2])
        elif match[1] == "group":
            groups.update(match[2].split())
        elif match[1] == "variants":
            variants = tuple(match[2].split())
        elif match[1] == "backends":
            backends = tuple(match[2].split())
        elif match[1] == "processors":
            processors = parse_choice(name, match[1], match[2],
                                      (AT_ONCE, ALWAYS))
        elif match[1] == "weight":
            is_heavy = bool(parse_choice(name, match[1], match[2], (HEAVY,)))
        else:
            kernel_log.append(match[2])
    return Case(name, timeout, frozenset(groups), tuple(kernel_log), variants,
                backends, processors, is_heavy, summary)


def area_backends(path):
    """What an area's file `area.inc` says for all of its cases."""
    area = Path(path).parent / "area.inc"
    if area.exists():
        for line in leading_comment(area):
            match = DIRECTIVE.match(line)
            if match and match[1] == "backends":
                return tuple(match[2].split())
    return ()


def parse_timeout(name, text):
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"case {name}: bad timeout: {text}") from None


def parse_choice(name, directive, text, known):
    if text not in known:
        raise UsageError(f"case {name}: bad {directive}: {text}")
    return text


def leading_comment(path):
    with open(path, errors="replace") as file:
        for line in file:
            if line.strip() and not line.startswith(("#", "//")):
                return
            yield line.rstrip("\n")


def select(known, patterns, groups, everything):
    """The cases that patterns name (exactly, by area or as globs); without
    patterns, all that are in no group or in one of groups. A case that is
    named exactly is taken whatever its group."""
    if not patterns:
        patterns = ["*"]
    chosen = {}
    for pattern in patterns:
        matching = [case for name, case in known.items()
                    if is_match(name, pattern)]
        if not matching and pattern != "*":
            raise UsageError(f"no such case: {pattern}")
        for case in matching:
            if (everything or not case.groups or case.groups & set(groups) or
                    case.name == pattern):
                chosen[case.name] = case
    unknown = set(groups) - {g for c in known.values() for g in c.groups}
    if unknown:
        raise UsageError(f"no such group: {' '.join(sorted(unknown))}")
    return list(chosen.values())


def is_match(name, pattern):
    pattern = pattern.rstrip("/")
    return (name == pattern or name.startswith(pattern + "/") or
            fnmatch.fnmatchcase(name, pattern))
