# SPDX-License-Identifier: MIT
"""Small files in an ext4 on each subject: created, read and deleted.

All that is on top of the same device writes to that, one subject after the other:
each begins with a new file system. Nobody keeps anything of it in a cache: who is
below does direct I/O, and the file system's cache goes with it.
"""

import os
import subprocess
from pathlib import Path

from device import all_up, context_switches, say

MOUNT = Path("/run/bench-mount")
PROGRAM = "/bdus/out/bench/files"


def run(part, subjects):
    MOUNT.mkdir()
    with all_up(subjects) as devices:
        # The first time is not counted.
        for number in range(-1, part["rounds"]):
            for device in devices:
                measure(device, part["workloads"], number)


def measure(device, workloads, number):
    # Nothing of it is to be left for later.
    call("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0",
         device.node)
    for workload in workloads:
        # A new mount has nothing cached.
        call("mount", device.node, MOUNT)
        switches = context_switches()
        seconds = float(call(PROGRAM, workload["name"], MOUNT,
                             workload["count"], workload["block_size"]))
        switches = context_switches() - switches
        call("umount", MOUNT)
        if number >= 0:
            say(device.subject, workload, round=number,
                iops=workload["count"] / seconds,
                context_switches_per_request=switches / workload["count"])


def call(*command):
    """Runs a program; what it printed."""
    done = subprocess.run([str(each) for each in command], check=True, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          env=os.environ)
    return done.stdout
