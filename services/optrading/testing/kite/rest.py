"""The broker's REST: sessions, instruments, quotes, candles, with the answers and errors of Kite Connect's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from optrading.common.clock import Clock
from optrading.market.clock import IST, trading_date
from optrading.testing.kite.accounts import Account, Refused, token_refused
from optrading.testing.kite.candles import CandleMaker
from optrading.testing.kite.http_server import Answer, Request
from optrading.testing.kite.instrument_table import InstrumentTable
from optrading.testing.kite.limits import Limits, Throttle
from optrading.testing.kite.market import Market
from optrading.testing.kite.quotes import last_price, open_high_low_close, quote

_EXCHANGES = ("", "NSE", "NFO", "BSE", "BFO")
_QUOTES = {"/quote": quote, "/quote/ohlc": open_high_low_close, "/quote/ltp": last_price}
_CANDLES = "/instruments/historical/"
Control = Callable[[Request], Awaitable[Answer]]


class RestApi:
    """Answers requests; everything but the session itself and the login page needs a valid session."""

    def __init__(
        self,
        account: Account,
        instruments: InstrumentTable,
        market: Market,
        candles: CandleMaker,
        clock: Clock,
        limits: Limits,
        control: Control,
    ) -> None:
        """Serve `account` what `market` says.

        Args:
            account: Who may ask.
            instruments: What there is.
            market: What it is worth.
            candles: What it was worth.
            clock: For login times.
            limits: What is allowed.
            control: Answers what is below `/broker/`, which is ours and not Kite's.
        """
        self._account = account
        self._instruments = instruments
        self._market = market
        self._candles = candles
        self._clock = clock
        self._limits = limits
        self._control = control
        self._throttles = {
            "quotes": Throttle(limits.quotes_per_s),
            "candles": Throttle(limits.candles_per_s),
            "others": Throttle(limits.others_per_s),
        }

    async def answer(self, request: Request) -> Answer:
        """Return the answer to `request`, whatever it is."""
        try:
            if request.path.startswith("/broker/"):
                return await self._control(request)
            if request.path == "/connect/login":
                return self._login(request)
            if request.path == "/session/token" and request.method == "POST":
                return self._open_session(request)
            access_token = self._admitted(request)
            return self._route(request, access_token)
        except Refused as refusal:
            body = {"status": "error", "message": str(refusal), "data": None, "error_type": refusal.kind}
            return Answer(refusal.status, json.dumps(body).encode())

    def _route(self, request: Request, access_token: str) -> Answer:
        method, path = request.method, request.path
        kind = "quotes" if path in _QUOTES else "candles" if path.startswith(_CANDLES) else "others"
        self._throttles[kind].admit(asyncio.get_running_loop().time())
        if (method, path) == ("DELETE", "/session/token"):
            self._account.end(request.value("access_token", access_token))
            return _success(True)
        if method != "GET":
            raise Refused(405, "GeneralException", "Invalid HTTP method for the given route.")
        if path == "/user/profile":
            return _success(self._account.profile())
        if path in _QUOTES:
            return self._quotes(request)
        if path.startswith(_CANDLES):
            return self._history(request)
        exchange = path.removeprefix("/instruments").removeprefix("/")
        if path.startswith("/instruments") and exchange in _EXCHANGES:
            return Answer(200, self._instruments.dump(exchange, trading_date(self._now())), "text/csv")
        raise Refused(404, "GeneralException", "Route not found")

    def _login(self, request: Request) -> Answer:
        if request.value("api_key") != self._account.api_key:
            raise Refused(400, "InputException", "Invalid `api_key`.")
        token = self._account.new_request_token()
        target = self._account.redirect_url
        if not target:
            return Answer(200, f"<p>request_token={token}</p>\n".encode(), "text/html")
        query = urlencode({"action": "login", "type": "login", "status": "success", "request_token": token})
        return Answer(302, headers={"Location": f"{target}{'&' if '?' in target else '?'}{query}"})

    def _open_session(self, request: Request) -> Answer:
        values = (request.value(name) for name in ("api_key", "request_token", "checksum"))
        token = self._account.exchange(*values)
        return _success(self._account.session(token, self._clock.now()))

    def _admitted(self, request: Request) -> str:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        api_key, _, access_token = credentials.partition(":")
        if scheme != "token" or not self._account.admits(api_key, access_token):
            raise token_refused()
        return access_token

    def _quotes(self, request: Request) -> Answer:
        names = request.query.get("i", [])
        if len(names) > self._limits.quoted_instruments:
            raise Refused(400, "InputException", f"At most {self._limits.quoted_instruments} instruments.")
        found: dict[str, Mapping[str, object]] = {}
        for name in names:
            exchange, _, symbol = name.partition(":")
            row = self._instruments.row_of_symbol(exchange, symbol)
            if row is not None:  # what does not exist is left out, as the real broker does
                found[name] = _QUOTES[request.path](self._market, row)
        return _success(found)

    def _history(self, request: Request) -> Answer:
        token, _, interval = request.path.removeprefix(_CANDLES).partition("/")
        row = self._instruments.row_of_token(int(token)) if token.isdecimal() else None
        if row is None:
            raise Refused(400, "InputException", "invalid token")
        if interval != "minute":
            raise Refused(400, "InputException", "invalid interval; this broker has minute")
        try:
            since, until = (_instant(request.value(name)) for name in ("from", "to"))
        except ValueError:
            raise Refused(400, "InputException", "invalid from or to; yyyy-mm-dd hh:mm:ss") from None
        if until < since or until - since > timedelta(days=self._limits.candle_days):
            raise Refused(400, "InputException", f"interval exceeds max limit: {self._limits.candle_days} days")
        candles = self._candles.candles(self._instruments[row], since, until, self._now())
        with_interest = request.value("oi") == "1"
        return _success({"candles": [candle.row(with_interest=with_interest) for candle in candles]})

    def _now(self) -> datetime:
        return self._market.now or self._clock.now()


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=IST)


def _success(data: object) -> Answer:
    return Answer(200, json.dumps({"status": "success", "data": data}).encode())
