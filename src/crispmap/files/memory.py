"""The memory of the machine, as far as this process may use it."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

_UNKNOWN_MEMORY = 8 * 10**9


def machine_memory(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes this process may use: the memory of the machine, or the limit of its cgroup if lower."""
    limits = [_UNKNOWN_MEMORY]
    if hasattr(os, "sysconf"):
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, file = (cgroups / "memory", "memory.limit_in_bytes") if controllers else (cgroups, "memory.max")
        place = PurePosixPath(name)
        for group in (place, *place.parents):
            limit = folder / group.relative_to("/") / file
            text = limit.read_text().strip() if limit.exists() else ""
            limits += [int(text)] if text.isdecimal() else []  # "max" is no limit
    return min(limits)
