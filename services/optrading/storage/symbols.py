"""Which symbols an index may have here: they become names of folders."""

from __future__ import annotations

import re

SYMBOL = re.compile(r"[A-Za-z0-9_&-]{1,32}")


def is_symbol(index: str) -> bool:
    """Return whether `index` may become the name of a folder."""
    return SYMBOL.fullmatch(index) is not None
