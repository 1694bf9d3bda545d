"""Notices that nobody could handle: kept with the reason, to be looked at and sent again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from optrading.common.redis_client import bounded

DEAD_LETTERS = "optrading:dead-letters"
"""The stream of them. It is never trimmed by itself."""

# Back on its stream and out of this one in one step: a letter is never in both, nor in neither.
_REPLAY = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return 0 end
local stream, fields = '', {}
local values = found[1][2]
for place = 1, #values, 2 do
  if values[place] == 'stream' then stream = values[place + 1] end
  if values[place] == 'fields' then
    for name, value in pairs(cjson.decode(values[place + 1])) do
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
end
if #fields == 0 then return 0 end
redis.call('XADD', stream, '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them.

    Attributes:
        letter_id: Its place among dead letters; empty before it is there.
        stream: Where it was.
        entry_id: Its place there.
        group: Whose consumers could not handle it.
        reason: Why.
        deliveries: How often it was given to one of them.
        fields: What it holds.
    """

    letter_id: str
    stream: str
    entry_id: str
    group: str
    reason: str
    deliveries: int
    fields: Mapping[str, str]


async def bury(redis: Redis, letter: DeadLetter) -> None:
    """Move an entry of a group here: it is no longer pending there.

    Raises:
        RedisError, OSError: Redis is away; the entry is where it was.
    """
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.xadd(
            DEAD_LETTERS,
            {
                "stream": letter.stream,
                "entry_id": letter.entry_id,
                "group": letter.group,
                "reason": letter.reason,
                "deliveries": letter.deliveries,
                "traceparent": letter.fields.get("traceparent", ""),
                "fields": json.dumps(dict(letter.fields)),
            },
        )
        pipeline.xack(letter.stream, letter.group, letter.entry_id)
        await bounded(pipeline.execute())


async def list_dead_letters(redis: Redis, limit: int = 1_000) -> list[DeadLetter]:
    """Return up to `limit` dead letters, oldest first.

    Raises:
        RedisError, OSError: Redis is away.
    """
    rows: Any = await bounded(redis.xrange(DEAD_LETTERS, count=limit))
    return [
        DeadLetter(
            letter_id=letter_id,
            stream=fields["stream"],
            entry_id=fields["entry_id"],
            group=fields["group"],
            reason=fields["reason"],
            deliveries=int(fields["deliveries"]),
            fields=json.loads(fields["fields"]),
        )
        for letter_id, fields in rows
    ]


async def replay_dead_letter(redis: Redis, letter_id: str) -> bool:
    """Put a dead letter back on its stream, for every group to see; return False when it is not there.

    Raises:
        RedisError, OSError: Redis is away; nothing is changed.
    """
    return bool(await bounded(redis.eval(_REPLAY, 1, DEAD_LETTERS, letter_id)))
