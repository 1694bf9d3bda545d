"""Which connection carries which token, within the broker's limits and with as few moves as there can be."""

from __future__ import annotations

from collections.abc import Sequence


class Allocation:
    """Tokens on connections. A token stays where it is while it is wanted; the others fill the first free places."""

    def __init__(self, connections: int, tokens_per_connection: int) -> None:
        """Have so many connections with so many places each."""
        self._places = tokens_per_connection
        self._held: list[set[int]] = [set() for _ in range(connections)]

    @property
    def capacity(self) -> int:
        """Return how many tokens there is room for."""
        return self._places * len(self._held)

    def assign(self, wanted: Sequence[int]) -> tuple[list[frozenset[int]], int]:
        """Place `wanted`, the most important first.

        Returns:
            The tokens of each connection, and how many found no place: the least important ones.
        """
        placed = list(dict.fromkeys(wanted))[: self.capacity]
        keep = set(placed)
        for held in self._held:
            held.intersection_update(keep)
        new = [token for token in placed if not any(token in held for held in self._held)]
        for held in self._held:
            free = self._places - len(held)
            held.update(new[:free])
            del new[:free]
        return [frozenset(held) for held in self._held], len(set(wanted)) - len(placed)

    def connection_of(self, token: int) -> int | None:
        """Return the number of the connection that carries `token`; None when none does."""
        return next((number for number, held in enumerate(self._held) if token in held), None)
