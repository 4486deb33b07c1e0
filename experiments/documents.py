"""A report that is written once and read as Markdown or as one HTML file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.files import write_atomically

#: Colours come from the reader's own light or dark scheme.
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { border-bottom: 1px solid rgb(128 128 128 / 40%); padding: .25rem .6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
th { vertical-align: bottom; }
.wide { overflow-x: auto; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: white; padding: 4px; border-radius: 4px; }
figcaption, .note { opacity: .8; font-size: 13px; }
"""


@dataclass(frozen=True)
class _Heading:
    text: str
    depth: int


@dataclass(frozen=True)
class _Text:
    text: str


@dataclass(frozen=True)
class _List:
    entries: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Picture:
    name: str
    caption: str
    png: bytes


@dataclass
class Document:
    """A report, block by block.

    Attributes:
        title: what it is about.
    """

    title: str
    blocks: list[_Heading | _Text | _List | _Table | _Picture] = field(default_factory=list)

    def heading(self, text: str, depth: int = 2) -> None:
        """Begins a section."""
        self.blocks.append(_Heading(text, depth))

    def text(self, text: str) -> None:
        """Adds a paragraph; what stands between backquotes is code."""
        self.blocks.append(_Text(text))

    def entries(self, entries: Sequence[str]) -> None:
        """Adds a list."""
        self.blocks.append(_List(tuple(entries)))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Adds a table of text; all rows have as many cells as there are headings."""
        self.blocks.append(_Table(tuple(headings), tuple(tuple(row) for row in rows)))

    def picture(self, name: str, image: NDArray[np.uint8] | bytes, caption: str) -> None:
        """Adds a picture.

        Args:
            name: of its file, without an extension.
            image: uint8 (height, width, 3), or a PNG file's bytes.
            caption: what it shows.
        """
        self.blocks.append(_Picture(name, caption, image if isinstance(image, bytes) else png_bytes(image)))

    def markdown(self, pictures: str) -> str:
        """Returns the report as Markdown.

        Args:
            pictures: the folder of the pictures, from where the Markdown file is.
        """
        lines = [f"# {self.title}", ""]
        for block in self.blocks:
            if isinstance(block, _Heading):
                lines += [f"{'#' * block.depth} {block.text}"]
            elif isinstance(block, _Text):
                lines += [block.text]
            elif isinstance(block, _List):
                lines += [f"- {entry}" for entry in block.entries]
            elif isinstance(block, _Table):
                lines += ["| " + " | ".join(block.headings) + " |"]
                lines += ["| --- |" + " ---: |" * (len(block.headings) - 1)]
                lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in block.rows]
            else:
                lines += [f"![{block.caption}]({pictures}/{block.name}.png)", "", f"*{block.caption}*"]
            lines += [""]
        return "\n".join(lines)

    def html(self) -> str:
        """Returns the report as one HTML page that needs no other file."""
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{_marked(self.title)}</h1>",
        ]
        for block in self.blocks:
            if isinstance(block, _Heading):
                parts.append(f"<h{block.depth}>{_marked(block.text)}</h{block.depth}>")
            elif isinstance(block, _Text):
                parts.append(f"<p>{_marked(block.text)}</p>")
            elif isinstance(block, _List):
                parts.append("<ul>" + "".join(f"<li>{_marked(entry)}</li>" for entry in block.entries) + "</ul>")
            elif isinstance(block, _Table):
                head = "".join(f"<th>{_marked(cell)}</th>" for cell in block.headings)
                body = "".join("<tr>" + "".join(f"<td>{_marked(c)}</td>" for c in row) + "</tr>" for row in block.rows)
                parts.append(
                    f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
                )
            else:
                data = base64.b64encode(block.png).decode()
                caption = _marked(block.caption)
                parts.append(
                    f'<figure><img alt="{html.escape(block.caption, quote=True)}" src="data:image/png;base64,{data}">'
                    f"<figcaption>{caption}</figcaption></figure>"
                )
        return "\n".join([*parts, "</body></html>", ""])

    def write(self, folder: Path, name: str) -> list[Path]:
        """Writes name.md with its pictures in a folder `name`, and name.html.

        Raises:
            UserError: a file cannot be written.
        """
        drawn = [block for block in self.blocks if isinstance(block, _Picture)]
        place = folder / name
        if drawn:
            place.mkdir(exist_ok=True)
        for picture in drawn:
            write_atomically(place / f"{picture.name}.png", picture.png)
        return [
            write_atomically(folder / f"{name}.md", self.markdown(name).encode()),
            write_atomically(folder / f"{name}.html", self.html().encode()),
        ]


def _marked(text: str) -> str:
    """Returns text as HTML, code between backquotes marked as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """Returns a picture, uint8 (height, width, 3), as the bytes of a PNG file."""
    from PIL import Image  # noqa: PLC0415 (only where pictures are made)

    file = BytesIO()
    Image.fromarray(image).save(file, format="PNG", optimize=True)
    return file.getvalue()
