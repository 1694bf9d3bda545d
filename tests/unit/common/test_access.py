from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from optrading.access.v1 import access_pb2
from optrading.common.access import CONTRACT, SCOPES, ContractError, access_of, read_contract

READ = access_pb2.PERMISSION_READ_DATA
MESH = access_pb2.PERMISSION_MESH_ONLY
GATEWAY = access_pb2.CALLER_GATEWAY
STORAGE = access_pb2.CALLER_STORAGE


def method(rule: access_pb2.AccessRule | None) -> MethodDescriptor:
    """Return the only method of a contract that has this rule."""
    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    file.message_type.add(name="Empty")
    service = file.service.add(name="Service")
    call = service.method.add(name="Call", input_type=".test.Empty", output_type=".test.Empty")
    if rule is not None:
        call.options.Extensions[access_pb2.access].CopyFrom(rule)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("test.Service").methods_by_name["Call"]


def rule(permission: int, *callers: int) -> access_pb2.AccessRule:
    # By bytes, so that numbers of no enumeration get through as from a newer contract.
    data = b"\x08" + bytes([permission]) + b"".join(b"\x10" + bytes([caller]) for caller in callers)
    return access_pb2.AccessRule.FromString(data)


def test_every_method_of_the_contract_has_a_rule() -> None:
    contract = read_contract()
    methods = {
        f"/{service.full_name}/{each.name}"
        for file in CONTRACT.values()
        for service in file.services_by_name.values()
        for each in service.methods
    }
    assert set(contract) == methods
    assert {access.scope for access in contract.values()} <= {None, *SCOPES}
    assert {caller for access in contract.values() for caller in access.callers} <= set(CONTRACT)


def test_only_storage_acknowledges_and_only_by_the_mesh() -> None:
    access = read_contract()["/optrading.collection.v1.CollectionService/AcknowledgeChains"]
    assert (access.workload, access.permission, access.callers) == ("collection", MESH, {"storage"})


def test_a_rule_is_read_as_it_stands() -> None:
    access = access_of("storage", method(rule(READ, GATEWAY, STORAGE)))
    assert (access.workload, access.method) == ("storage", "/test.Service/Call")
    assert (access.scope, access.callers) == ("read_data", {"gateway", "storage"})
    assert access_of("storage", method(rule(MESH, STORAGE))).scope is None
    assert access_of("storage", method(rule(access_pb2.PERMISSION_PUBLIC, GATEWAY))).scope is None


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        rule(0),
        rule(0, GATEWAY),
        rule(READ),
        rule(READ, 0),
        rule(READ, GATEWAY, 0),
        rule(READ, STORAGE),
        rule(MESH, GATEWAY),
        rule(MESH, GATEWAY, STORAGE),
        rule(READ, GATEWAY, 99),
        rule(99, GATEWAY),
    ],
    ids=[
        "no option",
        "an empty rule",
        "no permission",
        "no caller",
        "an unspecified caller",
        "one caller unspecified",
        "read by users, but not through the gateway",
        "for the mesh, called by the gateway alone",
        "for the mesh, called by the gateway too",
        "a caller nobody knows",
        "a permission nobody knows",
    ],
)
def test_a_rule_that_is_missing_or_contradicts_itself_stops_the_program(wrong: access_pb2.AccessRule | None) -> None:
    with pytest.raises(ContractError, match=r"/test\.Service/Call"):
        access_of("storage", method(wrong))
