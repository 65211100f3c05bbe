# SPDX-License-Identifier: MIT
"""Requests, as fio makes them.

All subjects are there at the same time, and all but one of them idle, so that a
round can take them in turn and whatever else the host does meets them alike.
Once all rounds are over each workload runs again for a moment while system calls
are counted, which is not for nothing.
"""

import json
import subprocess
import sys
from pathlib import Path

from device import all_up, context_switches, say

CALLS = Path("/sys/kernel/tracing/events/raw_syscalls/sys_enter")
IO_URING_ENTER = 426
# A cached write is not done before the data has left the cache.
WRITES_PER_SYNC = 64


def run(part, subjects):
    with all_up(subjects) as devices:
        sizes = set()
        for workload in part["workloads"]:
            able = [device for device in devices if device.takes(workload)]
            if workload["block_size"] not in sizes:
                # Buffers are touched for the first time, and so on.
                for device in able:
                    fio(device, workload, 0.05)
            sizes.add(workload["block_size"])
            measure_all(able, workload, part)


def measure_all(devices, workload, part):
    for number in range(part["rounds"]):
        for device in devices:
            measure(device, workload, number, part["seconds"])
    if part["seconds_counting"]:
        for device in devices:
            count_calls(device, workload, part["seconds_counting"])


def measure(device, workload, number, seconds):
    switches = context_switches()
    done = fio(device, workload, seconds)
    switches = context_switches() - switches
    say(device.subject, workload, round=number, iops=done["iops"],
        mb_per_s=done["bw_bytes"] / 1e6,
        context_switches_per_request=switches / done["total_ios"])


def count_calls(device, workload, seconds):
    # Of the client it is only what a request takes, not how fio begins.
    trigger = f'hist:keys=id if id == {IO_URING_ENTER} || comm != "fio"'
    (CALLS / "trigger").write_text(trigger)
    done = fio(device, workload, seconds)
    calls = histogram_total(CALLS / "hist")
    (CALLS / "trigger").write_text("!" + trigger)
    say(device.subject, workload, syscalls_per_request=calls / done["total_ios"])


def fio(device, workload, seconds):
    """Runs a workload; what fio says of its requests."""
    done = subprocess.run(
        ["fio", "--name=bench", f"--filename={device.node}",
         f"--rw={workload['name']}", f"--bs={workload['block_size']}",
         f"--iodepth={workload['depth']}", f"--numjobs={workload['jobs']}",
         "--thread", "--group_reporting", "--norandommap", "--time_based",
         f"--runtime={seconds * 1000:.0f}ms", "--output-format=json",
         *way(workload), *device.subject["fio"].split()],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"fio failed on {device.node}: {done.stdout}")
    job = json.loads(done.stdout)["jobs"][0]
    return job["write" if "write" in workload["name"] else "read"]


def way(workload):
    """Options for how requests are made."""
    if not workload["is_cached"]:
        return ["--ioengine=io_uring", "--direct=1"]
    options = ["--ioengine=psync", "--direct=0"]
    if "write" in workload["name"]:
        options.append(f"--fdatasync={WRITES_PER_SYNC}")
    return options


def histogram_total(path):
    for line in path.read_text().splitlines():
        if line.strip().startswith("Hits:"):
            return int(line.split()[1])
    return 0
