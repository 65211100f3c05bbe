# SPDX-License-Identifier: MIT
"""From what was measured to records: one for each subject and workload.

A record has the fields FIELDS, null where something was not measured; programs read
them from results.json. Those of MORE are there where they mean something.
"""

import dataclasses
import statistics

import plan

# The clock of a machine that counts instructions goes on by 2 ns with each.
INSTRUCTIONS_PER_SECOND = 500_000_000

FIELDS = ("kernel", "mode", "subject", "protocol", "workload", "block_size",
          "depth", "jobs", "iops", "mb_per_s", "instructions_per_request",
          "syscalls_per_request", "context_switches_per_request")
# The label tells subjects apart that are of one name and protocol.
MORE = ("label", "table", "is_cached", "count", "rounds", "iops_lowest",
        "iops_highest", "memory_per_device", "slab_per_device",
        "vmalloc_per_device", "per_processor_per_device")


@dataclasses.dataclass
class Result:
    """A record, with what it was made of."""

    part: plan.Part
    subject: plan.Subject
    workload: plan.Workload
    record: dict
    rounds: list  # iops of each

    @property
    def mode(self):
        return self.part.mode


class Samples:
    """Collects what a machine measures."""

    def __init__(self, kernel, part):
        self.kernel = kernel
        self.part = part
        self.samples = {}

    def add(self, sample):
        """Takes in an object that guest/measure printed."""
        subject = plan.Subject(**sample.pop("subject"))
        workload = plan.Workload(**sample.pop("workload"))
        values = self.samples.setdefault((workload, subject), {})
        for name, value in sample.items():
            values.setdefault(name, []).append(value)

    def results(self):
        return [self._result(workload, subject, values)
                for (workload, subject), values in self.samples.items()]

    def _result(self, workload, subject, values):
        def median(name, digits=None):
            found = values.get(name)
            return round(statistics.median(found), digits) if found else None

        iops = median("iops", 1)
        instructions = median("instructions")
        if self.part.mode == plan.INSTRUCTIONS and iops:
            instructions = round(INSTRUCTIONS_PER_SECOND / iops)
        record = dict(zip(FIELDS, (
            self.kernel, self.part.mode, subject.name, subject.protocol or None,
            workload.name, workload.block_size, workload.depth, workload.jobs,
            iops, median("mb_per_s", 2), instructions,
            median("syscalls_per_request", 3),
            median("context_switches_per_request", 3)), strict=True))
        rounds = values.get("iops", [])
        more = {
            "label": subject.label, "table": self.part.title,
            "is_cached": workload.is_cached, "count": workload.count or None,
            "rounds": len(values.get("round", [])),
            "iops_lowest": round(min(rounds), 1) if rounds else None,
            "iops_highest": round(max(rounds), 1) if rounds else None,
            **{name: median(name) for name in MORE
               if name.endswith("_per_device")},
        }
        record |= {name: more[name] for name in MORE
                   if more[name] not in (None, False, "")}
        return Result(self.part, subject, workload, record, rounds)
