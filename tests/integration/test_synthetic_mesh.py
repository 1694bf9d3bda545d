"""The whole mesh on the synthetic feed, spoken to as the README says."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from redis.asyncio import Redis

from optrading.cli.client import GatewayClient
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.common.bus import stream_of
from optrading.local.mesh import Mesh
from optrading.local.options import MeshOptions
from optrading.testing.mesh import Answer, MeshClient, running_mesh

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("synthetic mesh")]

INDICES = ["BANKEX", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTY", "SENSEX"]
BUCKETS = "this_week, next_week, this_month, next_month"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(mesh: Mesh) -> MeshClient:
    client = MeshClient(mesh.credentials)
    assert (await client.login()).status == 200
    return client


async def until_ok(client: MeshClient, path: str) -> Any:
    """Ask until the first chain has come through; nothing else may be wrong meanwhile."""
    async with asyncio.timeout(20):
        while (answer := await client.get(path)).status == 503:  # noqa: ASYNC110  # it happens in other processes
            await asyncio.sleep(0.05)
    assert answer.status == 200, answer.body
    return answer.json()


def reason_of(answer: Answer) -> str:
    """Return the reason of an error, having seen that it is a google.rpc.Status with one ErrorInfo."""
    assert answer.headers["content-type"].startswith("application/json")
    status = answer.json()
    assert status["code"] > 0
    assert status["message"]
    infos = [detail for detail in status["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")]
    assert [info["domain"] for info in infos] == ["optrading"]
    return str(infos[0]["reason"])


async def test_a_login_gives_tokens_in_the_promised_shape(mesh: Mesh) -> None:
    answer = await MeshClient(mesh.credentials).login()
    tokens = answer.json()
    assert tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 24 * 3600)
    again = await MeshClient(mesh.credentials).post("/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert again.status == 200
    assert again.json()["access_token"] != tokens["access_token"]


async def test_the_credentials_file_is_what_clients_need_and_nobody_else_can_read_it(mesh: Mesh) -> None:
    path = mesh.home / "credentials.json"
    assert json.loads(path.read_text()).keys() == {"username", "password", "url"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_chain_comes_with_snake_case_names_and_columns_of_one_length(client: MeshClient, prefix: str) -> None:
    chain = (await until_ok(client, f"{prefix}/option-chain/NIFTY?bucket=this_week"))["chain"]
    assert (chain["index"], chain["source"]) == ("NIFTY", "synthetic")
    (expiry,) = chain["expiries"]
    assert "this_week" in expiry["buckets"]
    assert len(expiry["strike_inr"]) > 50
    for side in ("call", "put"):
        columns = dict(expiry[side])
        assert len(columns.pop("quality")) in (0, len(expiry["strike_inr"]))  # empty where nothing is suspicious
        assert {len(values) for values in columns.values()} == {len(expiry["strike_inr"])}


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_greeks_are_sensible_and_say_what_they_were_computed_from(client: MeshClient, prefix: str) -> None:
    analytics = (await until_ok(client, f"{prefix}/analytics/NIFTY/greeks?bucket=this_month"))["analytics"]
    (expiry,) = analytics["expiries"]
    row = expiry["atm_offset"].index(0)
    assert expiry["call"]["status"][row] == "LEG_STATUS_OK"
    assert 0.02 < expiry["call"]["implied_vol"][row] < 1.0
    assert 0.3 < expiry["call"]["delta"][row] < 0.7
    assert -0.7 < expiry["put"]["delta"][row] < -0.3
    assert expiry["summary"]["forward_source"] == "FORWARD_SOURCE_PARITY"
    assert int(analytics["sequence"]) > 0
    assert analytics["model"].startswith("black76")


async def test_every_index_is_listed_with_its_expiries(client: MeshClient) -> None:
    await until_ok(client, "/option-chain/SENSEX")
    listed = (await until_ok(client, "/indices"))["indices"]
    assert [index["index"] for index in listed] == INDICES
    assert all(len(index["expiries"]) >= 3 for index in listed)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_chains_stream_in_order_without_gap(client: MeshClient, accept: str) -> None:
    async with aclosing(client.stream("/option-chain/NIFTY/stream", accept=accept)) as stream:
        chains = [chain async for chain in taken(stream, "chain", 3)]
    sequences = [int(chain["sequence"]) for chain in chains]
    assert sequences == list(range(sequences[0], sequences[0] + 3))


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_analytics_stream_in_order(client: MeshClient, accept: str) -> None:
    async with aclosing(client.stream("/analytics/BANKNIFTY/stream", accept=accept)) as stream:
        results = [result async for result in taken(stream, "analytics", 2)]
    assert all(int(older["sequence"]) < int(newer["sequence"]) for older, newer in pairwise(results))
    assert {result["index"] for result in results} == {"BANKNIFTY"}


@pytest.mark.parametrize("service", ["collection", "storage", "analytics", "identity", "gateway"])
async def test_services_speak_nothing_older_than_tls_1_3(mesh: Mesh, service: str) -> None:
    host, port = mesh.addresses[service].split(":")
    context = ssl.create_default_context(cafile=str(mesh.tls_directory / "ca.pem"))
    context.load_cert_chain(mesh.tls_directory / "gateway.pem", mesh.tls_directory / "gateway.key")
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(host, int(port), ssl=context)


async def test_what_is_collected_can_be_read_from_history(client: MeshClient) -> None:
    chain = (await until_ok(client, "/option-chain/FINNIFTY"))["chain"]
    async with asyncio.timeout(20):
        while True:
            answer = await client.get(f"/v1/history/FINNIFTY/chain?as_of={chain['event_time']}")
            # Until it is stored, an earlier chain is the newest of that instant, or there is none.
            if answer.status == 200 and answer.json()["chain"]["sequence"] == chain["sequence"]:
                break
            await asyncio.sleep(0.05)
    assert answer.json()["chain"] == chain


@pytest.mark.parametrize(
    ("path", "status", "reason", "allowed"),
    [
        ("/option-chain/DOW", 404, "UNKNOWN_INDEX", ", ".join(INDICES)),
        ("/option-chain/NIFTY?bucket=tomorrow", 400, "UNKNOWN_BUCKET", BUCKETS),
        ("/option-chain/NIFTY?expiry=2001-01-01", 404, "UNKNOWN_EXPIRY", "listed: 20"),
        ("/option-chain/NIFTY?expiry=soon", 400, "INVALID_EXPIRY", "2026-08-25"),
        ("/analytics/DOW/greeks", 404, "UNKNOWN_INDEX", ", ".join(INDICES)),
        ("/analytics/NIFTY/greeks?bucket=tomorrow", 400, "UNKNOWN_BUCKET", BUCKETS),
    ],
)
async def test_a_wrong_request_is_told_what_is_allowed(
    client: MeshClient, path: str, status: int, reason: str, allowed: str
) -> None:
    await until_ok(client, "/analytics/NIFTY/summary")
    answer = await client.get(path)
    assert (answer.status, reason_of(answer)) == (status, reason)
    assert allowed in answer.json()["message"]


async def test_an_unknown_query_parameter_is_refused_and_the_known_ones_are_named(client: MeshClient) -> None:
    answer = await client.get("/option-chain/NIFTY?buket=this_week")
    assert answer.status == 400
    assert reason_of(answer)
    assert all(name in answer.json()["message"] for name in ("buket", "bucket", "expiry"))


@pytest.mark.parametrize("token", ["", "x.y.z"])
@pytest.mark.parametrize("path", ["/option-chain/NIFTY", "/analytics/NIFTY/stream", "/indices"])
async def test_without_a_valid_token_the_answer_is_401_in_json(client: MeshClient, path: str, token: str) -> None:
    answer = await client.get(path, token=token)
    assert answer.status == 401
    assert reason_of(answer)


async def test_a_wrong_password_is_401_in_json(mesh: Mesh) -> None:
    answer = await MeshClient(mesh.credentials).post("/auth/login", {"username": "demo", "password": "wrong" * 4})
    assert (answer.status, reason_of(answer)) == (401, "INVALID_CREDENTIALS")


async def test_health_is_open_to_all_and_names_every_component(mesh: Mesh) -> None:
    answer = await MeshClient(mesh.credentials).get("/health", token="")
    assert answer.status == 200
    assert {each["name"]: each["status"] for each in answer.json()["components"]} == dict.fromkeys(
        ["analytics", "collection", "identity", "storage"], "serving"
    )


async def test_a_grpc_client_that_knows_only_reflection_can_call(mesh: Mesh, client: MeshClient) -> None:
    await until_ok(client, "/option-chain/NIFTY")
    metadata = (("authorization", f"Bearer {client.token}"),)
    async with grpc.aio.insecure_channel(mesh.url.removeprefix("http://")) as channel:
        pool = await reflected(channel, "optrading.collection.v1.CollectionService", metadata)
        method = pool.FindMethodByName("optrading.collection.v1.CollectionService.GetChain")
        call = channel.unary_unary(
            "/optrading.collection.v1.CollectionService/GetChain",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        request = message_factory.GetMessageClass(method.input_type)(index="NIFTY")
        answer = await call(request, metadata=metadata, timeout=10)
        assert answer.chain.index == "NIFTY"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(request, timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_every_step_is_announced_on_redis_streams_with_its_trace(mesh: Mesh, client: MeshClient) -> None:
    await until_ok(client, "/analytics/NIFTY/summary")
    traces: dict[str, dict[tuple[str, str], str]] = {}
    async with Redis.from_url(mesh.redis_url, decode_responses=True) as redis:
        for event_type in ("legs_collected", "legs_stored", "analytics_computed"):
            async with asyncio.timeout(20):
                while not (entries := await redis.xrange(stream_of(event_type))):  # noqa: ASYNC110  # see above
                    await asyncio.sleep(0.05)
            traces[event_type] = {}
            for _, entry in entries:
                event = json.loads(entry["event"])
                assert (entry["event_id"], entry["event_type"]) == (event["event_id"], event_type)
                payload = event[event_type]
                traces[event_type][payload["index"], payload["sequence"]] = entry["traceparent"].split("-")[1]
    shared = traces["legs_collected"].keys() & traces["legs_stored"].keys() & traces["analytics_computed"].keys()
    assert shared
    for key in shared:
        assert len({traces[event_type][key] for event_type in traces}) == 1


async def test_the_status_that_up_and_doctor_show_comes_through_the_gateway(mesh: Mesh) -> None:
    async with GatewayClient(mesh.credentials) as grpc_client:
        listed = await grpc_client.call(grpc_client.collection.ListIndices, collection_pb.ListIndicesRequest())
    assert [each.index for each in listed.indices] == INDICES


async def test_a_service_that_is_killed_comes_back_and_health_tells(mesh: Mesh, client: MeshClient) -> None:
    killed = mesh.kill("identity")
    await mesh.wait_restarted("identity", killed)
    assert (await client.login()).status == 200
    assert mesh.restarts["identity"] == 1


async def test_a_clean_stop_leaves_no_process_and_a_second_start_keeps_the_password(tmp_path: Path) -> None:
    """Without waiting for health: what has only just begun must stop as well."""
    passwords = set()
    for _ in range(2):
        async with Mesh(MeshOptions(tmp_path, http_port=0)) as mesh:
            pids = dict(mesh.pids)
            passwords.add(mesh.credentials.password)
        assert len(pids) == 7
        assert [name for name, pid in pids.items() if is_alive(pid)] == []
    assert len(passwords) == 1


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def taken(stream: AsyncGenerator[Any, None], what: str, count: int) -> AsyncIterator[Any]:
    """Yield the first messages that carry `what`; heartbeats are passed over."""
    async with asyncio.timeout(30):
        async for message in stream:
            if what in message:
                yield message[what]
                count -= 1
                if count == 0:
                    return


async def reflected(
    channel: grpc.aio.Channel, symbol: str, metadata: tuple[tuple[str, str], ...]
) -> descriptor_pool.DescriptorPool:
    """Return what reflection says about a symbol and everything it needs."""
    pool, wanted, known = descriptor_pool.DescriptorPool(), [symbol], set()
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(metadata=metadata, timeout=20)
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
    while wanted:
        answer = await call.read()
        wanted.pop()
        for content in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            files[file.name] = file
        for name in {name for file in files.values() for name in file.dependency} - files.keys() - known:
            known.add(name)
            wanted.append(name)
            await call.write(reflection_pb2.ServerReflectionRequest(file_by_filename=name))
    await call.done_writing()

    def add(name: str) -> None:
        if (file := files.pop(name, None)) is not None:
            for needed in file.dependency:
                add(needed)
            pool.Add(file)

    for name in list(files):
        add(name)
    return pool
