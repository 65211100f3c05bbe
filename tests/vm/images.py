# SPDX-License-Identifier: MIT
"""What a machine is made of: root file systems and kernels.

A *root* is a directory with a Debian release, compilers and kernels, made by
mmdebstrap from the package mirror this machine itself uses. Programs are built
in it (see enter), and a disk image of it is what machines boot from.
"""

import dataclasses
import functools
import lzma
import re
import shutil
import struct
import subprocess
import time
import zlib
from pathlib import Path

import cache

HERE = Path(__file__).resolve().parent
FORMAT = "2"  # of roots and disks; change it when their recipe here changes

# Not needed by guests, and half of the size.
NOT_ON_DISK = ["boot", "usr/share/doc", "usr/share/man",
               "usr/share/locale", "var/cache", "var/lib/apt"]

# What a machine needs to reach its root file system and its runner.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "ext4"]


# Type and name of the ELF note that says where QEMU may enter a kernel.
PVH_NOTE = struct.pack("<I", 18) + b"Xen\0"


class ImageError(Exception):
    """Something could not be made; the message says what and why."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A row of the table `kernels`."""

    name: str
    series: str
    suite: str
    pocket: str
    flavour: str

    @property
    def is_debug(self):
        return self.flavour == "source"


@dataclasses.dataclass(frozen=True)
class Image:
    """All that it takes to build for a kernel and to boot it."""

    kernel: Kernel
    root: Path  # directory to enter for building
    disk: Path  # the same, for booting
    vmlinuz: Path
    release: str  # what uname -r says
    modules: Path  # directory lib/modules/RELEASE
    kdir: str  # the kernel's build directory, as seen inside the root
    binds: tuple = ()  # what to bind into the root for building


def kernels():
    """The table of kernels by name, the default one first."""
    table = {}
    for line in (HERE / "kernels").read_text().splitlines():
        if line and not line.startswith("#"):
            kernel = Kernel(*line.split())
            table[kernel.name] = kernel
    return table


class Images:
    """Makes and keeps images; extra: packages beside those all machines have,
    which makes images of their own."""

    def __init__(self, say=print, store=None, extra=()):
        self.say = say
        self.store = store or cache.Cache(say=say)
        self.extra = tuple(extra)

    def get(self, kernel):
        """The Image for a Kernel; makes whatever is missing, which may take
        a minute for a root and a quarter of an hour for a debug kernel."""
        base = self._base(kernel.suite)
        root = base / "root"
        what = installed(root, kernel)
        if kernel.is_debug:
            import debug_kernel
            built = debug_kernel.get(self, kernel, base, what)
            release = (built / "release").read_text().strip()
            return Image(kernel, root, base / "disk.img", built / "vmlinuz",
                         release, built / "lib/modules" / release, "/kernel",
                         ((built / "tree", "/kernel"),))
        modules = root / "usr/lib/modules" / what
        return Image(kernel, root, base / "disk.img",
                     root / "boot" / f"vmlinuz-{what}", what, modules,
                     f"/lib/modules/{what}/build")

    def _base(self, suite):
        wanted = tuple(k for k in kernels().values() if k.suite == suite)
        listed = [*packages(suite), *self.extra]
        key = cache.digest(FORMAT, suite, " ".join(listed),
                           repr([dataclasses.astuple(k) for k in wanted]),
                           (HERE / "install-kernels").read_bytes())

        def build(directory):
            start = time.monotonic()
            self.say(f"making a Debian {suite} root file system")
            make_root(directory, suite, listed, wanted)
            self.say("making a disk image of it")
            make_disk(directory / "root", directory / "disk.img")
            self.say(f"root file system made in "
                     f"{time.monotonic() - start:.0f} s")

        return self.store.entry(f"root-{suite}", key, build)


def packages(suite, path=HERE / "packages"):
    """The packages listed in a file that are for a release."""
    text = re.sub(r"(?m)#.*$", "", path.read_text())
    return [name for name, other, only in
            re.findall(r"([^\s\[]+)(?: +\[(!?)(\S+)\])?", text)
            if not only or (only == suite) != bool(other)]


def installed(root, kernel):
    """The release of a kernel in a root, or the version of its source."""
    for line in (root / "etc/vm-kernels").read_text().splitlines():
        series, flavour, what = line.split()
        if (series, flavour) == (kernel.series, kernel.flavour):
            return what
    raise ImageError(f"{root} has no kernel {kernel.name}")


def run_logged(command, log, **options):
    """Runs a command with its output in a file; an ImageError shows its end."""
    with open(log, "ab") as output:
        status = subprocess.run(list(map(str, command)), stdout=output,
                                stderr=subprocess.STDOUT,
                                stdin=subprocess.DEVNULL, **options).returncode
    if status:
        tail = Path(log).read_text(errors="replace").splitlines()[-30:]
        raise ImageError("\n".join([f"{command[0]} failed:", *tail]))


@functools.cache
def mirror():
    """The package mirror of this machine's own Debian release."""
    for attempt in range(2):
        listing = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)"],
            stdout=subprocess.PIPE, text=True, check=True).stdout
        for line in listing.splitlines():
            label, uri = line.split("|", 1)
            if label == "Debian":
                return uri
        # Labels are known only once the lists have been downloaded.
        subprocess.run(["apt-get", "--quiet", "update"],
                       stdout=subprocess.DEVNULL, check=False)
    raise ImageError("no Debian mirror in this machine's apt configuration")


