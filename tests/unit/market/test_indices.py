from __future__ import annotations

from datetime import date, timedelta

import pytest

from optrading.market.indices import INDICES, find_index, lot_size


@pytest.mark.parametrize(
    ("name", "symbol"), [("NIFTY", "NIFTY"), (" nifty 50 ", "NIFTY"), ("Nifty Bank", "BANKNIFTY"), ("bankex", "BANKEX")]
)
def test_an_index_is_found_by_the_names_sources_give_it(name: str, symbol: str) -> None:
    found = find_index(name)
    assert found is not None
    assert found.symbol == symbol


@pytest.mark.parametrize("name", ["", "NIFTYX", "RELIANCE"])
def test_another_name_is_none_of_them(name: str) -> None:
    assert find_index(name) is None


@pytest.mark.parametrize("index", INDICES.values(), ids=lambda index: index.symbol)
def test_a_lot_size_holds_from_its_first_day_until_the_next(index) -> None:
    assert lot_size(index.symbol, index.lot_sizes[0][0] - timedelta(days=1)) == 0
    for (since, units), (until, _) in zip(index.lot_sizes, [*index.lot_sizes[1:], (date(2030, 1, 1), 0)], strict=True):
        assert lot_size(index.symbol, since) == lot_size(index.symbol, until - timedelta(days=1)) == units


def test_an_unknown_index_has_no_lot_size() -> None:
    assert lot_size("RELIANCE", date(2026, 8, 18)) == 0
