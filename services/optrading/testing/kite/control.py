"""Commands to a broker in another process, over HTTP below `/broker/`: its state, its faults, its place on the tape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from optrading.testing.kite.accounts import Refused
from optrading.testing.kite.faults import FaultKind, FaultRecord
from optrading.testing.kite.http_server import Answer, Request

if TYPE_CHECKING:
    from optrading.testing.kite.broker import KiteBroker


class Control:
    """Answers `GET /broker/state`, `GET /broker/faults`, `POST /broker/faults/<kind>`, `POST /broker/mend|advance`."""

    def __init__(self, broker: KiteBroker) -> None:
        """Command `broker`."""
        self._broker = broker

    async def answer(self, request: Request) -> Answer:
        """Do what `request` says and return the state, or what was done.

        Raises:
            Refused: There is no such command, or a parameter cannot be read.
        """
        command = request.path.removeprefix("/broker/")
        try:
            return await self._do(f"{request.method} {command}", request)
        except (ValueError, IndexError, KeyError) as error:
            raise Refused(400, "InputException", f"{command}: {error}") from None

    async def _do(self, command: str, request: Request) -> Answer:
        broker = self._broker
        if command == "GET state":
            return self._state()
        if command == "GET faults":
            return _json([record.as_json() for record in broker.faults.records])
        if command == "POST mend":
            broker.faults.mend()
            return self._state()
        if command == "POST advance":
            await broker.advance_to(int(request.value("to", str(broker.position + 1))))
            return self._state()
        if command.startswith("POST faults/"):
            record = self._inject(FaultKind(command.removeprefix("POST faults/")), request)
            return _json(record.as_json())
        raise Refused(404, "GeneralException", "no such command; state, faults, faults/<kind>, mend, advance")

    def _state(self) -> Answer:
        broker = self._broker
        return _json(
            {
                "position": broker.position,
                "instant": broker.instant.isoformat(),
                "ended": broker.ended,
                "connections": len(broker.ticker.connections),
                "tokens": len(broker.subscribed_tokens),
                "refused_handshakes": broker.ticker.refused,
            }
        )

    def _inject(self, kind: FaultKind, request: Request) -> FaultRecord:
        faults, value = self._broker.faults, request.value
        number = value("connection")
        connection = int(number) if number else None
        actions: dict[FaultKind, Callable[[], FaultRecord]] = {
            FaultKind.DROP: lambda: faults.drop(connection, orderly=value("orderly") == "1"),
            FaultKind.HALF_OPEN: lambda: faults.half_open(connection),
            FaultKind.STALE: lambda: faults.stale([int(t) for t in value("tokens").split(",") if t] or None),
            FaultKind.REVOKE: faults.revoke,
            FaultKind.GARBAGE: lambda: faults.garbage(connection, seed=int(value("seed", "0"))),
            FaultKind.DUPLICATE: lambda: faults.duplicate(connection),
            FaultKind.REORDER: lambda: faults.reorder(connection),
            FaultKind.SLOW: lambda: faults.slow(float(value("delay_s", "0.5")), connection),
            FaultKind.INSTRUMENTS: lambda: self._change_instruments(request),
        }
        return actions[kind]()

    def _change_instruments(self, request: Request) -> FaultRecord:
        lot_size = request.value("lot_size")
        return self._broker.faults.change_instruments(
            self._index(request),
            strikes=int(request.value("strikes", "0" if lot_size else "1")),
            lot_size=int(lot_size) if lot_size else None,
        )

    def _index(self, request: Request) -> str:
        index = request.value("index", self._broker.indices[0])
        if index not in self._broker.indices:
            raise ValueError(f"{index} is not played; {', '.join(self._broker.indices)}")
        return index


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode())
