# SPDX-License-Identifier: MIT
"""What is measured: subjects, workloads, and which of them a plan has.

A row more in one of the tables is all that a further subject, workload or plan
takes; what a subject is made with is a file in guest/subjects.
"""

import dataclasses

INSTRUCTIONS, RATES = "instructions", "rates"
KIB, MIB = 1 << 10, 1 << 20


@dataclasses.dataclass(frozen=True)
class Subject:
    """A way to have a block device where everything succeeds at once."""

    name: str
    label: str  # in tables and charts
    protocol: str = ""  # of those that have several
    largest: int = MIB  # requests that it is measured with
    is_essential: bool = True  # part of a quick plan


# What comes first is drawn first.
SUBJECTS = [
    Subject("null_blk", "null_blk"),
    Subject("bdus", "bdus ioctl", "ioctl"),
    Subject("bdus", "bdus mmap", "mmap"),
    Subject("bdus", "bdus uds", "uds"),
    Subject("bdus", "bdus ring", "ring"),
    Subject("bdus_ublk", "bdus over ublk"),
    Subject("ublk_null", "ublk's null server"),
    Subject("bdus_nbd", "bdus over nbd"),
    Subject("nbd", "nbd + nbdkit"),
    Subject("loop", "loop on tmpfs", is_essential=False),
    Subject("bdus_fuse", "bdus over fuse", largest=4 * KIB, is_essential=False),
    Subject("nbdfuse", "file of nbdfuse", largest=4 * KIB, is_essential=False),
]

# What others are compared with.
REFERENCE = "nbd + nbdkit"


@dataclasses.dataclass(frozen=True)
class Workload:
    """How a client uses a device; the words are fio's."""

    name: str
    block_size: int
    depth: int
    jobs: int = 1

    @property
    def label(self):
        text = f"{self.name} {size_label(self.block_size)}, depth {self.depth}"
        return f"{text} x{self.jobs}" if self.jobs > 1 else text

    @property
    def short_name(self):
        """What it is called on the command line."""
        size = self.block_size >> 10
        text = f"{self.name}-{size}k-{self.depth}"
        return f"{text}-x{self.jobs}" if self.jobs > 1 else text


def size_label(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


READ_ALONE = Workload("randread", 4 * KIB, 1)
WRITE_ALONE = Workload("randwrite", 4 * KIB, 1)
READ_MANY = Workload("randread", 4 * KIB, 32)
WRITE_MANY = Workload("randwrite", 4 * KIB, 32)
READ_TWICE = Workload("randread", 4 * KIB, 32, 2)
WRITE_TWICE = Workload("randwrite", 4 * KIB, 32, 2)
READ_LARGE = Workload("read", 128 * KIB, 8)
WRITE_LARGE = Workload("write", 128 * KIB, 8)
READ_HUGE = Workload("read", MIB, 4)
WRITE_HUGE = Workload("write", MIB, 4)


@dataclasses.dataclass(frozen=True)
class Part:
    """What one machine does."""

    mode: str
    workloads: tuple
    rounds: int = 1
    seconds: float = 1.0  # that each workload runs, by the machine's clock
    # Of the additional run in which calls are counted.
    seconds_counting: float = 0.3
    only_essential: bool = False


def subjects_of(part, subjects):
    """Those of some subjects that the part is about."""
    return [each for each in subjects
            if each.is_essential or not part.only_essential]


PLANS = {
    "full": [
        Part(INSTRUCTIONS, (READ_ALONE, WRITE_ALONE, READ_MANY, WRITE_MANY,
                            READ_LARGE, WRITE_LARGE, READ_HUGE, WRITE_HUGE),
             seconds=0.5, seconds_counting=0.2),
        Part(RATES, (READ_ALONE, READ_MANY, READ_TWICE, WRITE_TWICE,
                     READ_LARGE, READ_HUGE, WRITE_HUGE), 3, 0.8, 0.2),
    ],
    "quick": [
        Part(INSTRUCTIONS, (READ_ALONE, READ_MANY), seconds=0.3,
             seconds_counting=0.1, only_essential=True),
        Part(RATES, (READ_MANY,), 3, 0.4, 0.2, only_essential=True),
    ],
}
