# SPDX-License-Identifier: MIT
"""The command line of a runner of cases, for any project.

A project is an object that knows what to build and how its cases are set up:

    name             for messages
    top              the directory in which build/vm is made
    cases            directory of cases
    mount            where the payload is seen in machines
    hooks            {"before", "after", "last"}: programs in the payload
    packages         of the root file system, beside those in `packages`
    subject          regex: kernel messages that are the project's own
    slow             the variable that tells cases what to multiply bounds with
    add_options(parser), check_options(options)
    stage(image, options, work, payload, say)
                     builds in work and fills the directory payload; raises
                     BuildError
    environment(shape, options)
                     of cases
    run_here(tasks, options, make_logs)
                     runs them without a machine if that is what options say;
                     the exit status, or None
    tasks(case, options)
                     the ways in which a case is to be run: cases.Task objects
    case_path(name)  in machines
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cases
import images
import machine
import pool
import report
import slots

KEPT_RUNS = 20
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BuildError(Exception):
    """What is to be tested cannot be built; the message is the compiler's."""


def main(project, arguments=None):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options = parse(project, arguments)
        return Run(project, options).main()
    except cases.UsageError as error:
        print(f"{project.name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(project, arguments):
    parser = argparse.ArgumentParser(
        prog=project.name, description="Runs cases in virtual machines.")
    add = parser.add_argument
    add("cases", nargs="*", metavar="CASE",
        help="a path below the directory of cases, an area or a glob "
             "(default: all that are in no group)")
    add("--kernel", metavar="V", help="kernel to boot: " +
        ", ".join(name for name, kernel in images.kernels().items()
                  if not kernel.is_debug))
    add("--debug", action="store_true", help="boot the debug kernel")
    add("--group", action="append", default=[], metavar="G",
        help="also run the cases of this group")
    add("--all", action="store_true", help="run the cases of all groups")
    add("--list", action="store_true", help="list cases and leave")
    add("--jobs", type=int, default=2, metavar="N",
        help="machines side by side (default: 2)")
    add("--verbose", action="store_true", help="show output as it comes")
    add("--memory", default="2G", help="of a machine (default: 2G)")
    add("--cpus", type=int, default=2, help="of a machine (default: 2)")
    add("--at-once", action="store_true",
        help="let the processors of a machine run at the same time for each case, "
             "not only those that want it (slow)")
    add("--icount", action="store_true",
        help="one processor, and a clock that counts instructions")
    add("--kmemleak", action="store_true",
        help="look for leaks at the end (debug kernel; slow)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--command", metavar="CMD",
                      help="run this in a machine instead of cases")
    what.add_argument("--shell", action="store_true",
                      help="an interactive shell in a machine")
    project.add_options(parser)
    options = parser.parse_args(arguments)
    project.check_options(options)
    return options


def choose_kernel(options):
    table = images.kernels()
    name = options.kernel or next(iter(table))
    if options.debug and not name.endswith("-debug"):
        name += "-debug"
    if name not in table:
        raise cases.UsageError(f"unknown kernel: {name} "
                               f"(known: {', '.join(table)})")
    return table[name]


class Run:
    def __init__(self, project, options):
        self.project = project
        self.options = options
        self.kernel = choose_kernel(options)
        if options.jobs < 1:
            raise cases.UsageError(f"--jobs: {options.jobs}")
        if options.kmemleak and not self.kernel.is_debug:
            raise cases.UsageError("--kmemleak needs --debug")
        self.quiet = bool(options.command)

    def say(self, text):
        """Tells about progress: aside, if output is a command's."""
        print(f"-- {text}", file=sys.stderr if self.quiet else sys.stdout,
              flush=True)

    def main(self):
        chosen = self._choose_cases()
        if self.options.list:
            for case in chosen:
                if not self.project.tasks(case, self.options):
                    continue
                groups = f" [{' '.join(sorted(case.groups))}]" * bool(case.groups)
                print(f"{case.name}{groups}: {case.summary}")
            return 0
        tasks = [task for case in chosen
                 for task in self.project.tasks(case, self.options)]
        if chosen and not tasks:
            raise cases.UsageError("none of these cases is for what was "
                                   "chosen")
        if tasks:
            status = self.project.run_here(tasks, self.options, self._make_logs)
            if status is not None:
                return status
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="vm-run.") as directory:
            try:
                shape = prepare(self.project, self.kernel, self.options,
                                Path(directory), self.say)
            except (BuildError, images.ImageError) as error:
                return self._cannot_build(error)
            if self.options.command:
                return self._command(shape)
            if self.options.shell:
                return self._shell(shape)
            self.say(f"ready to run {len(tasks)} cases on Linux "
                     f"{shape.image.release} after "
                     f"{time.monotonic() - start:.1f} s")
            return self._run_tasks(shape, tasks)

    def _make_logs(self):
        return new_log_directory(self.project.top / "build/vm/logs",
                                 self.options.backend)

    def _choose_cases(self):
        if self.options.command or self.options.shell:
            if self.options.cases:
                raise cases.UsageError("a command or cases, not both: " +
                                       " ".join(self.options.cases))
            return []
        known = cases.discover(self.project.cases)
        return cases.select(known, self.options.cases, self.options.group,
                            self.options.all)

    def _cannot_build(self, error):
        if self.quiet:
            print(error, file=sys.stderr)
            return 1
        print(f"FAIL build\n{error}\n\n0 passed, 1 failed, 0 skipped")
        return 1

    def _environment(self, shape):
        own = self.project.environment(shape, self.options)
        return {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8",
                self.project.slow: str(shape.scale), **own}

    def _run_tasks(self, shape, tasks):
        logs = new_log_directory(self.project.top / "build/vm/logs",
                                 self.kernel.name)
        told = report.Report(logs, self.options.verbose)
        machines = pool.Pool(self.project, shape, self._environment(shape),
                             logs, told)
        try:
            machines.run(tasks, self.options.jobs)
        finally:
            status = told.summary([task.name for task in tasks])
        return status

    def _command(self, shape):
        """Runs one command in a machine and passes its output on."""
        with slots.acquire(self.say), self._machine(shape) as guest:
            guest.wait_ready()
            guest.send("command", command=self.options.command, directory="/tmp",
                       environment=self._environment(shape))
            for event in guest.events():
                if event["event"] == "output":
                    sys.stdout.write(event["text"])
                    sys.stdout.flush()
            return event["status"]

    def _shell(self, shape):
        """Connects this terminal to a shell on the console."""
        size = shutil.get_terminal_size()
        settings = {**self._environment(shape), "VM_ROWS": size.lines,
                    "VM_COLUMNS": size.columns,
                    "VM_TERM": os.environ.get("TERM", "dumb")}
        with tempfile.NamedTemporaryFile("w") as file:
            for name, value in settings.items():
                file.write(f"export {name}='{value}'\n")
            file.flush()
            extra = {"shell": images.HERE / "guest/shell",
                     "environment": Path(file.name)}
            shape = machine.with_arguments(shape, "vm.shell")
            with self._machine(shape, extra) as guest:
                guest.attach_terminal()
        return 0

    @contextlib.contextmanager
    def _machine(self, shape, extra=None):
        logs = new_log_directory(self.project.top / "build/vm/logs",
                                 self.kernel.name)
        guest = machine.Machine(shape, logs / "machine-1.console", extra)
        try:
            yield guest
        except machine.MachineError as error:
            print(guest.console()[-4000:], file=sys.stderr)
            print(f"the machine {error}", file=sys.stderr)
            sys.exit(1)
        finally:
            guest.kill()


