# SPDX-License-Identifier: MIT
"""Devices as such: what it takes to create and to destroy some, and how much memory
they have while nobody uses them.

Time is that for which processors did something, of whatever process or of the kernel;
by a clock that counts instructions it repeats. Processes that would look at each new
device are ended before.
"""

import subprocess
from pathlib import Path

from device import context_switches, environment_of, say

PROGRAM = "/bdus/out/bench/devices"
INSTRUCTIONS_PER_NANOSECOND = 0.5  # see lib/results.py
# Memory is looked at where there are enough devices to see it.
LEAST_FOR_MEMORY = 100
# Fields of /proc/meminfo, and whether they grow or shrink.
MEMORY = {"memory": ("MemAvailable", -1), "slab": ("Slab", 1),
          "vmalloc": ("VmallocUsed", 1), "per_processor": ("Percpu", 1)}


def run(part, subjects):
    subprocess.run(["udevadm", "control", "--exit"], check=True)
    subprocess.run(["modprobe", "null_blk", "nr_devices=0"], check=True)
    counts = dict.fromkeys(each["count"] for each in part["workloads"])
    for number in range(part["rounds"]):
        for subject in subjects:
            # What the first one of all brings with it is not counted.
            Maker(subject, 1).take_all()
            for count in counts:
                measure(Maker(subject, count), part["workloads"], number)


def measure(maker, workloads, number):
    for workload, values in zip(("create", "destroy"), maker.take_all()):
        for each in workloads:
            if (each["name"], each["count"]) == (workload, maker.count):
                say(maker.subject, each, round=number, **values)


class Maker:
    """The program that makes devices, stage after stage."""

    def __init__(self, subject, count):
        self.subject, self.count = subject, count
        self.process = subprocess.Popen(
            [PROGRAM, subject["name"], str(count)], text=True,
            env=environment_of(subject),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.wait()

    def wait(self):
        if not self.process.stdout.readline():
            raise SystemExit(f"{self.subject['label']}: no {self.count} devices")

    def take_all(self):
        """What it took to create, and to destroy, one of the devices."""
        before = memory()
        created = self.stage()
        if self.count >= LEAST_FOR_MEMORY:
            after = memory()
            created |= {
                f"{name}_per_device":
                sign * (after[field] - before[field]) * 1024 / self.count
                for name, (field, sign) in MEMORY.items()}
        destroyed = self.stage()
        self.process.communicate("\n")
        return created, destroyed

    def stage(self):
        switches, nanoseconds = context_switches(), busy_nanoseconds()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.wait()
        nanoseconds = busy_nanoseconds() - nanoseconds
        switches = context_switches() - switches
        return {
            "instructions": nanoseconds * INSTRUCTIONS_PER_NANOSECOND / self.count,
            "context_switches_per_request": switches / self.count}


def busy_nanoseconds():
    """For which processes ran, on all processors, since the machine was started; what
    interrupts took is in it where they interrupted one."""
    return sum(int(line.split()[7])
               for line in Path("/proc/schedstat").read_text().splitlines()
               if line.startswith("cpu"))


def memory():
    """KiB, by the kernel's names."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {name.rstrip(":"): int(value) for name, value, *_ in lines}
