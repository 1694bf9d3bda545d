"""Leases with fencing tokens: one owner a name for a while, and a number that only grows from owner to owner.

A lease avoids that two work at the same time. It does not guarantee it: who holds the greatest token is right, and
whoever stores what owners produce compares tokens.

Source: the fencing tokens of M. Kleppmann (2016), "How to do distributed locking".
"""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from optrading.common.redis_client import bounded

_PREFIX = "optrading:lease:"
_TOKEN_PREFIX = "optrading:lease-token:"  # noqa: S105  # the name of a key

# The token outlives the lease, for ever. A holder that comes back to a lease nobody took keeps its token.
_ACQUIRE = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
if held[1] then
  if held[1] == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {1, held[2], held[1], held[2]}
  end
  return {0, held[2], held[1], held[2]}
end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local current = tonumber(ARGV[4])
if current > 0 and last > current then
  return {0, string.format('%.0f', last), '', string.format('%.0f', last)}
end
local token = current
if current == 0 then
  token = math.max(last + 1, tonumber(ARGV[3]))
end
local text = string.format('%.0f', token)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', text)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], text)
return {1, text, ARGV[1], string.format('%.0f', last)}
"""

_RELEASE = """
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """What Redis says of a name.

    Attributes:
        held: Whether it is ours now.
        token: Of whoever has it, or had it last.
        owner: Whoever has it; empty when nobody does, and it is not ours to take with an old token.
        previous: The greatest token there was before this call; 0 when there was none.
    """

    held: bool
    token: int
    owner: str
    previous: int


class Leases:
    """The leases of one owner."""

    def __init__(self, redis: Redis, owner: str, ttl_s: float) -> None:
        """Take leases as `owner`; one that is not renewed ends after `ttl_s` seconds."""
        self._redis = redis
        self._owner = owner
        self._ttl_ms = round(ttl_s * 1000)

    async def acquire(self, name: str, least_token: int, current_token: int = 0) -> Lease:
        """Take or renew the lease of `name`.

        Args:
            name: What is to be owned.
            least_token: A new token is at least this.
            current_token: The token under which `name` was ours so far; 0 when it was not. It stays ours under it
                unless somebody had it since.

        Raises:
            RedisError, OSError: Redis is away; nothing is known.
        """
        keys = (_PREFIX + name, _TOKEN_PREFIX + name)
        held, token, owner, previous = await bounded(
            self._redis.eval(_ACQUIRE, len(keys), *keys, self._owner, self._ttl_ms, least_token, current_token)
        )
        return Lease(bool(held), int(token), str(owner), int(previous))

    async def release(self, name: str) -> None:
        """Give the lease of `name` back, if it is ours: the next owner need not wait.

        Raises:
            RedisError, OSError: Redis is away; it ends by itself.
        """
        await bounded(self._redis.eval(_RELEASE, 1, _PREFIX + name, self._owner))
