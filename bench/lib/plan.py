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
    """A way to have a block device."""

    name: str  # the file in guest/subjects
    label: str  # in tables and charts
    protocol: str = ""  # of those that have several
    largest: int = MIB  # requests that it is measured with
    is_essential: bool = True  # part of a quick plan
    node: str = ""  # what it is to be called, or what it is to be on top of
    settings: str = ""  # of its driver or device: "key=value key=value"
    environment: str = ""  # of what serves it: "NAME=value NAME=value"
    fio: str = ""  # more options for its client, such as "--hipri"


# What comes first is drawn first.
SUBJECTS = (
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
)
# Where there is more than one processor.
SPINNING = Subject("bdus", "bdus ring, spinning", "ring",
                   settings="spin-time=200")
SLEEPING = Subject("bdus", "bdus ring, sleeping", "ring",
                   settings="spin-time=no")
POLLED = dataclasses.replace(SPINNING, label="bdus ring, polled", fio="--hipri=1")
ONE_EACH = tuple(other for each in SUBJECTS for other in
                 ((SLEEPING, SPINNING, POLLED) if each.protocol == "ring"
                  else (each,)))
ESSENTIAL = tuple(each for each in SUBJECTS if each.is_essential)

# What others are compared with.
NBD, UBLK = "nbd + nbdkit", "ublk's null server"


@dataclasses.dataclass(frozen=True)
class Workload:
    """How a client uses a device; the words are fio's, unless the part that has it
    says that another program runs it."""

    name: str
    block_size: int = 0
    depth: int = 1
    jobs: int = 1
    is_cached: bool = False  # through the page cache
    count: int = 0  # of files or devices, where these are measured

    @property
    def label(self):
        if self.count:
            return f"{self.name} {self.count:,}"
        text = f"{self.name} {size_label(self.block_size)}, depth {self.depth}"
        if self.is_cached:
            text = f"{self.name} {size_label(self.block_size)}, cached"
        return f"{text} x{self.jobs}" if self.jobs > 1 else text

    @property
    def short_name(self):
        """What it is called on the command line."""
        if self.count:
            return f"{self.name}-{self.count}"
        size = self.block_size >> 10
        kind = "cached" if self.is_cached else self.depth
        text = f"{self.name}-{size}k-{kind}"
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
    # Of the additional run in which calls are counted; 0 for none.
    seconds_counting: float = 0.3
    subjects: tuple = SUBJECTS
    reference: str = ""  # label of the subject that others are compared with
    title: str = ""  # of the tables, where a plan has several parts of a mode
    what: str = "fio"  # guest/measure_*.py that does it
    # One processor whose clock counts instructions, as always in that mode.
    is_exact: bool = False
    is_drawn: bool = False  # as charts


# A device below, as it is and with what serves on top of it.
def stack(device):
    return (
        device,
        Subject("bdus_loop", "bdus loop, mmap", "mmap", node=device.node),
        Subject("bdus_loop", "bdus loop, ring", "ring", node=device.node),
        Subject("loop_over", "kernel's loop", node=device.node),
    )


# An emulated processor executes about 500 million instructions per second, by either
# clock; a real one about 3,000 million in the kernel's paths of requests. A device that
# is to look as fast beside it as a real one beside a real processor has to be as many
# times slower. What it has to do then is the same share of a request's time.
SLOWNESS = 6


def null_blk(node, label, microseconds, settings=""):
    """A device that moves nothing and takes a time to answer, with room for as large
    requests as BDUS takes."""
    return Subject("null_blk_with", label, node=f"/dev/{node}", settings=(
        f"size=4096 max_sectors=2048 irqmode=2 "
        f"completion_nsec={microseconds * 1000 * SLOWNESS} {settings}").strip())


BRD = Subject("brd", "brd", node="/dev/ram0")
# A read of 4 KiB from TLC flash, on the better disks of each kind. NVMe has a queue
# per processor; SATA has one of 32 commands, and the command takes its time on the bus.
NVME = null_blk("nvme", "NVMe", 80, "submit_queues=2 hw_queue_depth=256")
SATA = null_blk("sata", "SATA", 120, "submit_queues=1 hw_queue_depth=32")
# The same with memory, as file systems need it.
NVME_WITH_DATA = dataclasses.replace(NVME, settings=NVME.settings.replace(
    "size=4096", "size=256") + " memory_backed=1")


def direct(jobs, sizes=(4 * KIB, 128 * KIB),
           names=("randread", "randwrite", "read", "write"), is_cached=False):
    return tuple(Workload(name, size, 1, each, is_cached) for name in names
                 for size in sizes for each in jobs)


def over(device, title, workloads, **settings):
    return Part(RATES, workloads, 3, **settings, subjects=stack(device),
                reference=device.label, title=title)


