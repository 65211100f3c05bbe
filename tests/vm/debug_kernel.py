# SPDX-License-Identifier: MIT
"""The debug kernel, built once from Debian's source package and cached.

Kept of it: the kernel, its few modules and what building an external module
against it takes.
"""

import re
import shutil
import threading
import time
from pathlib import Path

import cache
import images

RECIPE = "1"  # change it when what follows makes something different

BUILD = r"""
set -eu
series=$1 version=$2
cd /build
apt-get -qq -o Dir::Cache=/tmp -o APT::Sandbox::User=root \
    download "linux-source-$series=$version"
dpkg-deb --fsys-tarfile linux-source-*.deb |
    tar -xO "./usr/src/linux-source-$series.tar.xz" |
    tar -xJ -C /kernel --strip-components=1
rm linux-source-*.deb

cd /kernel
make -s tinyconfig
scripts/kconfig/merge_config.sh -m .config /build/debug.config > /dev/null
make -s olddefconfig
refused=$(grep -E '^(CONFIG_|# CONFIG_\w+ is not set)' /build/debug.config |
    while read -r line; do
        case $line in
        CONFIG_*) grep -qxF "$line" .config || echo "$line" ;;
        *) name=${line#\# }; name=${name%% *}
           ! grep -q "^$name=" .config || echo "$line" ;;
        esac
    done)
if [ -n "$refused" ]; then
    echo "this kernel's configuration does not take over:"
    echo "$refused"
    exit 1
fi
make -j"$(nproc)" bzImage modules
make -s modules_install INSTALL_MOD_PATH=/build INSTALL_MOD_STRIP=1
cp arch/x86/boot/bzImage /build/vmlinuz
make -s kernelrelease > /build/release
"""

# What external modules are built with; the rest of the tree goes.
KEPT = ["Makefile", "Kconfig", "Kbuild", ".config", "Module.symvers",
        "System.map", "include", "scripts", "tools/objtool/objtool",
        "arch/x86/Makefile", "arch/x86/Makefile_32.cpu", "arch/x86/Makefile.um",
        "arch/x86/Makefile.cpu", "arch/x86/Kbuild", "arch/x86/include",
        "arch/x86/scripts", "arch/x86/tools"]


def get(store, kernel, base, version):
    """The cached directory of a debug kernel: vmlinuz, release, lib/modules
    and tree (to be bound to /kernel inside the root in base)."""
    config = images.HERE / f"{kernel.name.rpartition('-')[2]}.config"
    key = cache.digest(RECIPE, BUILD, repr(KEPT), version,
                       toolchain(base / "root"),
                       config.read_bytes())

    def build(directory):
        start = time.monotonic()
        store.say(f"building the kernel {kernel.name} from {version}, "
                  "for about a quarter of an hour")
        shutil.copy(config, directory / "debug.config")
        compile_kernel(store, kernel, base / "root", directory, version)
        prune(directory / "tree")
        store.say(f"kernel {kernel.name} built in "
                  f"{(time.monotonic() - start) / 60:.0f} min")

    return store.store.entry(f"kernel-{kernel.name}", key, build)


def toolchain(root):
    """The versions of a root's packages that make a difference to a build."""
    status = (root / "var/lib/dpkg/status").read_text()
    found = re.findall(r"(?ms)^Package: ((?:gcc|binutils)(?:-[\d.]+)?)$.*?"
                       r"^Version: (\S+)", status)
    return repr(sorted(found))


def compile_kernel(store, kernel, root, directory, version):
    """Fills directory with a built tree and what comes out of it."""
    tree = directory / "tree"
    tree.mkdir()
    log = directory / "log"
    done = threading.Event()
    reporter = threading.Thread(target=report_progress, daemon=True,
                                args=(store.say, log, done))
    reporter.start()
    try:
        images.run_logged(
            [images.HERE / "enter", root, "--bind", f"{directory}:/build",
             "--bind", f"{tree}:/kernel", "--",
             "sh", "-c", BUILD, "sh", kernel.series, version], log)
    finally:
        done.set()
        reporter.join()


def report_progress(say, log, done):
    """Tells once a minute how many files have been compiled."""
    start = time.monotonic()
    while not done.wait(60):
        text = Path(log).read_text(errors="replace")
        compiled = len(re.findall(r"(?m)^  (?:CC|AS|LD|AR) ", text))
        say(f"  {(time.monotonic() - start) / 60:.0f} min, "
            f"{compiled} files compiled")


def prune(tree):
    """Leaves of a built tree what external modules need."""
    kept = tree.with_name("kept")
    kept.mkdir()
    for name in KEPT:
        source = tree / name
        if source.exists():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            source.rename(kept / name)
    for makefile in tree.rglob("Kconfig*"):  # syncconfig wants them all
        target = kept / makefile.relative_to(tree)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            makefile.rename(target)
    shutil.rmtree(tree)
    kept.rename(tree)
