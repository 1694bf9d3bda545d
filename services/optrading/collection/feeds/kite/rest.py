"""The broker's REST: login, instruments, history. Blocking, for a thread; every failure is one line."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from pydantic import SecretStr

from optrading.collection.feeds.base import FeedError
from optrading.market.clock import IST

P = ParamSpec("P")
T = TypeVar("T")

_CALL_S = 15
"""The list of instruments is some megabytes."""


class BrokerError(FeedError):
    """The broker cannot be asked, or does not answer as it should."""


class SessionRefusedError(BrokerError):
    """The broker does not take the session: somebody must log in."""


@dataclass(frozen=True, slots=True)
class Login:
    """What the broker gives for a request token.

    Attributes:
        access_token: What every request carries.
        user_id: Its user.
        user_name: Name of the user.
        login_time: When the user logged in, UTC.
    """

    access_token: SecretStr
    user_id: str
    user_name: str
    login_time: datetime


@dataclass(frozen=True, slots=True)
class Candle:
    """One minute of one contract.

    Attributes:
        begins: Its first instant, UTC.
        close_inr: Last price in it, rupees.
        open_interest_units: At its end; NaN when the broker does not say.
    """

    begins: datetime
    close_inr: float
    open_interest_units: float


def _one_line(call: Callable[P, T]) -> Callable[P, T]:
    """Turn what the broker's client raises into our errors, without its traceback or its text over several lines."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        kiteconnect = _kiteconnect()
        from requests import RequestException  # noqa: PLC0415  # it comes with kiteconnect

        try:
            return call(*args, **kwargs)
        except (kiteconnect.exceptions.TokenException, kiteconnect.exceptions.PermissionException) as error:
            raise SessionRefusedError(f"Kite refuses the session: {_text(error)}") from None
        except kiteconnect.exceptions.KiteException as error:
            raise BrokerError(f"Kite answers: {_text(error)}") from None
        except RequestException as error:
            raise BrokerError(f"Kite cannot be reached ({type(error).__name__})") from None
        except (KeyError, TypeError, ValueError) as error:
            raise BrokerError(f"Kite's answer has another shape ({type(error).__name__}: {_text(error)})") from None

    return wrapped


class KiteRest:
    """Asks the broker for one app, and one session once there is one."""

    def __init__(self, url: str, api_key: str, access_token: SecretStr | None = None) -> None:
        """Speak to the broker at `url`."""
        token = access_token.get_secret_value() if access_token is not None else None
        self._client: Any = _kiteconnect().KiteConnect(api_key, access_token=token, root=url, timeout=_CALL_S)

    @_one_line
    def exchange(self, request_token: str, api_secret: SecretStr) -> Login:
        """Return the session that a login's request token is good for.

        Raises:
            BrokerError: The token is used up or too old, the secret is wrong, or the broker cannot be reached.
        """
        answer = self._client.generate_session(request_token, api_secret=api_secret.get_secret_value())
        told = answer.get("login_time")
        login_time = told.replace(tzinfo=IST).astimezone(UTC) if isinstance(told, datetime) else datetime.now(UTC)
        return Login(
            SecretStr(answer["access_token"]), str(answer["user_id"]), str(answer.get("user_name", "")), login_time
        )

    @_one_line
    def invalidate(self) -> None:
        """End the session at the broker.

        Raises:
            BrokerError: It cannot be told.
        """
        self._client.invalidate_access_token()

    @_one_line
    def user_name(self) -> str:
        """Return whose session it is, as the broker has it now.

        Raises:
            SessionRefusedError: The session is over.
            BrokerError: The broker cannot be asked.
        """
        return str(self._client.profile()["user_name"])

    @_one_line
    def instruments(self, exchange: str) -> list[dict[str, Any]]:
        """Return the contracts that `exchange` (such as `NFO`) lists today, as the broker's client reads them.

        Raises:
            BrokerError: The broker cannot be asked.
        """
        listed: list[dict[str, Any]] = self._client.instruments(exchange)
        return listed

    @_one_line
    def candles(self, token: int, since: datetime, until: datetime) -> list[Candle]:
        """Return the minutes of a contract that begin in [since, until].

        Raises:
            BrokerError: The broker cannot be asked.
        """
        # Times are those of India and carry no zone.
        first, last = (instant.astimezone(IST).replace(tzinfo=None) for instant in (since, until))
        rows = self._client.historical_data(token, first, last, "minute", oi=True)
        return [
            Candle(row["date"].astimezone(UTC), float(row["close"]), float(row.get("oi", float("nan")))) for row in rows
        ]


def login_url(page: str, api_key: str) -> str:
    """Return the address on which a user logs in for an app."""
    from urllib.parse import urlencode  # noqa: PLC0415  # needed by the command only

    return f"{page}?{urlencode({'v': 3, 'api_key': api_key})}"


def _kiteconnect() -> Any:
    # Not at the top: it brings Twisted along, which takes half a second, and only this feed needs it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies announce their plans; their versions are pinned
        import kiteconnect  # noqa: PLC0415
        import kiteconnect.exceptions  # noqa: PLC0415
    return kiteconnect


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
