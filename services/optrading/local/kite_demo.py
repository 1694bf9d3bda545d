"""A Kite-compatible broker beside a local mesh, and what its collector must know to be its client."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from optrading.collection.feeds.kite.session import KiteSession, SessionFileError, write_session
from optrading.local.options import MeshOptions
from optrading.local.process import Program
from optrading.local.settings import OptionError

_SESSION = timedelta(days=3650)
"""Nobody has to log in to a demonstration again."""
_LISTENS_S = 20.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class KiteDemo:
    """One broker; its credentials are made anew at each start and are of no use elsewhere.

    Attributes:
        options: What the mesh is to be.
        rest_address: host:port of the broker's REST.
        ticker_address: host:port of its WebSocket.
        api_key: Of the app that the collector passes for.
        api_secret: Of that app.
        indices: What a recording has; empty for all.
        access_token: Of the session that the collector finds.
    """

    options: MeshOptions
    rest_address: str
    ticker_address: str
    indices: tuple[str, ...] = ()
    api_key: str = field(default_factory=lambda: secrets.token_hex(8))
    api_secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    access_token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def home(self) -> Path:
        """Return the collector's home: not the mesh's, where a session of the user's own account may lie."""
        return self.options.home.absolute() / "kite-demo"

    def program(self, environment: Mapping[str, str], stage: int) -> Program:
        """Return the broker; credentials are in its environment, since others can read a process's arguments."""
        options = self.options
        command = [sys.executable, "-P", "-m", "optrading.testing.kite"]
        command += ["--port", self.rest_address.rpartition(":")[2]]
        command += ["--ticker-port", self.ticker_address.rpartition(":")[2]]
        if options.recording is not None:
            command += ["--recording", str(options.recording.absolute()), "--speed", options.speed]
            # Nobody misses the beginning; a broker that is started again goes on from where it would be by then.
            command += ["--wait", "--began-file", str(self.home / "kite" / "began")]
            if lot_size := environment.get("REPLAY_LOT_SIZE"):
                command += ["--lot-size", lot_size]
        credentials = {
            "KITE_API_KEY": self.api_key,
            "KITE_API_SECRET": self.api_secret,
            "KITE_ACCESS_TOKEN": self.access_token,
        }
        return Program("broker", command, {**environment, **credentials}, stage)

    def prepare(self) -> None:
        """Log the collector in, and forget what an earlier broker listed; blocks.

        Raises:
            OSError: The collector's home cannot be written.
        """
        folder = self.home / "kite"
        shutil.rmtree(folder, ignore_errors=True)
        now = datetime.now(UTC)
        token = SecretStr(self.access_token)
        session = KiteSession(self.api_key, token, "DM0001", "Demo User", now, now + _SESSION)
        try:
            write_session(folder, session)
        except SessionFileError as error:
            raise OSError(str(error)) from error

    async def wait_listening(self) -> None:
        """Return when the broker can be asked, or after some time anyway: then its log says why not."""
        host, _, port = self.rest_address.rpartition(":")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LISTENS_S):
                while True:
                    try:
                        _, writer = await asyncio.open_connection(host, int(port))
                    except OSError:
                        await asyncio.sleep(_LOOK_S)
                    else:
                        writer.close()
                        return

    def collector_environment(self) -> dict[str, str]:
        """Return the settings that make the collector a client of this broker."""
        played = {"KITE_INDICES": ",".join(self.indices)} if self.indices else {}
        return {
            **played,
            "FEED": "kite",
            "OPTRADING_HOME": str(self.home),
            "KITE_API_KEY": self.api_key,
            "KITE_API_SECRET": self.api_secret,
            "KITE_REST_URL": f"http://{self.rest_address}",
            "KITE_TICKER_URL": f"ws://{self.ticker_address}",
            "KITE_LOGIN_URL": f"http://{self.rest_address}/connect/login",
            "MARKET_HOURS": "recorded" if self.options.recording is not None else "always",
        }


def prepare_kite_demo(options: MeshOptions, rest_address: str, ticker_address: str) -> KiteDemo:
    """Return the broker of a mesh, whose collector is logged in to it; blocks.

    Raises:
        OptionError: The recording cannot be replayed.
        OSError: The home cannot be written.
    """
    indices: tuple[str, ...] = ()
    if options.recording is not None:
        # Not at the top: it brings Arrow along, which the others do without.
        from optrading.collection.feeds.base import FeedError  # noqa: PLC0415
        from optrading.collection.feeds.replay import open_recording  # noqa: PLC0415

        lot_size = options.settings().get("REPLAY_LOT_SIZE", "")
        try:
            indices = open_recording(options.recording, lot_size=int(lot_size) if lot_size else None).indices
        except FeedError as error:
            raise OptionError(str(error)) from error
    demo = KiteDemo(options, rest_address, ticker_address, indices)
    demo.prepare()
    return demo
