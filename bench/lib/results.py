# SPDX-License-Identifier: MIT
"""From what was measured to records: one for each subject and workload.

A record has exactly the fields FIELDS, null where something was not measured;
programs read them from results.json. The spread of rates between rounds is in
none of them: it is kept beside, for tables and charts.
"""

import dataclasses
import statistics

import plan

# The clock of a machine that counts instructions goes on by 2 ns with each.
INSTRUCTIONS_PER_SECOND = 500_000_000

FIELDS = ("kernel", "mode", "subject", "protocol", "workload", "block_size",
          "depth", "jobs", "iops", "mb_per_s", "instructions_per_request",
          "syscalls_per_request", "context_switches_per_request")


@dataclasses.dataclass
class Result:
    """A record, with what it was made of."""

    mode: str
    subject: plan.Subject
    workload: plan.Workload
    record: dict
    iops: list  # of each round, ascending


class Samples:
    """Collects what a machine measures."""

    def __init__(self, kernel, mode):
        self.kernel = kernel
        self.mode = mode
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
        def median(name, digits):
            found = values.get(name)
            return round(statistics.median(found), digits) if found else None

        iops = median("iops", 1)
        instructions = None
        if self.mode == plan.INSTRUCTIONS and iops:
            instructions = round(INSTRUCTIONS_PER_SECOND / iops)
        record = dict(zip(FIELDS, (
            self.kernel, self.mode, subject.name, subject.protocol or None,
            workload.name, workload.block_size, workload.depth, workload.jobs,
            iops, median("mb_per_s", 2), instructions,
            median("syscalls_per_request", 3),
            median("context_switches_per_request", 3)), strict=True))
        return Result(self.mode, subject, workload, record,
                      sorted(values.get("iops", [])))
