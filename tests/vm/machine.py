# SPDX-License-Identifier: MIT
"""A virtual machine: started, talked to, ended.

QEMU emulates the processor in software, so that it works where there is no
hardware virtualisation and behaves alike everywhere. Three sockets lead in: to
the agent, to the console and to QEMU itself.
"""

import dataclasses
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import termios
import time
import tty
from pathlib import Path

import images

SLOW = 3  # how much more time everything gets under a debug kernel
BOOT_BOUND = 45  # seconds, before scaling; a boot takes about ten


class MachineError(Exception):
    """The machine died, hangs or did not start."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a machine is like."""

    image: images.Image
    kernel: Path  # file to boot, from image
    payload: Path  # disk image
    mount: str  # where the payload goes
    memory: str = "2G"
    cpus: int = 2
    icount: bool = False  # the clock counts instructions; one processor
    kmemleak: bool = False  # look for leaks
    at_once: bool = False  # processors run at the same time, not in turns
    arguments: tuple = ()  # more of the kernel command line

    @property
    def scale(self):
        return SLOW if self.image.kernel.is_debug or self.icount else 1


def kernel_arguments(shape):
    scale = shape.scale
    arguments = [
        "console=ttyS0", "loglevel=5", "panic=-1", "oops=panic",
        "sysrq_always_enabled", "mitigations=off", "random.trust_cpu=on",
        "null_blk.nr_devices=0",
        # The kernel patches its own code while it boots. QEMU does not always
        # get that right if another processor runs it at the same time: the rest
        # come later (guest/init).
        "maxcpus=1",
        # A slow host must not look like a stall in the guest.
        f"rcupdate.rcu_cpu_stall_timeout={min(300, 60 * scale)}",
        "rcupdate.rcu_exp_cpu_stall_timeout=0",
        f"watchdog_thresh={min(60, 30 * scale)}",
        f"workqueue.watchdog_thresh={60 * scale}",
        f"sysctl.kernel.hung_task_timeout_secs={60 * scale}",
        "sysctl.kernel.hung_task_warnings=4",
        f"vm.payload={shape.mount}",
    ]
    if scale > 1:
        arguments.append("vm.slow")
    if shape.kmemleak:
        arguments.append("kmemleak=on")
    if shape.image.kernel.is_debug:
        # Interpreting the firmware's routing tables takes seconds a device
        # under KASAN, and virtio's interrupts do without.
        arguments.append("acpi=noirq")
    return " ".join([*arguments, *shape.arguments])


def host_load():
    """How many times longer than alone something takes on this host now."""
    return max(1, min(5, round(os.getloadavg()[0] / os.cpu_count())))


def with_arguments(shape, *arguments):
    return dataclasses.replace(shape, arguments=shape.arguments + arguments)


