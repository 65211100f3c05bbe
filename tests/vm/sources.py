# SPDX-License-Identifier: MIT
"""A copy of a source tree to build in, kept up to date file by file.

Objects stay in the copy, so building it is incremental; the tree itself is
never written to, and one copy for each kernel keeps their objects apart.
"""

import os
import shutil
import subprocess
from pathlib import Path

MANIFEST = ".copied"


def listed(tree):
    """The relative paths of a tree's source files: what git tracks or would
    offer to add, or, without git, everything that is not hidden or built."""
    try:
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], cwd=tree, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.relpath(os.path.join(top, file), tree)
                 for top, directories, files in walk(tree) for file in files]
    return sorted({name for name in names
                   if name and os.path.lexists(tree / name)})


def walk(tree):
    for top, directories, files in os.walk(tree):
        directories[:] = [name for name in directories
                          if not name.startswith(".") and name != "build"]
        yield top, directories, files


def update(tree, copy):
    """Makes copy hold exactly the source files of tree, beside what was built
    in it; files that did not change keep their place and time."""
    names = listed(tree)
    manifest = copy / MANIFEST
    copy.mkdir(parents=True, exist_ok=True)
    before = manifest.read_text().split("\0") if manifest.exists() else []
    for name in set(before) - set(names):
        (copy / name).unlink(missing_ok=True)
    # Written first: an interrupted update then removes too much, not too little.
    manifest.write_text("\0".join(sorted(set(before) | set(names))))
    for name in names:
        copy_if_changed(tree / name, copy / name)
    manifest.write_text("\0".join(names))


def copy_if_changed(source, target):
    if source.is_dir() and not source.is_symlink():
        return  # a repository inside this one
    if signature(source) == signature(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def signature(path):
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_mode
