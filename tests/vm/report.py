# SPDX-License-Identifier: MIT
"""What the person who runs cases sees, and the logs that stay."""

import threading
import traceback

import judge

SHOWN_LINES = 100  # of a failed case's output, and of its kernel log


class Report:
    def __init__(self, log_directory, verbose=False):
        self.log_directory = log_directory
        self.verbose = verbose
        self.results = []
        self.lock = threading.Lock()
        self.crashed = False

    def note(self, text):
        with self.lock:
            print(f"-- {text}", flush=True)

    def stream(self, name, text):
        if self.verbose:
            with self.lock:
                for line in text.splitlines():
                    print(f"     {name}: {line}", flush=True)

    def add(self, result):
        """Takes in a result and shows it at once."""
        kernel = judge.format_records(result.kernel)
        self._write_log(result, kernel)
        with self.lock:
            self.results.append(result)
            print(headline(result), flush=True)
            if result.verdict == "FAIL":
                show("output", result.output.splitlines())
                show("kernel log", kernel)

    def crash(self, error):
        """The runner itself failed, in a thread."""
        with self.lock:
            self.crashed = True
            traceback.print_exception(error)

    def _write_log(self, result, kernel):
        name = result.name.replace("/", "_").replace(" ", "_")
        path = self.log_directory / f"{name}.log"
        path.write_text("\n".join([headline(result), "", result.output,
                                   "kernel log:", *kernel, ""]))

    def summary(self, expected):
        """Prints the closing lines; the exit status. Of the cases expected,
        those without a result count as failed."""
        missing = set(expected) - {result.name for result in self.results}
        failed = [r for r in self.results if r.verdict == "FAIL"]
        print()
        for result in failed:
            print(headline(result))
        for name in sorted(missing):
            print(f"FAIL {name}: did not run")
        slowest = sorted(self.results, key=lambda r: -r.seconds)[:5]
        if len(self.results) > 5:
            print("slowest: " + ", ".join(f"{r.name} {r.seconds:.1f} s"
                                          for r in slowest))
        print(f"logs: {self.log_directory}")
        passed = sum(r.verdict == "ok" for r in self.results)
        skipped = sum(r.verdict == "skip" for r in self.results)
        bad = len(failed) + len(missing) + self.crashed
        print(f"{passed} passed, {bad} failed, {skipped} skipped", flush=True)
        return 1 if bad else 0


def headline(result):
    if result.verdict == "skip":
        return f"skip {result.name} ({'; '.join(result.reasons)})"
    text = f"{result.verdict:4} {result.name} ({result.seconds:.1f} s)"
    return ": ".join([text, "; ".join(result.reasons)] if result.reasons
                     else [text])


def show(title, lines):
    """Prints the last lines of something, indented."""
    if not lines:
        return
    left_out = len(lines) - SHOWN_LINES
    print(f"     -- {title}" +
          (f" (without the first {left_out} lines)" if left_out > 0 else ""))
    for line in lines[-SHOWN_LINES:]:
        print(f"     {line}")
    print(end="", flush=True)
