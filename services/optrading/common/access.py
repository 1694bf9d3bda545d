"""The access rule of every method, read from the contract. A method without one stops the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor

from optrading.access.v1 import access_pb2
from optrading.analytics.v1 import analytics_service_pb2
from optrading.collection.v1 import collection_service_pb2
from optrading.gateway.v1 import gateway_service_pb2
from optrading.identity.v1 import identity_service_pb2
from optrading.storage.v1 import storage_service_pb2

CONTRACT: Mapping[str, FileDescriptor] = {
    "analytics": analytics_service_pb2.DESCRIPTOR,
    "collection": collection_service_pb2.DESCRIPTOR,
    "gateway": gateway_service_pb2.DESCRIPTOR,
    "identity": identity_service_pb2.DESCRIPTOR,
    "storage": storage_service_pb2.DESCRIPTOR,
}
"""The file of each workload's services."""


class ContractError(Exception):
    """The contract itself is wrong: a method lacks an access rule, or has one that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call one method.

    Attributes:
        workload: Who serves it, such as `collection`.
        method: Full name as on the wire, `/package.Service/Method`.
        permission: What a user must hold.
        callers: Names of the workloads that may call.
        descriptor: The method.
    """

    workload: str
    method: str
    permission: access_pb2.Permission.ValueType
    callers: frozenset[str]
    descriptor: MethodDescriptor

    @property
    def scope(self) -> str | None:
        """Return the permission as tokens spell it, such as `read_data`; None when no user needs one."""
        if self.permission in (access_pb2.PERMISSION_PUBLIC, access_pb2.PERMISSION_MESH_ONLY):
            return None
        return access_pb2.Permission.Name(self.permission).removeprefix("PERMISSION_").lower()


SCOPES: tuple[str, ...] = ("read_data", "write_data", "admin_access")
"""Every permission a token can carry."""


def services_of(workload: str) -> Iterator[ServiceDescriptor]:
    """Yield the services that `workload` serves."""
    yield from CONTRACT[workload].services_by_name.values()


def access_of(workload: str, method: MethodDescriptor) -> Access:
    """Return the rule of one method.

    Raises:
        ContractError: There is none, or it is not consistent.
    """
    name = f"/{method.containing_service.full_name}/{method.name}"
    options = method.GetOptions()
    if not options.HasExtension(access_pb2.access):
        raise ContractError(f"{name} has no option (optrading.access.v1.access)")
    rule = options.Extensions[access_pb2.access]
    # A number that is not in the enumeration is kept by protobuf: a rule of a newer contract, which we cannot hold.
    if rule.permission == access_pb2.PERMISSION_UNSPECIFIED or rule.permission not in access_pb2.Permission.values():
        raise ContractError(f"{name}: the access rule states no permission")
    known = {number: caller.removeprefix("CALLER_").lower() for caller, number in access_pb2.Caller.items() if number}
    callers = frozenset(known.get(number, "") for number in rule.callers)
    if not callers or "" in callers:
        raise ContractError(f"{name}: the access rule must name its callers")
    if (rule.permission == access_pb2.PERMISSION_MESH_ONLY) == ("gateway" in callers):
        raise ContractError(f"{name}: the gateway is among the callers exactly when the method is not MESH_ONLY")
    return Access(workload, name, rule.permission, callers, method)


def read_contract() -> dict[str, Access]:
    """Return the rule of every method of every service, by full method name.

    Raises:
        ContractError: A method has no rule, or one that is not consistent.
    """
    return {
        access.method: access
        for workload in CONTRACT
        for service in services_of(workload)
        for method in service.methods
        for access in (access_of(workload, method),)
    }
