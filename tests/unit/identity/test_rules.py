from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.common.access import SCOPES
from optrading.common.errors import InvalidArgument
from optrading.identity.rules import (
    check_password,
    check_permissions,
    check_username,
    is_username,
    normal_password,
)

LETTERS = set(string.ascii_lowercase)
OTHERS = LETTERS | set(string.digits) | set("._-")


def allowed(name: str) -> bool:
    return 1 <= len(name) <= 64 and name[0] in LETTERS and set(name) <= OTHERS


@given(st.text(max_size=70) | st.text("abz09._-AZ\n é", max_size=70) | st.text("az09._-", min_size=60, max_size=70))
def test_a_user_name_is_allowed_exactly_as_the_contract_says(name: str) -> None:
    assert is_username(name) == allowed(name)


@pytest.mark.parametrize("name", ["", "Asha", "1asha", "asha\n", "a" * 65, "a b", "ashá", "a\x00"])
def test_a_refused_user_name_is_told_what_is_allowed(name: str) -> None:
    with pytest.raises(InvalidArgument, match="begins with a letter") as refused:
        check_username(name)
    assert (refused.value.reason, refused.value.field) == ("INVALID_USERNAME", "username")


@given(st.text(max_size=300))
def test_a_password_is_allowed_by_its_number_of_characters(password: str) -> None:
    if 12 <= len(normal_password(password)) <= 256:
        assert check_password(password) == password
    else:
        with pytest.raises(InvalidArgument) as refused:
            check_password(password)
        assert (refused.value.reason, refused.value.field) == ("WEAK_PASSWORD", "password")


def test_a_refused_password_is_not_repeated_in_the_message() -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_password("hunter2")
    assert "hunter2" not in refused.value.message
    assert "12 to 256" in refused.value.message


def test_a_letter_counts_once_however_it_is_composed() -> None:
    assert check_password("e\u0301" * 12)
    with pytest.raises(InvalidArgument):
        check_password("e\u0301" * 11)


@given(st.lists(st.sampled_from(SCOPES)))
def test_permissions_come_once_each_and_in_the_contracts_order(names: list[str]) -> None:
    granted = check_permissions(names)
    assert set(granted) == (set(names) or {"read_data"})
    assert list(granted) == [scope for scope in SCOPES if scope in granted]


@given(st.lists(st.sampled_from(SCOPES)), st.text().filter(lambda name: name not in SCOPES))
def test_an_unknown_permission_is_refused_wherever_it_stands(names: list[str], unknown: str) -> None:
    for asked in ([*names, unknown], [unknown, *names]):
        with pytest.raises(InvalidArgument, match="read_data, write_data, admin_access") as refused:
            check_permissions(asked)
        assert refused.value.reason == "UNKNOWN_PERMISSION"
        assert len(refused.value.message) < 1000
