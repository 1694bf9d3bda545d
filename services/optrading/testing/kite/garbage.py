"""Binary messages that no broker should send: noise, frames cut short, counts and lengths that lie."""

from __future__ import annotations

import random
import struct

NOBODYS_TOKEN = 0xFFFFFE02
"""Of a contract that no dump lists."""


def garbage_frame(chance: random.Random) -> tuple[str, bytes]:
    """Return the name of a kind of garbage and a message of it; none holds a readable tick of a listed token."""
    return chance.choice((_noise, _cut_short, _too_many, _odd_length, _unknown_token, _nothing))(chance)


def _noise(chance: random.Random) -> tuple[str, bytes]:
    # A count of at least 0xF000 packets, in some 100 bytes: nobody can take noise for ticks.
    return "noise", bytes([0xF0 | chance.randrange(16)]) + chance.randbytes(chance.randrange(20, 200))


def _cut_short(chance: random.Random) -> tuple[str, bytes]:
    whole = _frame(_packet(184))
    return "cut short", whole[: chance.randrange(5, len(whole) - 1)]


def _too_many(chance: random.Random) -> tuple[str, bytes]:
    frame = _frame(_packet(44))
    return "more packets announced than sent", chance.randrange(2, 500).to_bytes(2, "big") + frame[2:]


def _odd_length(chance: random.Random) -> tuple[str, bytes]:
    length = chance.choice([size for size in range(1, 200) if size not in (8, 28, 32, 44, 184)])
    return "a packet of no known length", _frame(chance.randbytes(length))


def _unknown_token(_: random.Random) -> tuple[str, bytes]:
    return "a token that nobody lists", _frame(_packet(184))


def _nothing(_: random.Random) -> tuple[str, bytes]:
    return "an empty message", b""


def _packet(length: int) -> bytes:
    return struct.pack(">II", NOBODYS_TOKEN, 12345).ljust(length, b"\x01")


def _frame(*packets: bytes) -> bytes:
    content = b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
    return struct.pack(">H", len(packets)) + content