def proxy_options():
    """This machine's proxy settings of apt, for apt inside a root."""
    settings = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE,
                              text=True, check=True).stdout
    return [f"--aptopt={line}" for line in settings.splitlines()
            if re.match(r'Acquire::\S*proxy\S* ".', line, re.IGNORECASE)]


def make_root(directory, suite, listed, wanted):
    """Makes directory/root with packages and kernels."""
    uri = mirror()
    pockets = dict.fromkeys([suite, *(k.pocket for k in wanted)])
    hook = " ".join([str(HERE / "install-kernels"), '"$1"'] +
                    [f"{k.series}:{k.pocket}:{k.flavour}" for k in wanted])
    run_logged(
        ["unshare", "--mount", "--propagation", "private",
         "mmdebstrap", "--mode=root", "--variant=apt",
         f"--include={','.join(listed)}",
         # Guests get an initramfs of our own, made when they are started.
         "--dpkgopt=path-exclude=/etc/kernel/postinst.d/initramfs-tools",
         "--dpkgopt=path-exclude=/usr/share/man/*",
         "--dpkgopt=path-exclude=/usr/share/locale/*",
         "--skip=cleanup/apt/lists",
         *proxy_options(),
         f"--customize-hook={hook}",
         "--customize-hook=mkdir \"$1/kernel\" \"$1/build\" \"$1/scratch\"",
         suite, directory / "root",
         *(f"deb {uri} {pocket} main" for pocket in pockets)],
        directory / "log")


def make_disk(root, disk):
    """Makes an ext4 image of a root, without what guests do not need."""
    # Empty mounts hide what is left out, in a namespace of their own.
    hide = "".join(f'mount -t tmpfs none "$root/{path}"; '
                   for path in NOT_ON_DISK if (root / path).is_dir())
    # No journal: the image is written to in throw-away copies only.
    script = ('set -e; root=$1; ' + hide +
              'mke2fs -q -F -t ext4 -O ^has_journal -m 0 -L root -d "$root" '
              '"$2" 4G')
    run_logged(["unshare", "--mount", "--propagation", "private",
                "sh", "-c", script, "sh", root, disk], f"{disk}.log")


def make_payload(directory, image):
    """Makes an ext4 image of a directory, just large enough plus a reserve."""
    used = sum(path.lstat().st_size + 4096 for path in directory.rglob("*"))
    size = used * 5 // 4 + 16 * 2**20
    run_logged(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal",
                "-m", "0", "-d", directory, image, f"{size // 1024}k"],
               f"{image}.log")


def make_scratch(image, size="4G"):
    """Makes an empty file system in a sparse file."""
    run_logged(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal",
                "-E", "lazy_itable_init=1,nodiscard", "-m", "0", image, size],
               f"{image}.log")


def make_initramfs(image, directory, extra):
    """Makes directory/initramfs: busybox, boot modules, guest/ and the files
    of extra (name -> path), which init finds in /run/vm."""
    tree = directory / "initramfs.d"
    for sub in ("bin", "dev", "proc", "sys", "root", "modules", "vm"):
        (tree / sub).mkdir(parents=True)
    shutil.copy(image.root / "usr/bin/busybox", tree / "bin/busybox")
    shutil.copy(HERE / "guest/initramfs-init", tree / "init")
    for name, path in {"init": HERE / "guest/init", **extra}.items():
        shutil.copy(path, tree / "vm" / name)
    order = boot_modules(image.modules)
    for name, path in order.items():
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        (tree / "modules" / f"{name}.ko").write_bytes(data)
    (tree / "modules/order").write_text("".join(f"{n}\n" for n in order))
    if image.kernel.is_debug:
        # Its modules are not on the disk, which all kernels of a suite share.
        shutil.copytree(image.modules, tree / "vm/modules" / image.release,
                        ignore=shutil.ignore_patterns("build", "source"))
    result = directory / "initramfs"
    with open(result, "wb") as output:
        subprocess.run(["sh", "-c", "find . | cpio --quiet -o -H newc"],
                       cwd=tree, stdout=output, check=True)
    shutil.rmtree(tree)
    return result


def unpack_kernel(image, directory):
    """The kernel as an ELF file if QEMU can boot that, else as it is: done
    here, unpacking costs a tenth of a second instead of one."""
    if image.kernel.is_debug:
        # With KASAN, entering it as QEMU enters an ELF file is a triple fault.
        return image.vmlinuz
    packed = image.vmlinuz.read_bytes()
    # See Documentation/arch/x86/boot.rst: setup_sects, payload_offset, _length.
    setup = (packed[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", packed, 0x248)
    payload = packed[setup + offset:setup + offset + length]
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        # Its length follows the data, which is no part of the format.
        data = subprocess.run(["zstd", "-dcq"], input=payload[:-4],
                              stdout=subprocess.PIPE, check=True).stdout
    elif payload.startswith(b"\x1f\x8b"):
        data = zlib.decompressobj(wbits=31).decompress(payload)
    else:
        return image.vmlinuz
    if PVH_NOTE not in data:
        return image.vmlinuz
    result = directory / "vmlinux"
    result.write_bytes(data)
    return result


def boot_modules(directory):
    """The boot modules of a kernel in an order that resolves dependencies."""
    dependencies = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        module, _, needed = line.partition(":")
        dependencies[module_name(module)] = [
            directory / path for path in [*reversed(needed.split()), module]]
    order = {}
    for wanted in BOOT_MODULES:  # a name not there is built in
        for path in dependencies.get(wanted, []):
            order.setdefault(module_name(path), path)
    return order


def module_name(path):
    return Path(path).name.split(".")[0].replace("-", "_")
