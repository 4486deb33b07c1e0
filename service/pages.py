"""The studio's page, read into memory once: no path that a client sends reaches the file system."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

#: Where the page lies.
FOLDER = Path(__file__).parent / "page"

#: What browsers are told that a file is, by its extension, whatever the machine believes.
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

#: What is shown at the address itself.
_INDEX = "index.html"


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    Attributes:
        content: its bytes.
        media_type: what it is.
        tag: tells whether a browser's copy is still the same.
    """

    content: bytes
    media_type: str
    tag: str


def read_page(folder: Path = FOLDER) -> dict[str, PageFile]:
    """Returns all files of the page by their addresses ("/", "/studio.js")."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            content = path.read_bytes()
            kind = _MEDIA_TYPES.get(path.suffix, "application/octet-stream")
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            address = path.relative_to(folder).as_posix()
            found["/" if address == _INDEX else f"/{address}"] = PageFile(content, kind, tag)
    return found


async def answer(file: PageFile, request: Request) -> Response:
    """Sends a file of the page, unless the browser has it already."""
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
