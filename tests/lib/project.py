# SPDX-License-Identifier: MIT
"""What the runner has to know about BDUS: all of it is here.

The module and user space are built from a copy of the tree in the root file
system that goes with the kernel; a machine sees the results below /bdus:

    kbdus.ko         the module
    out/             lib, bin, libexec, examples, tests, as `make user` lays it out
    tests/           cases and lib
    examples/ drivers/ demo/ bench/ docs/
    Makefile mk/ kbdus/include/
    packages/       Debian's, if a case of the area `package` is run: this version's in
                    this/, and those of the same with a higher version in next/
"""

import re
import shutil
import subprocess
import zlib
from pathlib import Path

import cache
import cases
import native
import runner
import sources

TOP = Path(__file__).resolve().parents[2]
PROTOCOLS = ["ioctl", "mmap", "uds", "ring"]
ALL, TURNS, ONE = "all", "turns", "one"
BACKENDS = ["kbdus", "ublk", "nbd", "fuse"]
NATIVE = ["fuse"]  # these need no machine of their own
IN_MACHINES = [name for name in BACKENDS if name not in NATIVE]
ALONG = ["libbdus/include", "tests", "examples", "drivers", "demo", "bench", "docs",
         "Makefile", "mk", "kbdus/include"]

BUILD = """
if [ -d src/kbdus ] && [ -f src/kbdus/Makefile ]; then
    make -j2 -C src/kbdus KBDUS_KDIR="$KDIR" KBDUS_DEBUG="$KBDUS_DEBUG"
    # Loaded for each case: without what only debuggers read it is a tenth as long.
    strip --strip-debug -o kbdus.ko src/kbdus/kbdus.ko
    # A client that only some kernels can have.
    if grep -qw blkdev_issue_write_same "$KDIR/Module.symvers"; then
        make -C "$KDIR" M=/build/src/tests/lib/same W=1
    fi
fi
make -j2 -C src user O=/build/out
"""

# Packages of two versions, and what compiling the module comes to, in a cache: DKMS
# does it in machines, where it would take ten minutes each time.
BUILD_PACKAGES = """
export DEBIAN_KERNEL_USE_CCACHE=1 CCACHE_COMPILERCHECK=content
mount -t tmpfs tmpfs /var/lib/dkms
for each in this next; do
    (cd $each && mk/deb /build/packages/$each)
    dpkg-deb -x packages/$each/bdus-dkms_*.deb /tmp/$each
    name=$(ls /tmp/$each/usr/src)
    CCACHE_DIR=/build/packages/ccache \
        dkms build --sourcetree /tmp/$each/usr/src -k "$RELEASE" \
        -m "${name%-*}" -v "${name##*-}"
done
"""
# Where a version stands: file, and what precedes and follows its last part.
VERSIONS = [
    ("libbdus/include/bdus.h", r"^(#define BDUS_HEADER_VERSION_PATCH )(\d+)()$"),
    ("kbdus/include/kbdus.h", r"^(#define KBDUS_HEADER_VERSION_PATCH )(\d+)()$"),
    ("kbdus/dkms.conf", r'^(PACKAGE_VERSION="\d+\.\d+\.)(\d+)(")$'),
    ("debian/changelog", r"\A(bdus \(\d+\.\d+\.)(\d+)(\))"),
]


