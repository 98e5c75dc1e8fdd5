"""Files to upload."""

import os
import stat


def path_of(file):
    """The path by which a file that was opened from disk can be read while it is sent, so that it is never held whole;
    None: its content has to be read. Only a binary file that nobody has begun to read, and that still lies under its
    name."""
    name = getattr(file, "name", None)
    if not isinstance(name, str) or "b" not in getattr(file, "mode", "") or not hasattr(file, "fileno"):
        return None
    try:
        opened, named = os.fstat(file.fileno()), os.stat(name)
        same = (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino)
        untouched = stat.S_ISREG(opened.st_mode) and file.tell() == 0
    except (OSError, ValueError):
        return None
    return name if same and untouched else None
