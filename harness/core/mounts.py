"""Whether a folder is on a file system of another machine, as far as Linux's list of mounts tells."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
"""One line per mounted file system: device, folder, type, options."""

NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs"}
"""Types on which a file's lock is not sure to keep processes of other machines out."""


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that ``path`` is on; None on a local one, or where that is unknown."""
    try:
        place, lines = path.absolute().resolve(), MOUNTS.read_bytes().splitlines()
    except (OSError, RuntimeError, ValueError):
        return None
    found, deepest = "", 0
    for line in lines:
        _, folder, kind, *_ = line.split(b" ")
        mounted = Path(os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), folder)))
        if place.is_relative_to(mounted) and len(mounted.parts) >= deepest:  # Of two on one folder, the later one.
            found, deepest = os.fsdecode(kind), len(mounted.parts)
    return found if found in NETWORK else None
