# SPDX-License-Identifier: MIT
"""Subjects that are there, and what can be read of the machine."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

SUBJECTS = Path(__file__).parent / "subjects"


def environment_of(subject):
    """Of whatever serves it."""
    own = dict(each.split("=", 1) for each in subject["environment"].split())
    return {**os.environ, "BDUS_PROTOCOL": subject["protocol"], **own}


class Device:
    """A subject that is there between up() and down()."""

    def __init__(self, number, subject):
        self.subject = subject
        self.environment = {
            **environment_of(subject),
            "BENCH_NODE": subject["node"],
            "BENCH_SETTINGS": subject["settings"],
            # Of what a script has to remember; several devices can have one script.
            "BENCH_STATE": f"/run/bench-{number}",
        }
        self.node = None

    def up(self):
        self.node = self._script("up", subprocess.PIPE).strip()
        scheduler = Path("/sys/block", Path(self.node).name, "queue/scheduler")
        if scheduler.exists():
            # Nobody is to sort, and to merge what would not arrive together.
            scheduler.write_text("none")

    def takes(self, workload):
        return workload["block_size"] <= self.subject["largest"]

    def down(self):
        if self.node:
            self._script("down", None)

    def _script(self, verb, output):
        done = subprocess.run(
            [SUBJECTS / self.subject["name"], verb], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=output, text=True)
        if done.returncode:
            sys.exit(f"{self.subject['name']} {verb} failed")
        return done.stdout


@contextlib.contextmanager
def all_up(subjects):
    """All subjects at a time, so that they can take turns. What is below others comes
    before them and goes after them."""
    devices = [Device(*each) for each in enumerate(subjects)]
    try:
        for device in devices:
            device.up()
        yield devices
    finally:
        for device in reversed(devices):
            device.down()


def say(subject, workload, **values):
    print(json.dumps({"subject": subject, "workload": workload, **values}),
          flush=True)


def context_switches():
    """Of the whole machine, since it was started."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("ctxt "):
            return int(line.split()[1])
    return 0
