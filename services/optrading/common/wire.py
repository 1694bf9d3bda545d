"""Ready bytes in answers: a message that was serialized once is put into a response without parsing it again.

Protobuf's wire format makes a message field out of its bytes by a tag and a length in front of them.
Source: Protocol Buffers encoding guide, "Length-Delimited Records".
"""

from __future__ import annotations

_LENGTH_DELIMITED = 2
_VARINT = 0


def message_field(number: int, payload: bytes) -> bytes:
    """Return `payload` (a serialized message, or UTF-8 text) as field `number` of another message."""
    return field_head(number, len(payload)) + payload


def field_head(number: int, length: int) -> bytes:
    """Return what stands before the `length` bytes of field `number`."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def int_field(number: int, value: int) -> bytes:
    """Return a non-negative integer as field `number`; nothing at all for 0, as proto3 has it."""
    return _varint(number << 3 | _VARINT) + _varint(value) if value else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
