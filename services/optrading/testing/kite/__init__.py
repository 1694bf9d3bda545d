"""A broker to test against: speaks Kite Connect's REST and WebSocket, plays what it is given, and fails by command."""

from optrading.testing.kite.accounts import Account
from optrading.testing.kite.broker import KiteBroker
from optrading.testing.kite.faults import FaultKind, FaultRecord
from optrading.testing.kite.limits import Limits
from optrading.testing.kite.schedule import PlannedFault, plan_faults, play_faults
from optrading.testing.kite.tape import ChainTape, RecordedTape, SyntheticTape, Tape

__all__ = [
    "Account",
    "ChainTape",
    "FaultKind",
    "FaultRecord",
    "KiteBroker",
    "Limits",
    "PlannedFault",
    "RecordedTape",
    "SyntheticTape",
    "Tape",
    "plan_faults",
    "play_faults",
]