FILES = tuple(Workload(name, 4 * KIB, count=1000)
              for name in ("create", "read", "delete"))
DEVICES = tuple(Workload(name, count=count) for count in (1, 10, 100, 1000)
                for name in ("create", "destroy"))


def many_threads(protocol):
    return tuple(Subject("bdus", f"{protocol} x{count}", protocol,
                         settings=f"concurrency={count}")
                 for count in (1, 2, 4, 8))


# Room for as many requests as there can be at all.
WIDE = {"null_blk": "hw_queue_depth=256", "bdus": "queue-depth=256",
        "ublk_null": "256"}
NULLS = tuple(each for each in SUBJECTS
              if each.protocol in ("mmap", "ring") or
              each.name in ("null_blk", "ublk_null"))
def by_library(protocol):
    # A process locks its memory again with each driver, which takes long where there
    # are a thousand mappings: that is for processes with one driver.
    return Subject("library", f"{protocol}, library", protocol,
                   environment="BDUS_NO_MEMORY_LOCK=1")


MAKERS = (
    Subject("configfs", "null_blk by configfs"),
    Subject("module", "mmap, module", "mmap"),
    Subject("module", "ring, module", "ring"),
    by_library("mmap"),
    by_library("ring"),
    Subject("command", "ring, bdus run", "ring"),
)

PLANS = {
    "full": [
        Part(INSTRUCTIONS, (READ_ALONE, WRITE_ALONE, READ_MANY, WRITE_MANY,
                            READ_LARGE, WRITE_LARGE, READ_HUGE, WRITE_HUGE),
             seconds=0.5, seconds_counting=0.2, reference=NBD, is_drawn=True),
        Part(RATES, (READ_ALONE, READ_MANY, READ_TWICE, WRITE_TWICE,
                     READ_LARGE, READ_HUGE, WRITE_HUGE), 3, 0.8, 0.2,
             subjects=ONE_EACH, reference=UBLK, is_drawn=True),
    ],
    "quick": [
        Part(INSTRUCTIONS, (READ_ALONE, READ_MANY), seconds=0.3,
             seconds_counting=0.1, subjects=ESSENTIAL, reference=NBD,
             is_drawn=True),
        Part(RATES, (READ_MANY,), 3, 0.4, 0.2, subjects=ESSENTIAL,
             reference=UBLK, is_drawn=True),
    ],
    "passthrough": [
        Part(INSTRUCTIONS, direct((1,)), seconds=0.3, seconds_counting=0.1,
             subjects=stack(BRD), reference=BRD.label, title="Over brd"),
        Part(RATES, direct((1, 16), (4 * KIB,)), 1, 0.5, 0,
             subjects=stack(NVME), reference=NVME.label, is_exact=True,
             title="Over an imitated NVMe disk, exact clock"),
        over(NVME, "Over an imitated NVMe disk", direct((1, 16)),
             seconds=0.4, seconds_counting=0.2),
        over(SATA, "Over an imitated SATA disk",
             direct((1, 16), (4 * KIB,), ("randread", "randwrite")) +
             direct((1, 16), (128 * KIB,), ("read", "write")),
             seconds=0.4, seconds_counting=0),
        over(BRD, "Over brd", direct((1, 16)),
             seconds=0.4, seconds_counting=0.2),
    ],
    "cached": [
        over(NVME, "Over an imitated NVMe disk, through the page cache",
             direct((1, 16), is_cached=True), seconds=0.4, seconds_counting=0),
        over(BRD, "Over brd, through the page cache",
             direct((1, 16), is_cached=True), seconds=0.4, seconds_counting=0),
    ],
    "files": [
        over(NVME_WITH_DATA, "Ext4 over an imitated NVMe disk", FILES,
             what="files"),
        over(BRD, "Ext4 over brd", FILES,
             what="files"),
    ],
    "growth": [
        Part(INSTRUCTIONS, DEVICES, subjects=MAKERS,
             reference=MAKERS[0].label, what="devices",
             title="Making devices"),
        Part(INSTRUCTIONS,
             tuple(Workload("randread", 4 * KIB, depth)
                   for depth in (1, 2, 4, 8, 16, 32, 64, 128, 256)),
             seconds=0.2, seconds_counting=0.1, reference=UBLK,
             subjects=tuple(dataclasses.replace(each, settings=WIDE[each.name])
                            for each in NULLS),
             title="By depth"),
        Part(RATES,
             tuple(Workload("randread", 4 * KIB, 8, jobs)
                   for jobs in (1, 2, 4, 8)), 3, 0.4, 0.2,
             subjects=many_threads("mmap") + many_threads("ring"),
             title="By threads of driver and client"),
    ],
}
ALL = ("full", "passthrough", "cached", "files", "growth")
