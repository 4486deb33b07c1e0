"""Writing files so that a failure never costs the file that was there before."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from envs.errors import UserError

#: What to write: the bytes themselves, or a function that writes them to an open binary file.
Content = bytes | Callable[[BinaryIO], Any]

_ADVICE = {
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.EISDIR: "give the name of a file in it",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "make its folder first",
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some space or choose another disk",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) or choose another disk",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def write_atomically(path: str | os.PathLike[str], content: Content) -> Path:
    """Writes a file whole or not at all.

    The bytes go to a temporary file in the same folder, which then takes the place of `path` in one step; whoever
    reads `path` meanwhile sees the old file or the new one, never a part. A link is followed, not replaced.

    Args:
        path: where the file shall be. Its folder must exist.
        content: the bytes, or a function that is called with the open binary file and writes them.

    Returns:
        `path` as a Path.

    Raises:
        UserError: the system refused to write (full disk, unwritable or missing folder, `path` is a folder). The
            temporary file is gone and an old file at `path` is as it was.
    """
    shown = Path(path)
    target = Path(os.path.realpath(shown))
    # The name is cut short in bytes so that a name near the system's limit can still be given its temporary one.
    stem = os.fsdecode(os.fsencode(target.name)[:200])
    temporary = target.with_name(f".{stem}.{secrets.token_hex(4)}.part")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # Unlike the tempfile module this gives the permissions that an ordinary new file has.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(descriptor, "wb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    content(file)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        advice = _ADVICE.get(error.errno or 0, "choose another place")
        raise UserError(f"Cannot write {shown}: {reason.lower()}; {advice}.") from error
    return shown
