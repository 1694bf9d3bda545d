"""Plays a recorded day: a table as Parquet or CSV, or NSE's option-chain JSON."""

from optrading.collection.feeds.replay.feed import ReplayFeed
from optrading.collection.feeds.replay.opening import open_recording
from optrading.collection.feeds.replay.pace import parse_speed
from optrading.collection.feeds.replay.recording import Recording

__all__ = ["Recording", "ReplayFeed", "open_recording", "parse_speed"]
