from __future__ import annotations

import re

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from hypothesis import given
from hypothesis import strategies as st

from optrading.common.access import read_contract
from optrading.gateway.bindings import Binding, BindingError, bindings_of

CONTRACT = read_contract()


def method_with(rule: http_pb2.HttpRule | None, message: FileDescriptorProto | None = None) -> MethodDescriptor:
    """Return a method of a contract that is not ours."""
    file = FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    request = file.message_type.add(name="Request")
    inner = request.nested_type.add(name="Inner")
    string, nested = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_MESSAGE
    one, many = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    request.field.add(name="name", number=1, type=string, label=one)
    request.field.add(name="labels", number=2, type=string, label=many)
    request.field.add(name="filter", number=3, type=nested, label=one, type_name=".t.Request.Inner")
    request.field.add(name="others", number=4, type=nested, label=many, type_name=".t.Request.Inner")
    inner.field.add(name="from_day", number=1, type=string, label=one)
    inner.field.add(name="again", number=2, type=nested, label=one, type_name=".t.Request")
    method = file.service.add(name="S").method.add(name="M", input_type=".t.Request", output_type=".t.Request")
    if rule is not None:
        method.options.Extensions[annotations_pb2.http].CopyFrom(rule)
    pool = DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("t.S").methods[0]


def test_the_canonical_path_comes_first_and_the_short_one_after_it() -> None:
    access = CONTRACT["/optrading.collection.v1.CollectionService/GetChain"]
    assert [(each.verb, each.template) for each in bindings_of(access.descriptor)] == [
        ("GET", "/v1/option-chain/{index}"),
        ("GET", "/option-chain/{index}"),
    ]


def test_the_query_holds_every_field_that_is_not_in_the_path() -> None:
    access = CONTRACT["/optrading.storage.v1.StorageService/ReadChains"]
    for binding in bindings_of(access.descriptor):
        assert binding.query == {
            "start_time": "once",
            "end_time": "once",
            "bucket": "once",
            "expiry": "once",
            "strike_inr": "many",
        }


def test_a_parameter_of_an_enum_has_the_names_that_say_something() -> None:
    access = CONTRACT["/optrading.collection.v1.CollectionService/WatchChains"]
    assert bindings_of(access.descriptor)[0].values == {"delivery": ["DELIVERY_LATEST", "DELIVERY_LOSSLESS"]}


def test_a_body_leaves_nothing_to_the_query() -> None:
    access = CONTRACT["/optrading.identity.v1.IdentityService/Login"]
    assert [each.query for each in bindings_of(access.descriptor)] == [{}, {}]


def test_nested_fields_are_named_by_their_path_and_lists_of_messages_cannot_be_given() -> None:
    (binding,) = bindings_of(method_with(http_pb2.HttpRule(get="/t/{name}")))
    # `filter.again` is the request once more: there it ends.
    assert binding.query == {"labels": "many", "filter.from_day": "once"}


def test_a_method_without_the_option_has_no_rest_face() -> None:
    assert bindings_of(method_with(None)) == []


@pytest.mark.parametrize(
    "rule",
    [
        http_pb2.HttpRule(get="/t/**"),
        http_pb2.HttpRule(get="/t/{name=shelves/*}"),
        http_pb2.HttpRule(custom=http_pb2.CustomHttpPattern(kind="HEAD", path="/t")),
        http_pb2.HttpRule(get="/t", additional_bindings=[http_pb2.HttpRule(get="/*")]),
    ],
)
def test_what_cannot_be_routed_exactly_is_refused(rule: http_pb2.HttpRule) -> None:
    with pytest.raises(BindingError, match=r"t\.S\.M"):
        bindings_of(method_with(rule))


SEGMENTS = st.lists(st.text("abcXYZ019.-_~+()", min_size=1, max_size=8), min_size=1, max_size=4)


@given(SEGMENTS, st.data())
def test_a_pattern_matches_its_own_paths_and_no_others(literals: list[str], data: st.DataObject) -> None:
    variable = data.draw(st.integers(0, len(literals) - 1))
    template = "/" + "/".join("{index}" if at == variable else part for at, part in enumerate(literals))
    pattern = Binding("GET", template, {}, {}).path_regex
    assert pattern is not None
    value = data.draw(st.text("NIFTY%2.-", min_size=1))
    path = template.replace("{index}", value)
    assert re.fullmatch(pattern, path)
    assert not re.fullmatch(pattern, path + "/stream")
    assert not re.fullmatch(pattern, template.replace("{index}", f"{value}/{value}"))
    assert not re.fullmatch(pattern, template.replace("{index}", ""))


def test_a_path_without_a_variable_needs_no_pattern() -> None:
    assert Binding("GET", "/health", {}, {}).path_regex is None
