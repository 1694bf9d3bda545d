from __future__ import annotations

import pytest
import yaml

from optrading.gateway.skeleton import SkeletonError, fill_skeleton, gateway_directory


def test_values_are_put_in_as_they_are() -> None:
    value = {"path": "a: b\n- !value x", "ports": [1, 2]}
    filled = fill_skeleton("one: !value first\ntwo: [!value second]", {"first": value, "second": "# not a comment"})
    assert filled == {"one": value, "two": ["# not a comment"]}


def test_a_place_without_a_value_is_an_error() -> None:
    with pytest.raises(SkeletonError, match="first"):
        fill_skeleton("one: !value first", {})


def test_a_value_without_a_place_is_an_error() -> None:
    with pytest.raises(SkeletonError, match="second, third"):
        fill_skeleton("one: !value first", {"first": 1, "third": 3, "second": 2})


def test_no_other_tag_is_understood() -> None:
    with pytest.raises(yaml.YAMLError):
        fill_skeleton("one: !!python/object/apply:os.getcwd []", {})


def test_the_tag_is_known_to_no_other_reader() -> None:
    fill_skeleton("one: !value first", {"first": 1})
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load("one: !value first")


def test_the_skeleton_is_where_it_is_looked_for() -> None:
    assert (gateway_directory() / "envoy.yaml").is_file()
    assert (gateway_directory() / "check_query.lua").is_file()
