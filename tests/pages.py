"""The commands of a page: its fenced `sh` blocks, each with the heading that it stands under."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PART = re.compile(r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        heading: The heading that it stands under.
        commands: Its text.
    """

    heading: str
    commands: str


def shell_blocks(page: Path) -> list[Block]:
    """Return the `sh` blocks of a page in their order."""
    blocks, heading = [], ""
    for part in _PART.finditer(page.read_text(encoding="utf-8")):
        if part["heading"]:
            heading = part["heading"]
        elif part["language"] == "sh":
            blocks.append(Block(heading, part["body"]))
    return blocks
