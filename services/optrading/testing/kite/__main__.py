"""Runs the broker as a process: `python -m optrading.testing.kite --recording day.parquet --speed 60 --port 9900`.

Credentials come from the environment (`KITE_API_KEY`, `KITE_API_SECRET`, `KITE_ACCESS_TOKEN`): other users can read the
arguments of a process. What is not given is made up and printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay import open_recording, parse_speed
from optrading.common.clock import SystemClock
from optrading.market.indices import INDICES
from optrading.testing.kite.accounts import Account
from optrading.testing.kite.broker import KiteBroker
from optrading.testing.kite.tape import RecordedTape, SyntheticTape, Tape, number_at


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a broker until SIGTERM or Ctrl-C."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        speed = parse_speed(chosen.speed)
        tape = _tape(chosen)
    except (FeedError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    if chosen.recording is None and speed != 1.0:
        parser.exit(2, "--speed is for --recording: the synthetic market is played live\n")
    account = Account(
        os.environ.get("KITE_API_KEY", ""),
        os.environ.get("KITE_API_SECRET", ""),
        access_token=os.environ.get("KITE_ACCESS_TOKEN", ""),
        redirect_url=chosen.redirect_url,
    )
    asyncio.run(_run(chosen, tape, speed, account))


async def _run(chosen: argparse.Namespace, tape: Tape, speed: float | None, account: Account) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = KiteBroker(
        tape,
        account=account,
        dump=chosen.instruments,
        rest_port=chosen.port,
        ticker_port=chosen.ticker_port,
        heartbeat_s=chosen.heartbeat,
    )
    broker.start_at(_first(tape, speed, chosen.began_file))
    async with broker:
        print(_announcement(broker, os.environ), flush=True)
        playing = None if chosen.paused else asyncio.create_task(_play(broker, speed, chosen), name="play")
        waiting = asyncio.create_task(stop.wait())
        # A tape that has ended is served on; a player that fails ends the process.
        tasks = {waiting} | ({playing} if playing else set())
        while not waiting.done():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        if playing:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing


async def _play(broker: KiteBroker, speed: float | None, chosen: argparse.Namespace) -> None:
    if chosen.wait:
        await broker.until_clients(lambda broker: bool(broker.subscribed_tokens))
    if chosen.began_file is not None and not chosen.began_file.exists():
        chosen.began_file.write_text(repr(datetime.now(UTC).timestamp()))
    await broker.play(speed)


def _first(tape: Tape, speed: float | None, began_file: Path | None) -> int:
    """Return where to begin: at the first instant, or where a broker before this one would be by now."""
    if began_file is None or not began_file.exists() or speed is None:
        return 0
    passed = datetime.now(UTC) - datetime.fromtimestamp(float(began_file.read_text()), UTC)
    return number_at(tape, tape.instant(0) + max(passed, timedelta(0)) * speed)


def _tape(chosen: argparse.Namespace) -> Tape:
    if chosen.recording is not None:
        return RecordedTape(open_recording(chosen.recording, lot_size=chosen.lot_size))
    # From the next second on: an instant is shown when it comes.
    return SyntheticTape(start=SystemClock().now() + timedelta(seconds=1), indices=chosen.index, seed=chosen.seed)


def _announcement(broker: KiteBroker, environment: Mapping[str, str]) -> str:
    lines = [f"KITE_REST_URL={broker.rest_url}", f"KITE_TICKER_URL={broker.ticker_url}"]
    lines.append(f"KITE_LOGIN_URL={broker.login_url}")
    if not environment.get("KITE_API_KEY"):
        lines.append(f"KITE_API_KEY={broker.account.api_key}")
    if not environment.get("KITE_API_SECRET"):
        lines.append(f"KITE_API_SECRET={broker.account.api_secret}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m optrading.testing.kite", description=__doc__)
    parser.add_argument("--recording", type=Path, help="recorded day; the synthetic market, live, unless given")
    parser.add_argument("--lot-size", type=int, help="units in one contract of the recording")
    parser.add_argument("--instruments", type=Path, help="a dump of the real broker as CSV, whose tokens are used")
    parser.add_argument("--speed", default="1", help="1 to 1000 times as recorded, or max (default 1)")
    parser.add_argument("--paused", action="store_true", help="move by POST /broker/advance only")
    parser.add_argument("--wait", action="store_true", help="begin to play when somebody has subscribed")
    parser.add_argument("--began-file", type=Path, help="keeps when playing began: started again, it goes on")
    parser.add_argument("--index", nargs="+", choices=tuple(INDICES), default=list(INDICES), metavar="INDEX")
    parser.add_argument("--seed", type=int, default=1, help="of the synthetic market (default 1)")
    parser.add_argument("--port", type=int, default=0, help="of REST (default a free one)")
    parser.add_argument("--ticker-port", type=int, default=0, help="of the WebSocket (default a free one)")
    parser.add_argument("--heartbeat", type=float, default=1.0, help="seconds between two heartbeats (default 1)")
    parser.add_argument("--redirect-url", default="", help="where the login page sends the browser")
    return parser


if __name__ == "__main__":
    main()
