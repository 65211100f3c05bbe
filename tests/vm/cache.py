# SPDX-License-Identifier: MIT
"""Directories that are costly to make and kept between runs.

An entry's name carries a hash of everything it was made from, so an entry that
exists is complete and right. It is made under another name and renamed, under a
lock: an interrupted build leaves nothing behind that looks done, and of two
runs that want the same entry one builds and the other waits.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

KEPT_FOR = 24 * 3600  # seconds that an entry no run uses any more is kept


def default_root():
    """Outside of any clone, so that a fresh clone starts warm."""
    chosen = os.environ.get("BDUS_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "bdus"


def digest(*inputs):
    """A short hash of strings and bytes, in order."""
    total = hashlib.sha256()
    for item in inputs:
        data = item.encode() if isinstance(item, str) else item
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:12]


class Cache:
    def __init__(self, root=None, say=print):
        self.root = Path(root or default_root())
        self.say = say
        self._in_use = {}

    def entry(self, kind, key, build):
        """The directory KIND-KEY, made by build(directory) if not there yet."""
        path = self.root / f"{kind}-{key}"
        self.root.mkdir(parents=True, exist_ok=True)
        self._mark_in_use(path)
        if not path.is_dir():
            with self._building(kind):
                if not path.is_dir():
                    self._build(kind, path, build)
        self._prune(kind, keep=path)
        return path

    def _build(self, kind, path, build):
        partial = self.root / f"{kind}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
        build(partial)
        partial.rename(path)

    @contextlib.contextmanager
    def _building(self, kind):
        with open(self.root / f"{kind}.building", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"waiting for another run that makes the {kind}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _mark_in_use(self, path):
        """Keeps the entry from being pruned for as long as we live."""
        if path in self._in_use:
            return
        lock = open(f"{path}.used", "w")
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock.fileno())
        self._in_use[path] = lock

    def _prune(self, kind, keep):
        """Removes entries of this kind that no run has used for a while."""
        for path in self.root.glob(f"{kind}-*"):
            if path == keep or not path.is_dir():
                continue
            with open(f"{path}.used", "a") as lock:
                age = time.time() - os.fstat(lock.fileno()).st_mtime
                if age < KEPT_FOR:
                    continue
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(path)
                os.unlink(f"{path}.used")
