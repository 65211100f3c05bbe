# SPDX-License-Identifier: MIT
"""Runs cases on machines side by side, and judges each.

A machine runs case after case until one leaves it in doubt (a time-out, a
kernel report, a task that does not die, an after-hook that failed), or wants
processors of the other kind; then it is replaced. A machine that dies or hangs
fails the case it was running, and only that one.
"""

import dataclasses
import queue
import threading
import time

import cases
import judge
import machine
import slots

HOOK_TIMEOUT = 60  # seconds for a hook, before scaling
LEAK_BOUND = 900  # seconds to look through all memory for leaks
GRACE = 45  # how much longer than all its bounds an agent may take to answer
MOST_OUTPUT = 4 << 20  # characters of a case's output that are kept
END_BOUND = 30  # seconds for a machine to power off


@dataclasses.dataclass
class Result:
    name: str
    verdict: str = "ok"  # ok, skip or FAIL
    seconds: float = 0
    timeout: int = 0
    reasons: list = dataclasses.field(default_factory=list)
    output: str = ""
    kernel: list = dataclasses.field(default_factory=list)

    def add_output(self, text):
        self.output += text
        if len(self.output) > MOST_OUTPUT:
            self.output = ("(the first part was left out)\n" +
                           self.output[-MOST_OUTPUT // 2:])

    def fail(self, reason):
        self.verdict = "FAIL"
        self.reasons.append(reason)


class Pool:
    """Runs cases of a project on machines of one shape.

    project gives: mount, case_path(name), hooks (a dict of paths), subject and
    slow; see runner.py."""

    def __init__(self, project, shape, environment, log_directory, report):
        self.project = project
        self.shape = shape
        self.environment = environment
        self.log_directory = log_directory
        self.report = report
        self.todo = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.machines = []  # all that were started
        self.lock = threading.Lock()

    def run(self, tasks, jobs):
        # Sorted, so that machines need not be replaced more often than once.
        for task in sorted(tasks, key=lambda task: (
                not self.shape_for(task).at_once, task.rank)):
            self.todo.put(task)
        workers = [threading.Thread(target=self._work, daemon=True)
                   for _ in range(min(jobs, len(tasks)))]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        finally:
            self.stopping.set()
            for each in self.machines:
                each.kill()

    def _work(self):
        """Runs cases while there are any."""
        try:
            while slot := slots.acquire(self.report.note, self._is_wanted):
                with slot:
                    task = self.next_task()
                    while task:
                        task = Runner(self, self.shape_for(task)).run_from(task)
        except Exception as error:  # a defect of ours must not look like success
            if not self.stopping.is_set():
                self.report.crash(error)

    def _is_wanted(self):
        return not self.stopping.is_set() and not self.todo.empty()

    def next_task(self):
        try:
            return self.todo.get_nowait()
        except queue.Empty:
            return None

    def shape_for(self, task):
        # Under the debug kernel that takes minutes, so only if there is need.
        wanted = [cases.ALWAYS]
        if not self.shape.image.kernel.is_debug:
            wanted.append(cases.AT_ONCE)
        at_once = self.shape.at_once or task.case.processors in wanted
        return dataclasses.replace(self.shape, at_once=at_once)

    def start_machine(self, shape):
        """A machine that boots, and its name."""
        with self.lock:
            if self.stopping.is_set():
                raise machine.MachineError("was not wanted any more")
            name = f"machine-{len(self.machines) + 1}"
            log = self.log_directory / f"{name}.console"
            started = machine.Machine(shape, log)
            self.machines.append(started)
            return started, name


class Runner:
    """One machine's life: boot, cases, end. Made, it is booting."""

    def __init__(self, pool, shape, is_second_try=False):
        self.pool = pool
        self.shape = shape
        self.is_second_try = is_second_try
        self.report = pool.report
        self.scale = pool.shape.scale
        self.machine, self.name = pool.start_machine(shape)
        self.last = None  # the last case's name

    def run_from(self, task):
        """Boots and runs this case and further ones for as long as the
        machine is sound and what they want. Returns the case that wants another
        machine, if there is one."""
        try:
            self._boot()
        except machine.MachineError as error:
            return self._boot_failed(task, error)
        try:
            is_sound = True
            while is_sound and self._is_for(task):
                is_sound = self._run(task)
                task = self.pool.next_task() if is_sound else None
            if is_sound:
                self._end()
        finally:
            self.machine.kill()
        return task

    def _is_for(self, task):
        return (task and not self.pool.stopping.is_set() and
                self.pool.shape_for(task) == self.shape)

    def _boot(self):
        ready = self.machine.wait_ready()
        self.report.note(f"{self.name} is up after "
                         f"{time.monotonic() - self.machine.started:.1f} s")
        self._judge_outside("while booting", ready["kernel"])

    def _boot_failed(self, task, error):
        """Lets another machine try, once. Nothing of the project's was in this
        one yet, and emulating a kernel that patches itself while it boots is
        known to go wrong now and then."""
        self.machine.kill()
        if self.pool.stopping.is_set():
            return None
        reason = f"the machine {error} (see {self.name}.console)"
        if not self.is_second_try:
            self.report.note(f"{reason}; trying another one")
            return Runner(self.pool, self.shape, is_second_try=True).run_from(task)
        result = Result(task.name)
        result.fail(reason)
        result.kernel = judge.console_records(self.machine.console())[-60:]
        self.report.add(result)

    def _run(self, task):
        """Runs a case; true if the machine can be used for another."""
        result = Result(task.name)
        start = time.monotonic()
        try:
            done = self._request(task, result)
        except machine.MachineError as error:
            if self.pool.stopping.is_set():
                return False  # killed by ourselves
            self._lost(task, result, str(error))
            result.seconds = time.monotonic() - start
            self.report.add(result)
            return False
        if self.last:
            self._judge_outside(f"after {self.last}", done["early"])
        self.last = task.name
        result.seconds = done["seconds"]
        is_sound = judge_case(self.pool.project, task.case, done, result)
        self.report.add(result)
        return is_sound

    def _request(self, task, result):
        project = self.pool.project
        # A busy host must not look like a hang, neither to us nor to the case.
        slow = self.scale * machine.host_load()
        result.timeout = task.case.timeout * slow
        hook_timeout = HOOK_TIMEOUT * slow
        self.machine.send(
            "case", name=task.name, path=project.case_path(task.case.name),
            timeout=result.timeout, hook_timeout=hook_timeout,
            environment={**self.pool.environment, **task.environment,
                         project.slow: str(slow)},
            **project.hooks)
        bound = result.timeout + 2 * hook_timeout + GRACE * slow
        for event in self.machine.events(bound):
            if event["event"] == "output":
                result.add_output(event["text"])
                self.report.stream(task.name, event["text"])
        return event

    def _lost(self, task, result, how):
        """The machine died or hangs: what it showed last goes to the case."""
        result.fail(f"the machine {how}")
        if not self.machine.wait_end(1):
            self.machine.dump()
        result.kernel = judge.console_records(self.machine.console(),
                                              f"vm: begin {task.name}")

    def _end(self):
        """Powers off; what the kernel says then counts too."""
        try:
            self.machine.send("stop", environment=self.pool.environment,
                              hook_timeout=HOOK_TIMEOUT * self.scale,
                              last=self.pool.project.hooks.get("last"),
                              kmemleak=self.pool.shape.kmemleak)
            output = ""
            for event in self.machine.events(
                    (HOOK_TIMEOUT + GRACE) * self.scale +
                    LEAK_BOUND * self.pool.shape.kmemleak):
                output += event.get("text", "")
            self._judge_outside("at the end", event["kernel"], output)
            if event["status"]:
                self._fail_outside("at the end", "the last hook failed "
                                   f"({event['status']})", [], output)
            if not self.machine.wait_end(END_BOUND * self.scale):
                self.machine.dump()
                raise machine.MachineError("does not power off")
            self._judge_outside("at power off", judge.console_records(
                self.machine.console(), "vm: power off"))
        except machine.MachineError as error:
            self._fail_outside("at the end", f"the machine {error}",
                               judge.console_records(self.machine.console(),
                                                     "vm: ")[-200:])

    def _judge_outside(self, when, records, output=""):
        """Judges what the kernel said while no case was running."""
        bad = judge.complaints(records)
        if bad:
            self._fail_outside(when, f"kernel: {bad[0]}", records, output)

    def _fail_outside(self, when, reason, records, output=""):
        result = Result(f"{self.name} {when}", kernel=records, output=output)
        result.fail(reason)
        self.report.add(result)


def judge_case(project, case, done, result):
    """Fills in the verdict; true if the machine is still sound."""
    result.kernel = done["kernel"]
    bad = judge.complaints(done["kernel"], project.subject, case.kernel_log)
    reports = judge.complaints(done["kernel"])
    for reason in done["problems"]:
        result.fail(reason)
    if done["timed_out"]:
        result.fail(f"timed out after {result.timeout} s")
    elif done["status"] == 77 and result.verdict == "ok":
        lines = result.output.strip().splitlines()
        result.verdict = "skip"
        result.reasons.append(lines[-1].strip() if lines else "no reason given")
    elif done["status"]:
        result.fail(f"exit status {done['status']}")
    if bad:
        result.fail(f"kernel: {bad[0]}")
    return not (done["timed_out"] or reports or done["problems"])