class Bdus:
    name = "run"
    top = TOP
    cases = TOP / "tests/cases"
    mount = "/bdus"
    packages = ()
    subject = r"^kbdus: "
    slow = "BDUS_SLOW"
    commits = None  # as far as known
    hooks = {"before": "/bdus/out/tests/hooks/before-case",
             "after": "/bdus/out/tests/hooks/after-case",
             "last": "/bdus/tests/lib/after-all"}

    def add_options(self, parser):
        parser.add_argument("--protocol", metavar="P", default=ALL,
                            help="how drivers talk to the module: " +
                                 ", ".join(PROTOCOLS) + "; or every case over "
                                 "each (all, the default), or over one, in "
                                 "turns (turns)")
        parser.add_argument("--backend", metavar="B", default="kbdus",
                            help="what makes the device: " +
                                 ", ".join(IN_MACHINES) + " in virtual machines "
                                 "(default: kbdus), or all of these, or on this "
                                 "machine itself: " + ", ".join(NATIVE))

    def check_options(self, options):
        for value, known in ((options.protocol, [*PROTOCOLS, ALL, TURNS]),
                             (options.backend, [*BACKENDS, ALL])):
            if value not in known:
                raise cases.UsageError(f"unknown: {value} "
                                       f"(known: {', '.join(known)})")

    def case_path(self, name):
        return f"/bdus/tests/cases/{name}"

    def stage(self, image, options, work, payload, say):
        sources.update(TOP, work / "src")
        say(f"building for Linux {image.release}")
        text = runner.build(image, work, BUILD, say, {
            "KDIR": image.kdir, "KBDUS_DEBUG": int(image.kernel.is_debug)})
        (work / "build.log").write_text(text)
        module = work / "kbdus.ko"
        if module.exists():
            shutil.copy(module, payload)
        copy_tree(work / "out", payload / "out", "obj")
        for name in ALONG:
            copy_tree(work / "src" / name, payload / name)
        if self.wants_packages(options) and not image.kernel.is_debug:
            self.stage_packages(image, work, payload, say)

    def wants_packages(self, options):
        if (options.command or options.shell or
                options.backend not in (BACKENDS[0], ALL)):
            return False
        chosen = cases.select(cases.discover(self.cases), options.cases,
                              options.group, options.all)
        return any(case.name.startswith("package/") for case in chosen)

    def stage_packages(self, image, work, payload, say):
        made_from = work / "packages.made-from"
        digest = cache.digest(image.release, BUILD_PACKAGES, *self.packaged())
        if not made_from.exists() or made_from.read_text() != digest:
            made_from.unlink(missing_ok=True)
            self.build_packages(image, work, say)
            made_from.write_text(digest)
        copy_tree(work / "packages", payload / "packages")

    def packaged(self):
        """Names and contents of all that packages are made from."""
        for name in sources.listed(TOP):
            if name.split("/")[0] not in ("tests", "docs", "bench", "demo"):
                yield name
                yield (TOP / name).read_bytes()
        yield (TOP / "docs/tools/man3").read_bytes()

    def build_packages(self, image, work, say):
        say(f"building packages for Debian {image.kernel.suite}")
        shutil.rmtree(work / "packages", ignore_errors=True)
        for name in ("this", "next"):
            sources.update(TOP, work / name)
        for name, pattern in VERSIONS:
            file = work / "next" / name
            text, count = re.subn(pattern, raise_version, file.read_text(),
                                  flags=re.M)
            if count != 1:
                raise runner.BuildError(f"no version in {name}")
            file.write_text(text)
        text = runner.build(image, work, BUILD_PACKAGES, say,
                            {"RELEASE": image.release})
        (work / "packages.log").write_text(text)

    def tasks(self, case, options):
        """The ways in which a case is run: each that it is for; but of a heavy one's
        ways only one, in turns, unless all is asked for, or this case."""
        found = self.all_tasks(case, options)
        if (case.is_heavy and len(found) > 1 and not options.all and
                case.name not in options.cases):
            found = [found[self.turn(case) % len(found)]]
        return found

    def all_tasks(self, case, options):
        """A case over each backend that it is for: its directive `backends` names
        those that can do what it takes."""
        chosen = IN_MACHINES if options.backend == ALL else [options.backend]
        return [task for backend in chosen
                if not case.backends or backend in case.backends
                for task in self.tasks_over(backend, case, options)]

    def tasks_over(self, backend, case, options):
        """A case over each protocol that it is for. Its directive `variants`
        names them, or says that one a run is enough (one)."""
        if backend != "kbdus":
            label = backend if options.backend == ALL else ""
            return [self.task(case, backend, "", label)]
        if options.protocol in PROTOCOLS:
            chosen = [options.protocol]
        else:
            chosen = PROTOCOLS
        takes_turns = options.protocol == TURNS or case.variants == (ONE,)
        if case.variants not in ((), (ONE,)):
            chosen = [name for name in chosen if name in case.variants]
        elif takes_turns:
            chosen = [chosen[self.turn(case) % len(chosen)]]
        return [self.task(case, backend, name,
                          name if options.protocol not in PROTOCOLS else "")
                for name in chosen]

    def turn(self, case):
        """Which of several is a case's turn: with each commit the next one, so
        that all are seen in time, and those of one commit agree."""
        if self.commits is None:
            git = ["git", "-C", TOP, "rev-list", "--count", "HEAD"]
            answer = subprocess.run(git, capture_output=True, text=True)
            self.commits = int(answer.stdout or 0)
        return zlib.crc32(case.name.encode()) + self.commits

    def run_here(self, tasks, options, make_logs):
        """Runs cases without a machine, if that is what is wanted; the exit
        status, or None."""
        if options.backend not in NATIVE:
            return None
        return native.Native(TOP, options, make_logs()).run(tasks)

    def task(self, case, backend, protocol, label):
        """Those of one backend come after one another, as its module stays loaded."""
        return cases.Task(case, label, {"BDUS_PROTOCOL": protocol,
                                        "BDUS_BACKEND": backend},
                          BACKENDS.index(backend))

    def environment(self, shape, options):
        return {
            "PATH": f"/bdus/out/bin:{runner.PATH}",
            "LD_LIBRARY_PATH": "/bdus/out/lib",
            "BDUS_TESTS": "/bdus/tests",
            "BDUS_OUT": "/bdus/out",
            "BDUS_MODULE": "/bdus/kbdus.ko",
            "BDUS_PROTOCOL": options.protocol if options.protocol in PROTOCOLS
                             else PROTOCOLS[0],
            "BDUS_PROTOCOLS": " ".join(PROTOCOLS),
            "BDUS_BACKEND": options.backend if options.backend in BACKENDS
                            else BACKENDS[0],
            "BDUS_KERNEL": shape.image.kernel.name.removesuffix("-debug"),
            "BDUS_DEBUG": str(int(shape.image.kernel.is_debug)),
        }


def raise_version(match):
    return f"{match[1]}{int(match[2]) + 1}{match[3]}"


def copy_tree(source, target, *without):
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True,
                        ignore=shutil.ignore_patterns(*without))
    elif source.exists():
        shutil.copy2(source, target)
