"""What a command says when it cannot do its work."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do its work; the text is one line for the user."""
