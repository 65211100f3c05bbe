# SPDX-License-Identifier: MIT
"""Runs cases on this machine itself, over a backend that needs no module of ours.

The runner moves into a mount namespace with a state directory of its own, so that
cases see no devices but theirs and nobody sees those. Each case runs in namespaces
of its own, too: when it is over, its processes are killed by the kernel and its
mounts are gone, and then its devices are destroyed from outside. What a runner
that was killed has left behind, the next one destroys.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cases
import judge
import pool
import report

STATE = Path("/run/bdus")
TURN = Path("/run/bdus-tests.lock")
INSIDE = "BDUS_TESTS_INSIDE"
BOUND = 20  # seconds for cleaning up
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Native:
    def __init__(self, top, options, logs):
        self.top = top
        self.options = options
        self.out = top / "build/user"
        self.told = report.Report(logs, options.verbose)
        self.states = top / "build/native"

    def run(self, tasks):
        if os.geteuid() != 0:
            raise cases.UsageError("cases can only be run as root")
        if not os.environ.get(INSIDE):
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", "--mount", "--propagation",
                                  "private", sys.executable, *sys.argv])
        if not self._build():
            return 1
        with self._turn(), self._own_state():
            self._sweep()
            bind(self.own)
            for task in tasks:
                self.told.add(self._run(task))
        return self.told.summary([task.name for task in tasks])

    def _build(self):
        done = subprocess.run(["make", "-j2", "user"], cwd=self.top,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            print(done.stdout.decode(errors="replace"))
            print("FAIL build\n\n0 passed, 1 failed, 0 skipped")
        return done.returncode == 0

    @contextlib.contextmanager
    def _turn(self):
        """One runner at a time: ids begin anew in each state directory, and a
        loop device is known by its file's name, which has the id in it."""
        with TURN.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("-- waiting for cases of another run to end", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _own_state(self):
        """A directory for the records, locked while this runner lives."""
        self.states.mkdir(parents=True, exist_ok=True)
        STATE.mkdir(exist_ok=True)
        self.own = Path(tempfile.mkdtemp(dir=self.states))
        lock = os.open(self.own, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            left = self._destroy_all()
            os.close(lock)
            if left is None:
                subprocess.run(["umount", STATE], check=False)
                shutil.rmtree(self.own, ignore_errors=True)

    def _sweep(self):
        """Destroys what killed runners have left."""
        for state in self.states.iterdir():
            if state == self.own:
                continue
            lock = os.open(state, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                bind(state)
                left = self._destroy_all()
                subprocess.run(["umount", STATE], check=True)
                if left is None:
                    shutil.rmtree(state, ignore_errors=True)
            except BlockingIOError:
                pass  # another runner, at work
            finally:
                os.close(lock)

    def _environment(self, task, slow):
        return {
            "PATH": f"{self.out}/bin:{PATH}",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": f"{self.out}/lib",
            "BDUS_TESTS": str(self.top / "tests"),
            "BDUS_OUT": str(self.out),
            "BDUS_BACKEND": self.options.backend,
            "BDUS_PROTOCOL": "",
            "BDUS_KERNEL": os.uname().release,
            "BDUS_DEBUG": "0",
            "BDUS_SLOW": str(slow),
            "BDUS_SCRATCH": "/var/tmp",
            **task.environment,
        }

    def _run(self, task):
        result = pool.Result(task.name)
        # Others may keep the processors busy.
        slow = max(1, round(os.getloadavg()[0] / os.cpu_count()) + 1)
        result.timeout = task.case.timeout * slow
        kernel = KernelLog()
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="case.") as directory:
            status = self._run_case(task, slow, directory, result)
        result.seconds = time.monotonic() - start
        left = self._destroy_all()
        if left:
            result.fail(left)
        result.kernel = kernel.take()
        for text in judge.complaints(result.kernel):
            result.fail(f"kernel: {text}")
        if status == 77 and result.verdict == "ok":
            result.verdict = "skip"
            result.reasons.append((result.output.strip().splitlines() or
                                   [""])[-1])
        elif status not in (0, 77, None):
            result.fail(f"exit status {status}")
        return result

    def _run_case(self, task, slow, directory, result):
        """Its exit status, None if it took too long."""
        environment = self._environment(task, slow)
        environment["TMPDIR"] = directory
        # A case ends with the runner, whatever ends that.
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid",
                   "--fork", "--kill-child", "--mount-proc",
                   self.top / "tests/cases" / task.case.name]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, cwd=directory, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT)
            try:
                status = process.wait(result.timeout)
            except subprocess.TimeoutExpired:
                status = None
                result.fail(f"timed out after {result.timeout} s")
            finally:
                process.kill()
                self._await(process, result)
                output.seek(0)
                result.add_output(output.read().decode(errors="replace"))
        return status

    def _await(self, process, result):
        """The processes of a case end at once, unless they wait for a device
        that nobody serves: destroying it ends that."""
        try:
            process.wait(BOUND)
        except subprocess.TimeoutExpired:
            result.fail("processes could not be killed")
            self._destroy_all()
            process.wait(BOUND)

    def _destroy_all(self):
        """Destroys all devices of the state directory; what is left, or
        None."""
        ids = self._records()
        if not ids:
            return None
        try:
            subprocess.run([self.out / "bin/bdus", "destroy", "--no-flush",
                            *ids], check=False, timeout=BOUND,
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return "bdus destroy hangs"
        left = self._records()
        return "not destroyed: " + " ".join(left) if left else None

    @staticmethod
    def _records():
        return sorted(entry.name for entry in STATE.iterdir()
                      if entry.is_dir())


class KernelLog:
    """What the kernel says from now on; nothing where that is kept secret."""

    def __init__(self):
        try:
            self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self.fd, 0, os.SEEK_END)
        except OSError:
            self.fd = -1

    def take(self):
        """All of it, as [level, seconds, text]."""
        records = []
        while self.fd >= 0:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BrokenPipeError:
                continue  # some were lost
            except OSError:
                os.close(self.fd)
                self.fd = -1
                break
            prefix, _, text = record.partition(";")
            priority, _, stamp, *_ = prefix.split(",")
            records.append([int(priority) & 7, int(stamp) / 1e6,
                            text.split("\n", 1)[0]])
        return records


def bind(state):
    subprocess.run(["mount", "--bind", state, STATE], check=True)
