"""What a local mesh is to be, and whether it can be: checked before anything is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optrading.common.state import is_owned
from optrading.local.ports import HOST, PortError, is_free
from optrading.local.settings import OptionError, read_local_settings

DEFAULT_HTTP_PORT = 8000
FEEDS = ("synthetic", "replay", "kite", "kite-demo")
KITE_DEMO = "kite-demo"
"""The Kite feed, with a broker of our own beside it."""


@dataclass(frozen=True, slots=True)
class MeshOptions:
    """One mesh on this machine.

    Attributes:
        home: Folder of everything that is kept.
        feed: One of `FEEDS`.
        recording: The recorded day; for `replay`, and for `kite-demo`, which is live without one.
        speed: `max`, or how many times faster than recorded.
        replay_end: `pause` or `loop`.
        http_host: Address that the gateway listens on.
        http_port: Port of the gateway; 0 takes a free one.
        environment: Settings of the services, over those of this process's own environment.
    """

    home: Path
    feed: str = "synthetic"
    recording: Path | None = None
    speed: str = "1"
    replay_end: str = "pause"
    http_host: str = HOST
    http_port: int = DEFAULT_HTTP_PORT
    environment: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """Return the environment that the mesh's processes begin with."""
        return {**os.environ, **self.environment}


def check_options(options: MeshOptions) -> None:
    """Refuse what cannot run. Reads the whole recording, writes nothing.

    Raises:
        OptionError: A value is wrong, the recording cannot be replayed, the port is taken, or the home not writable.
    """
    settings = read_local_settings(options.settings())
    check_feed(options)
    if settings.collectors > 1 and options.feed == "replay":
        raise OptionError(f"COLLECTORS={settings.collectors}: a recording is played by one collector; set it to 1")
    check_home(options.home)
    check_owner(options.home)  # before the port: a second start in a home would find the first one's port taken
    check_port(options)


def check_feed(options: MeshOptions) -> None:
    """Refuse a feed, recording or speed that cannot be.

    Raises:
        OptionError: FEED, RECORDING, SPEED or REPLAY_END is wrong.
    """
    # Not at the top: reading recordings brings Arrow along, which a start with the synthetic feed does without.
    if options.feed not in FEEDS:
        raise OptionError(f"FEED={options.feed}: no such feed; allowed: {', '.join(FEEDS)}")
    if options.replay_end not in ("pause", "loop"):
        raise OptionError(f"REPLAY_END={options.replay_end}: allowed: pause, loop")
    if options.feed == KITE_DEMO and options.replay_end == "loop":
        raise OptionError("REPLAY_END=loop is for FEED=replay: at a broker time does not go back")
    if options.feed == KITE_DEMO and options.speed == "max":
        raise OptionError("SPEED=max is for FEED=replay: a broker does not wait for its clients; allowed: 1 to 1000")
    if options.recording is None:
        if options.feed == "replay":
            raise OptionError("FEED=replay needs RECORDING=<file>: Parquet, CSV or NSE's option-chain JSON")
        return
    if options.feed not in ("replay", KITE_DEMO):
        raise OptionError(f"RECORDING={options.recording} is for FEED=replay or FEED=kite-demo; FEED is {options.feed}")
    from optrading.collection.feeds.base import FeedError  # noqa: PLC0415
    from optrading.collection.feeds.replay import open_recording, parse_speed  # noqa: PLC0415

    lot_size = options.settings().get("REPLAY_LOT_SIZE", "")
    try:
        parse_speed(options.speed)
        open_recording(options.recording, lot_size=int(lot_size) if lot_size else None)
    except FeedError as error:
        raise OptionError(str(error)) from error
    except ValueError as error:
        raise OptionError(f"SPEED={options.speed}: {error}") from error


def check_port(options: MeshOptions) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        OptionError: OPTRADING_HTTP_PORT is out of range, taken, or not ours.
    """
    port = options.http_port
    if not 0 <= port <= 65535:
        raise OptionError(f"OPTRADING_HTTP_PORT={port}: a port is a number from 1 to 65535")
    try:
        free = is_free(port, options.http_host)
    except PortError as error:
        raise OptionError(f"{error}; set OPTRADING_HTTP_PORT") from error
    if not free:
        raise OptionError(f"port {port} is in use; set OPTRADING_HTTP_PORT")


def check_home(home: Path) -> None:
    """Refuse a home that cannot be written to.

    Raises:
        OptionError: It, or the folder it would be made in, is not writable.
    """
    existing = home
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise OptionError(f"{home} cannot be the home: {existing} is no folder; set OPTRADING_HOME")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OptionError(f"{home} cannot be written: no permission in {existing}; set OPTRADING_HOME")


def check_owner(home: Path) -> None:
    """Refuse a home in which a mesh runs.

    Raises:
        OptionError: Another process owns it.
    """
    if is_owned(home):
        raise OptionError(f"{home} belongs to another running process; stop that, or set OPTRADING_HOME")
