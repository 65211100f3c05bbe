# SPDX-License-Identifier: MIT
"""How many machines run on this host at once, whoever started them.

Emulated processors that share a real one many times over make every bound a
lie. A machine takes a slot, a locked file in the cache; a slot is free again
when its holder lets go or dies.
"""

import fcntl
import os
import time

import cache

PER_PROCESSOR = 2


def acquire(say, is_wanted=lambda: True):
    """A slot, to be closed when the machine has ended. Waits for one as long
    as it is wanted; None if it no longer is."""
    directory = cache.default_root() / "slots"
    directory.mkdir(parents=True, exist_ok=True)
    told = False
    while is_wanted():
        for number in range(PER_PROCESSOR * os.cpu_count()):
            slot = open(directory / str(number), "w")
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return slot
            except BlockingIOError:
                slot.close()
        if not told:
            say("waiting for machines of other runs to end")
            told = True
        time.sleep(0.5)
    return None
