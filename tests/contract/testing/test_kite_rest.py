"""The broker's REST, asked by Kite's own client."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from datetime import date, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from kiteconnect.exceptions import GeneralException, InputException, NetworkException, TokenException

from optrading.market.clock import IST
from optrading.testing.kite import ChainTape, KiteBroker
from tests.chains import THIS_WEEK, small_chain
from tests.contract.testing.conftest import Played

CALL = "NIFTY2681824950CE"


async def asked(call, *arguments, **named):
    """Call Kite's client, which blocks, in a thread."""
    return await asyncio.to_thread(call, *arguments, **named)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


async def login_redirect(played: Played, api_key: str) -> str:
    url = f"{played.broker.login_url}?v=3&api_key={api_key}"
    with pytest.raises(urllib.error.HTTPError) as redirect:
        await asked(urllib.request.build_opener(_Stay).open, url)
    with redirect.value as answer:
        return answer.headers.get("Location", "")


async def test_a_login_gives_a_session_that_works_until_it_is_ended(played: Played) -> None:
    target = urlsplit(await login_redirect(played, played.broker.account.api_key))
    assert f"{target.scheme}://{target.netloc}{target.path}" == "http://127.0.0.1:1/callback"
    (request_token,) = parse_qs(target.query)["request_token"]
    kite = played.client("")
    session = await asked(kite.generate_session, request_token, played.broker.account.api_secret)
    assert session["access_token"] == kite.access_token
    assert isinstance(session["login_time"], datetime)
    assert (await asked(kite.profile))["user_id"] == session["user_id"]
    assert await asked(kite.invalidate_access_token) is True
    with pytest.raises(TokenException):
        await asked(kite.profile)


async def test_a_request_token_is_good_once_and_only_with_the_secret(played: Played) -> None:
    account, kite = played.broker.account, played.client("")
    token = account.new_request_token()
    with pytest.raises(TokenException, match="checksum"):
        await asked(kite.generate_session, token, "wrong")
    await asked(kite.generate_session, token, account.api_secret)
    with pytest.raises(TokenException, match="expired"):
        await asked(kite.generate_session, token, account.api_secret)


async def test_the_login_page_of_another_app_is_refused(played: Played) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asked(urllib.request.urlopen, f"{played.broker.login_url}?api_key=other")
    with refused.value as answer:
        assert answer.code == 400


async def test_without_a_valid_session_everything_is_refused(played: Played) -> None:
    for token in ("", "wrong"):
        kite = played.client(token)
        for call in (kite.profile, kite.instruments, lambda kite=kite: kite.quote("NSE:NIFTY 50")):
            with pytest.raises(TokenException, match="Incorrect `api_key` or `access_token`"):
                await asked(call)


async def test_the_dump_lists_what_is_played(played: Played) -> None:
    rows = await asked(played.client().instruments, "NFO")
    options = [row for row in rows if row["instrument_type"] in ("CE", "PE")]
    assert {(row["expiry"], row["strike"]) for row in options} == {
        (expiry.expiry, strike) for expiry in played.chains[0].expiries for strike in expiry.strike_inr.tolist()
    }
    assert {(row["name"], row["lot_size"], row["exchange"], row["segment"]) for row in options} == {
        ("NIFTY", 65, "NFO", "NFO-OPT")
    }
    assert [row["tradingsymbol"] for row in await asked(played.client().instruments, "NSE")] == ["NIFTY 50"]
    assert len(await asked(played.client().instruments)) == len(rows) + 1


async def test_quotes_are_those_of_the_instant(played: Played) -> None:
    kite = played.client()
    await played.broker.advance_to(2)
    legs, spot_inr = played.chains[2].expiries[0].call, played.chains[2].spot_inr
    quotes = await asked(kite.quote, [f"NFO:{CALL}", "NSE:NIFTY 50", "NFO:NOBODY"])
    assert set(quotes) == {f"NFO:{CALL}", "NSE:NIFTY 50"}
    quote = quotes[f"NFO:{CALL}"]
    assert (quote["last_price"], quote["volume"], quote["oi"]) == (
        pytest.approx(legs.last_inr[1], abs=0.005),
        legs.volume_units[1],
        legs.open_interest_units[1],
    )
    assert quote["timestamp"] == datetime(2026, 8, 18, 9, 17)
    assert quote["depth"]["buy"][0]["price"] == pytest.approx(legs.bid_inr[1], abs=0.005)
    assert quote["depth"]["sell"][1] == {"price": 0, "quantity": 0, "orders": 0}
    assert (await asked(kite.ltp, "NSE:NIFTY 50"))["NSE:NIFTY 50"]["last_price"] == pytest.approx(spot_inr, abs=0.005)
    assert set((await asked(kite.ohlc, "NSE:NIFTY 50"))["NSE:NIFTY 50"]["ohlc"]) == {"open", "high", "low", "close"}


async def test_candles_come_minute_by_minute_up_to_now(played: Played) -> None:
    kite = played.client()
    token = (await asked(kite.ltp, f"NFO:{CALL}"))[f"NFO:{CALL}"]["instrument_token"]
    await played.broker.advance_to(3)
    since, until = datetime(2026, 8, 18, 9, 16), datetime(2026, 8, 18, 9, 30)
    candles = await asked(kite.historical_data, token, since, until, "minute", oi=True)
    assert [candle["date"] for candle in candles] == [
        datetime(2026, 8, 18, 9, minute, tzinfo=IST) for minute in (16, 17, 18)
    ]
    legs = played.chains[1].expiries[0].call
    assert candles[0]["close"] == pytest.approx(legs.last_inr[1], abs=0.005)
    assert candles[0]["oi"] == legs.open_interest_units[1]
    assert "oi" not in (await asked(kite.historical_data, token, since, until, "minute"))[0]


@pytest.mark.parametrize(
    ("token", "since", "until", "interval", "message"),
    [
        (1, "2026-08-18 09:15:00", "2026-08-18 09:20:00", "minute", "invalid token"),
        (256265, "2026-08-18 09:15:00", "2026-08-18 09:20:00", "day", "invalid interval"),
        (256265, "18 August", "2026-08-18 09:20:00", "minute", "invalid from or to"),
        (256265, "2026-05-18 09:15:00", "2026-08-18 09:20:00", "minute", "60 days"),
    ],
)
async def test_a_question_about_candles_that_makes_no_sense_is_refused(
    played: Played, token: int, since: str, until: str, interval: str, message: str
) -> None:
    with pytest.raises(InputException, match=message):
        await asked(played.client().historical_data, token, since, until, interval)


async def test_what_the_broker_does_not_have_is_said(played: Played) -> None:
    with pytest.raises(GeneralException, match="Route not found"):
        await asked(played.client().orders)


async def test_too_many_requests_are_refused() -> None:
    # The real limits: of four questions for candles within a second one is too many.
    async with KiteBroker(ChainTape([small_chain()])) as broker:
        kite = Played(broker, []).client()
        day = date(2026, 8, 18)
        asking = [asked(kite.historical_data, 256265, day, day, "minute") for _ in range(4)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(answer, NetworkException) for answer in answers) == 1


async def test_a_dump_that_changes_shows_at_the_next_question(played: Played) -> None:
    kite = played.client()
    before = {row["instrument_token"] for row in await asked(kite.instruments, "NFO")}
    record = played.broker.faults.change_instruments("NIFTY", strikes=1, lot_size=50)
    after = await asked(kite.instruments, "NFO")
    assert {row["instrument_token"] for row in after} - before == set(record.details["tokens"])
    assert {row["lot_size"] for row in after if row["expiry"] == THIS_WEEK} == {50}
