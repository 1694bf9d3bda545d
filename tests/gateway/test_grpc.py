"""gRPC and gRPC-Web through the same port as REST, with reflection."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from optrading.collection.v1 import collection_service_pb2, collection_service_pb2_grpc
from tests.gateway.answers import grpc_reason_of
from tests.gateway.edge import DEADLINE_S, UNARY_TIMEOUT_S, Edge

GET_CHAIN = "/optrading.collection.v1.CollectionService/GetChain"


def metadata(edge: Edge, *permissions: str) -> list[tuple[str, str]]:
    return list(edge.bearer(*permissions).items())


def test_a_call_passes_through(edge: Edge) -> None:
    with edge.channel() as channel:
        stub = collection_service_pb2_grpc.CollectionServiceStub(channel)
        request = collection_service_pb2.GetChainRequest(index="NIFTY")
        answer = stub.GetChain(request, metadata=metadata(edge, "read_data"), timeout=DEADLINE_S)
    assert answer.chain.spot_inr == 24521.5


def test_a_stream_passes_through(edge: Edge) -> None:
    with edge.channel() as channel:
        stub = collection_service_pb2_grpc.CollectionServiceStub(channel)
        request = collection_service_pb2.WatchChainsRequest(index="NIFTY", resume_after_sequence=4)
        answers = list(stub.WatchChains(request, metadata=metadata(edge, "read_data"), timeout=DEADLINE_S))
    assert [answer.WhichOneof("payload") for answer in answers] == ["chain", "heartbeat"]
    assert answers[0].chain.sequence == 5


def test_a_stream_outlives_the_limit_of_single_answers(edge: Edge) -> None:
    with edge.channel() as channel:
        stub = collection_service_pb2_grpc.CollectionServiceStub(channel)
        request = collection_service_pb2.WatchChainsRequest(index="ENDLESS")
        wait_s = UNARY_TIMEOUT_S + 1.0
        answers = stub.WatchChains(request, metadata=metadata(edge, "read_data"), timeout=wait_s)
        assert next(answers).chain.index == "ENDLESS"
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)
    # Our own deadline ended it, not the gateway, which would have left its reason.
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert rpc_status.from_call(caught.value) is None


@pytest.mark.parametrize(
    ("index", "permissions", "code", "reason"),
    [
        ("MIDCAP", ["read_data"], grpc.StatusCode.NOT_FOUND, "UNKNOWN_INDEX"),
        ("NIFTY", ["write_data"], grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
        ("NIFTY", None, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
        ("SLOW", ["read_data"], grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    ],
)
def test_an_error_has_its_status_and_details_whoever_made_it(
    edge: Edge, index: str, permissions: list[str] | None, code: grpc.StatusCode, reason: str
) -> None:
    token = None if permissions is None else metadata(edge, *permissions)
    request = collection_service_pb2.GetChainRequest(index=index)
    with edge.channel() as channel:
        stub = collection_service_pb2_grpc.CollectionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetChain(request, metadata=token, timeout=DEADLINE_S)
    assert grpc_reason_of(caught.value, code) == reason


def test_a_call_to_a_service_that_does_not_serve_is_unavailable(degraded: Edge) -> None:
    with degraded.channel() as channel:
        call = channel.unary_unary("/optrading.storage.v1.StorageService/ListWatermarks")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=metadata(degraded, "read_data"), timeout=DEADLINE_S)
    assert grpc_reason_of(caught.value, grpc.StatusCode.UNAVAILABLE) == "DEPENDENCY_UNAVAILABLE"


def test_a_browser_calls_by_grpc_web(edge: Edge) -> None:
    message = collection_service_pb2.GetChainRequest(index="NIFTY").SerializeToString()
    headers = edge.bearer("read_data") | {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    response = edge.http.post(GET_CHAIN, content=struct.pack(">BI", 0, len(message)) + message, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/grpc-web+proto"
    (flag, data), (trailer_flag, trailers) = frames(response.content)
    assert flag == 0
    assert collection_service_pb2.GetChainResponse.FromString(data).chain.index == "NIFTY"
    assert trailer_flag == 0x80
    assert b"grpc-status:0" in trailers


def test_grpc_web_needs_a_token(edge: Edge) -> None:
    headers = {"content-type": "application/grpc-web+proto"}
    assert edge.http.post(GET_CHAIN, content=b"\0\0\0\0\0", headers=headers).status_code == 401


def frames(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    while body:
        flag, length = struct.unpack(">BI", body[:5])
        found.append((flag, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def reflect(edge: Edge, request: reflection_pb2.ServerReflectionRequest, *permissions: str):
    with edge.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        token = metadata(edge, *permissions) if permissions else None
        return next(stub.ServerReflectionInfo(iter([request]), metadata=token, timeout=DEADLINE_S))


def test_reflection_shows_the_whole_contract(edge: Edge) -> None:
    answer = reflect(edge, reflection_pb2.ServerReflectionRequest(list_services=""), "read_data")
    names = {service.name for service in answer.list_services_response.service}
    packages = ("analytics", "collection", "gateway", "identity", "storage")
    assert names >= {f"optrading.{name}.v1.{name.title()}Service" for name in packages}
    symbol = "optrading.storage.v1.StorageService"
    answer = reflect(edge, reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol), "read_data")
    file = FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
    assert file.name == "optrading/storage/v1/storage_service.proto"


@pytest.mark.parametrize(
    ("permissions", "code"),
    [((), grpc.StatusCode.UNAUTHENTICATED), (("write_data",), grpc.StatusCode.PERMISSION_DENIED)],
)
def test_reflection_needs_the_permission_to_read(
    edge: Edge, permissions: tuple[str, ...], code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        reflect(edge, reflection_pb2.ServerReflectionRequest(list_services=""), *permissions)
    assert caught.value.code() is code


def test_a_foreign_client_calls_by_reflection_alone(edge: Edge) -> None:
    token = f"authorization: {edge.bearer('read_data')['authorization']}"
    buf = Path(sys.executable).with_name("buf")
    command = [
        *(str(buf), "curl", "--protocol", "grpc", "--http2-prior-knowledge"),
        *("--header", token, "--reflect-header", token, "--data", '{"index": "NIFTY"}'),
        f"http://{edge.address}{GET_CHAIN}",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert run.returncode == 0, run.stderr
    assert '"spotInr":24521.5' in "".join(run.stdout.split())
