"""The broker's one account: its API key and secret, request tokens, and the sessions that are valid."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from optrading.market.clock import IST


class Refused(Exception):
    """The broker says no; `kind` and `status` are those of Kite's errors."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        """Refuse with an HTTP status, the name of Kite's exception, and a text for people."""
        super().__init__(message)
        self.status = status
        self.kind = kind


def token_refused(message: str = "Incorrect `api_key` or `access_token`.") -> Refused:
    """Return the refusal of a session."""
    return Refused(403, "TokenException", message)


class Account:
    """One user with one app. Tokens are random unless given; a request token is good once.

    Attributes:
        api_key: Of the app.
        api_secret: Of the app.
        redirect_url: Where the login page sends the browser; empty shows the request token instead.
    """

    def __init__(
        self, api_key: str = "", api_secret: str = "", *, access_token: str = "", redirect_url: str = ""
    ) -> None:
        """Make the account; what is empty is made up.

        Args:
            api_key: Of the app.
            api_secret: Of the app.
            access_token: Of a session that is valid already; empty has none.
            redirect_url: What the app is registered with.
        """
        self.api_key = api_key or secrets.token_hex(8)
        self.api_secret = api_secret or secrets.token_hex(16)
        self.redirect_url = redirect_url
        self._request_tokens: set[str] = set()
        self._access_tokens: set[str] = {access_token} if access_token else set()

    def new_request_token(self) -> str:
        """Return a request token, as a login gives it."""
        token = secrets.token_hex(16)
        self._request_tokens.add(token)
        return token

    def new_access_token(self) -> str:
        """Return the access token of a new session, without a login."""
        token = secrets.token_hex(16)
        self._access_tokens.add(token)
        return token

    def exchange(self, api_key: str, request_token: str, checksum: str) -> str:
        """Return an access token for a request token.

        Raises:
            Refused: The key, the token or the checksum is wrong.
        """
        wanted = hashlib.sha256((self.api_key + request_token + self.api_secret).encode()).hexdigest()
        if api_key != self.api_key:
            raise token_refused("Invalid `api_key`.")
        if request_token not in self._request_tokens:
            raise token_refused("Token is invalid or has expired.")
        if not secrets.compare_digest(checksum.encode(), wanted.encode()):
            raise token_refused("Invalid `checksum`.")
        self._request_tokens.discard(request_token)
        return self.new_access_token()

    def admits(self, api_key: str, access_token: str) -> bool:
        """Tell whether this is a valid session."""
        return api_key == self.api_key and access_token in self._access_tokens

    def end(self, access_token: str) -> None:
        """End a session."""
        self._access_tokens.discard(access_token)

    def end_all(self) -> None:
        """End every session, as the broker does at 6 in the morning, or when the user logs in elsewhere."""
        self._access_tokens.clear()

    def profile(self) -> dict[str, object]:
        """Return the user's profile."""
        return {
            "user_id": "DM0001",
            "user_type": "individual",
            "email": "demo@example.com",
            "user_name": "Demo User",
            "user_shortname": "Demo",
            "broker": "OPTRADING",
            "exchanges": ["NSE", "NFO", "BSE", "BFO"],
            "products": ["CNC", "NRML", "MIS"],
            "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
            "avatar_url": None,
            "meta": {"demat_consent": "physical"},
        }

    def session(self, access_token: str, now: datetime) -> dict[str, object]:
        """Return what the exchange of a request token answers."""
        return {
            **self.profile(),
            "api_key": self.api_key,
            "access_token": access_token,
            "public_token": secrets.token_hex(16),
            "enctoken": "",
            "refresh_token": "",
            "silo": "",
            "login_time": f"{now.astimezone(IST):%Y-%m-%d %H:%M:%S}",
        }