class Machine:
    def __init__(self, shape, console_log, extra=None):
        """Boots a machine. extra: further files for /run/vm, name -> path."""
        self.shape = shape
        self.console_log = Path(console_log)
        self.directory = Path(tempfile.mkdtemp(prefix="vm."))
        self.process = None
        self.buffer = b""
        self.sockets = {}
        self.started = time.monotonic()
        try:
            self._start(extra or {})
        except BaseException:
            self.kill()
            raise

    def _start(self, extra):
        agent = {"agent": images.HERE / "guest/agent", **extra}
        initramfs = images.make_initramfs(self.shape.image, self.directory,
                                          agent)
        scratch = self.directory / "scratch.img"
        images.make_scratch(scratch)
        remote = []
        for name in ("agent", "console", "control"):
            self.sockets[name], other = socket.socketpair()
            remote.append(other)
        command = self._command(initramfs, scratch, [s.fileno() for s in remote])
        with open(f"{self.console_log}.qemu", "w") as log:
            print(shlex.join(command), file=log, flush=True)
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[s.fileno() for s in remote],
                start_new_session=True)
        for other in remote:
            other.close()
        self.sockets["console"].setblocking(False)

    def _command(self, initramfs, scratch, fds):
        shape, image = self.shape, self.shape.image
        # la57 would only add a level of page tables to walk. With erms, fsrm and fsrs
        # the kernel copies and fills by `rep movsb` and `rep stosb`, which is emulated
        # byte by byte: three times slower, and eight times as many instructions when
        # they are counted. By the family, the kernel knows that copying by words is as
        # good as it gets, as it is on all processors since 2007.
        processor = ["-cpu", "max,la57=off,erms=off,fsrm=off,fsrs=off,"
                     "family=23,model=49"]
        if shape.icount:
            processor += ["-accel", "tcg,thread=single", "-smp", "1",
                          "-icount", "shift=1,sleep=off"]
        else:
            # In turns, whenever one waits or spins, is nearly twice as fast:
            # atomic instructions need no help, and nobody spins for a processor
            # that the host has suspended. At once, more can get in between.
            thread = "multi" if shape.at_once else "single"
            processor += ["-accel", f"tcg,thread={thread}",
                          "-smp", str(shape.cpus)]
        agent, console, control = fds
        return [
            # Whatever becomes of us, no machine stays behind.
            "setpriv", "--pdeathsig", "KILL", "--",
            "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-machine", "pc", *processor, "-m", shape.memory,
            "-display", "none", "-no-reboot",
            "-kernel", str(shape.kernel), "-initrd", str(initramfs),
            "-append", kernel_arguments(shape),
            *disk(image.disk, "on"), *disk(shape.payload, "on"),
            *disk(scratch, "off"),
            "-chardev", f"socket,id=console,fd={console},"
                        f"logfile={self.console_log}",
            "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,fd={agent}",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-chardev", f"socket,id=control,fd={control}",
            "-mon", "chardev=control,mode=control",
            "-device", "virtio-rng-pci",
        ]

    def wait_ready(self):
        """Waits until the agent answers; its first event."""
        for event in self.events(BOOT_BOUND * self.shape.scale * host_load()):
            if event["event"] == "ready":
                return event
        raise MachineError("did not start")

    def send(self, do, **fields):
        data = json.dumps({"do": do, **fields}).encode() + b"\n"
        try:
            self.sockets["agent"].sendall(data)
        except OSError:
            raise MachineError("died") from None

    def events(self, bound=None):
        """The agent's events, until `done` or `ready`. Raises MachineError if
        the machine ends or says nothing final within bound seconds."""
        deadline = time.monotonic() + bound if bound else None
        while True:
            event = self._next_event(deadline)
            yield event
            if event["event"] in ("done", "ready"):
                return

    def _next_event(self, deadline):
        agent, console = self.sockets["agent"], self.sockets["console"]
        while b"\n" not in self.buffer:
            left = max(0, deadline - time.monotonic()) if deadline else None
            ready, _, _ = select.select([agent, console], [], [], left)
            if not ready:
                raise MachineError("does not answer")
            self._drain_console()
            if agent in ready:
                data = agent.recv(1 << 20)
                if not data:
                    raise MachineError("died")
                self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def _drain_console(self):
        """QEMU logs the console to a file; here it only must not stall."""
        try:
            while self.sockets["console"].recv(1 << 20):
                pass
        except BlockingIOError:
            pass

    def attach_terminal(self):
        """Connects standard input and output to the console until the machine
        ends."""
        console = self.sockets["console"]
        settings = termios.tcgetattr(0) if os.isatty(0) else None
        try:
            if settings:
                tty.setraw(0)
            sources = [0, console]
            while self.process.poll() is None:
                ready, _, _ = select.select(sources, [], [], 0.5)
                if console in ready:
                    os.write(1, console.recv(65536))
                if 0 in ready:
                    data = os.read(0, 1024)
                    if data:
                        console.sendall(data)
                    else:
                        sources.remove(0)
        finally:
            if settings:
                termios.tcsetattr(0, termios.TCSADRAIN, settings)

    def dump(self):
        """Has the kernel say on the console what runs and what is blocked,
        which works as long as it takes interrupts."""
        for key in b"lw":
            self.control("chardev-send-break", id="console")
            self.sockets["console"].send(bytes([key]))
            self.wait_quiet(5)

    def wait_quiet(self, bound):
        """Waits until the console says nothing for a second."""
        deadline = time.monotonic() + bound
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.sockets["console"]], [], [], 1)
            if not ready:
                return
            self._drain_console()

    def control(self, command, **arguments):
        """Sends a command to QEMU, without waiting for its answer."""
        requests = [{"execute": "qmp_capabilities"},
                    {"execute": command, "arguments": arguments}]
        for request in requests:
            self.sockets["control"].sendall(json.dumps(request).encode())

    def wait_end(self, bound):
        """Waits for the machine to power off; true if it did."""
        deadline = time.monotonic() + bound
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                return False
            self._drain_console()
            select.select([self.sockets["agent"]], [], [], 0.02)
        return True

    def kill(self):
        """Ends it at once, if it has not ended, and removes its files."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for each in self.sockets.values():
            each.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def console(self):
        """All that the console has shown."""
        try:
            return self.console_log.read_text(errors="replace")
        except FileNotFoundError:
            return ""


def disk(path, snapshot):
    """Options for a disk; what is written to it is never kept."""
    return ["-drive", f"file={path},format=raw,if=virtio,cache=unsafe,"
                      f"snapshot={snapshot}"]
