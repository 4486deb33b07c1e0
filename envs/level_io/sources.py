"""Reads the bytes, the text or the JSON of a file, and says in one sentence where it is damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from envs.errors import UserError

#: The largest file that is taken for a level file, in bytes.
LARGEST_FILE = 256 << 20


def read_bytes(path: Path) -> bytes:
    """Returns the contents of a file.

    Raises:
        UserError: it is missing, empty, a folder, unreadable or too large.
    """
    try:
        with open(path, "rb") as file:
            # What tells no size, such as a pipe, is read as far as is allowed; room for that is taken beforehand.
            size = os.fstat(file.fileno()).st_size
            large = size > LARGEST_FILE
            raw = b"" if large else file.read((size or LARGEST_FILE) + 1)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; give the path of a level file.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder; give the path of a level file in it.") from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(f"{path} cannot be read: {reason}; give the path of a level file.") from error
    if large or len(raw) > LARGEST_FILE:
        raise UserError(f"{path} is larger than {LARGEST_FILE >> 20} MiB; split it into several level files.")
    if not raw:
        raise UserError(f"{path} is empty; give a file with at least one level.")
    return raw


def read_text(path: Path) -> str:
    """Returns the text of a UTF-8 file, without its byte order mark.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Codecs count the bytes of the text they were given, which lacks the byte order mark.
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        raise UserError(
            f"{path}, line {line}, column {column}: byte 0x{error.object[error.start]:02x} is not UTF-8 text; "
            "save the file as UTF-8."
        ) from error


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a UTF-8 file as people count them, without their ends, Unix' or Windows'.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    return [line.removesuffix("\r") for line in read_text(path).split("\n")]


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        UserError: it cannot be read, or is no JSON, or no object.
    """
    text = read_text(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}, column {error.colno}: malformed JSON ({error.msg}); save the file again."
        ) from error
    except RecursionError as error:
        raise UserError(f"{path} is malformed JSON: it is nested too deeply; save the file again.") from error
    except ValueError as error:
        raise UserError(
            f"{path} is malformed JSON: it holds a number that is too long; save the file again."
        ) from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is JSON but no object; such files must be one object in braces.")
    return document
