# SPDX-License-Identifier: MIT
"""Runs a part of a plan in a throw-away machine: the tests' machines, with
packages of its own."""

import argparse
import dataclasses
import json
import os
import tempfile
from pathlib import Path

import judge
import machine
import plan
import project
import runner
import slots

SILENCE = 300  # seconds without a word after which a machine has failed


class BenchError(Exception):
    """A measurement failed; the message says where and what was seen."""


class Bench(project.Bdus):
    name = "bench"
    packages = ("nbdkit", "nbd-client", "libnbd-bin", "fuse3")

    def wants_packages(self, options):
        return False


class Machines:
    """Machines of one kernel in which everything is built."""

    def __init__(self, kernel, say):
        self.say = say
        self.options = argparse.Namespace(
            memory="2G", cpus=2, icount=False, kmemleak=False, at_once=True,
            protocol=project.ALL, backend="kbdus")
        self.bench = Bench()
        self.directory = tempfile.TemporaryDirectory(prefix="bench.")
        self.shape = runner.prepare(self.bench, kernel, self.options,
                                    Path(self.directory.name), say)
        self.release = self.shape.image.release

    def run(self, part):
        """Runs a part; yields what was measured, one by one: dicts as
        guest/measure makes them."""
        shape = self.shape
        if part.is_exact or part.mode == plan.INSTRUCTIONS:
            shape = dataclasses.replace(shape, icount=True, cpus=1)
        logs = runner.new_log_directory(self.bench.top / "build/vm/logs",
                                        self.bench.name)
        log = logs / f"{part.mode}.console"
        with slots.acquire(self.say):
            guest = machine.Machine(shape, log)
            try:
                guest.wait_ready()
                yield from self._measure(guest, part)
            except machine.MachineError as error:
                raise BenchError(f"the machine {error}; see {log}") from None
            finally:
                guest.kill()

    def _measure(self, guest, part):
        order = {"part": dataclasses.asdict(part)}
        environment = {
            "HOME": "/root", "LC_ALL": "C.UTF-8",
            **self.bench.environment(guest.shape, self.options),
            "BENCH_ORDER": json.dumps(order),
        }
        guest.send("command", command="exec /bdus/bench/guest/measure",
                   directory="/tmp", environment=environment)
        text = ""
        while True:
            event = next(guest.events(SILENCE))
            if event["event"] == "done":
                break
            *lines, text = (text + event["text"]).split("\n")
            for line in lines:
                if line.startswith("{"):
                    yield json.loads(line)
                else:
                    self.say(line)
        self._check(event, text)

    def _check(self, event, rest):
        complaints = judge.complaints(event["kernel"], self.bench.subject)
        if event["status"] or complaints:
            raise BenchError("\n".join(
                [f"exit status {event['status']} of what measures", rest,
                 *complaints]))