def prepare(project, kernel, options, directory, say):
    """Builds everything there is to build; the shape of machines."""
    image = images.Images(say=say, extra=project.packages).get(kernel)
    # Objects of different root file systems do not mix.
    label = kernel.name + f"-{project.name}" * bool(project.packages)
    work = project.top / "build/vm" / label
    work.mkdir(parents=True, exist_ok=True)
    with exclusive(work / ".lock", say):
        payload = work / "payload"
        shutil.rmtree(payload, ignore_errors=True)
        payload.mkdir()
        project.stage(image, options, work, payload, say)
        payload_image = directory / "payload.img"
        images.make_payload(payload, payload_image)
    return machine.Shape(
        image, images.unpack_kernel(image, directory), payload_image,
        project.mount, options.memory, 1 if options.icount else options.cpus,
        options.icount, options.kmemleak, options.at_once)


@contextlib.contextmanager
def exclusive(path, say):
    """One run at a time builds in a work directory."""
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that builds here")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def new_log_directory(top, label):
    """A directory for a run's logs; the oldest ones go."""
    top.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = Path(tempfile.mkdtemp(prefix=f"{stamp}-{label}-", dir=top))
    path.chmod(0o755)
    runs = sorted(entry for entry in top.iterdir()
                  if entry.is_dir() and not entry.is_symlink())
    for old in runs[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    latest = top / "latest"
    latest.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        latest.symlink_to(path.name)
    return path


def build(image, tree, script, say, environment=None):
    """Runs a shell script in the root that goes with a kernel, tree being
    bound to /build; raises BuildError with what it said if it fails."""
    binds = [f"{tree}:/build"] + [f"{source}:{target}:ro"
                                  for source, target in image.binds]
    command = [str(images.HERE / "enter"), str(image.root)]
    for bind in binds:
        command += ["--bind", bind]
    exports = "".join(f"export {name}='{value}'\n"
                      for name, value in (environment or {}).items())
    command += ["--", "sh", "-c", f"set -e\n{exports}cd /build\n{script}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise BuildError(text.rstrip())
    return text
