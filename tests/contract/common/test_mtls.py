from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import grpc
import pytest

from optrading.collection.v1 import collection_service_pb2 as pb
from optrading.collection.v1 import collection_service_pb2_grpc as pb_grpc
from optrading.common.channels import open_channel
from optrading.common.errors import reason_of
from optrading.common.serving import AddressInUseError, serve
from optrading.common.tls import CertificateError, channel_credentials
from optrading.local.authority import ensure_certificates
from tests.contract.common.mesh import Answering, bare_channel, calling, serving

pytestmark = pytest.mark.timeout(30)  # nothing here waits for long


async def get_chain(channel: grpc.aio.Channel) -> pb.GetChainResponse:
    return await pb_grpc.CollectionServiceStub(channel).GetChain(pb.GetChainRequest(index="NIFTY"), timeout=10)


@pytest.mark.parametrize("caller", ["gateway", "analytics"])
async def test_a_workload_that_the_method_names_is_served(tls: Path, caller: str) -> None:
    servicer = Answering()
    async with serving(servicer, tls) as (_, settings), calling(settings, caller) as stub:
        await stub.GetChain(pb.GetChainRequest(), timeout=10)
    assert servicer.calls == 1


@pytest.mark.parametrize("caller", ["storage", "identity", "collection"])
async def test_a_workload_that_the_method_does_not_name_is_refused(tls: Path, caller: str) -> None:
    servicer = Answering()
    async with serving(servicer, tls) as (_, settings), calling(settings, caller) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetChain(pb.GetChainRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(caught.value) == "CALLER_NOT_ALLOWED"
    assert servicer.calls == 0


async def test_a_stream_is_refused_to_whom_it_does_not_name(tls: Path) -> None:
    servicer = Answering()
    async with serving(servicer, tls) as (_, settings), calling(settings, "identity") as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [each async for each in stub.WatchChains(pb.WatchChainsRequest(), timeout=10)]
    assert reason_of(caught.value) == "CALLER_NOT_ALLOWED"
    assert servicer.calls == 0


async def test_users_cannot_acknowledge_in_the_name_of_storage(tls: Path) -> None:
    servicer = Answering()
    async with serving(servicer, tls) as (_, settings):
        async with calling(settings, "gateway") as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.AcknowledgeChains(pb.AcknowledgeChainsRequest(), timeout=10)
        assert reason_of(caught.value) == "CALLER_NOT_ALLOWED"
        async with calling(settings, "storage") as stub:
            await stub.AcknowledgeChains(pb.AcknowledgeChainsRequest(), timeout=10)
    assert servicer.calls == 1


async def test_who_shows_no_certificate_is_not_let_in(tls: Path) -> None:
    servicer = Answering()
    async with serving(servicer, tls) as (_, settings):
        anonymous = grpc.ssl_channel_credentials(root_certificates=(tls / "ca.pem").read_bytes())
        for channel in (
            bare_channel(settings, anonymous),
            grpc.aio.insecure_channel(settings.collection_address),
        ):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await get_chain(channel)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == 0


async def test_a_certificate_of_another_authority_is_not_let_in(tls: Path, tmp_path: Path) -> None:
    ensure_certificates(tmp_path, "optrading.local")  # the same names, signed by somebody else
    (tmp_path / "ca.pem").write_bytes((tls / "ca.pem").read_bytes())
    servicer = Answering()
    async with (
        serving(servicer, tls) as (_, settings),
        bare_channel(settings, channel_credentials(tmp_path, "gateway")) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get_chain(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == 0


async def test_a_certificate_of_another_trust_domain_is_no_workload_of_this_mesh(tls: Path, tmp_path: Path) -> None:
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).write_bytes((tls / name).read_bytes())
    ensure_certificates(tmp_path, "elsewhere.example", ["gateway"])  # signed by our own authority all the same
    servicer = Answering()
    async with (
        serving(servicer, tls) as (_, settings),
        bare_channel(settings, channel_credentials(tmp_path, "gateway")) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get_chain(channel)
    assert reason_of(caught.value) == "CALLER_NOT_ALLOWED"
    assert servicer.calls == 0


async def test_a_caller_notices_that_it_reached_somebody_else(tls: Path) -> None:
    servicer = Answering()
    async with serving(servicer, tls) as (_, settings):
        wrong = settings.model_copy(update={"storage_address": settings.collection_address})
        async with open_channel(wrong, "gateway", "storage") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await get_chain(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == 0


async def test_services_speak_tls_1_3_among_themselves(tls: Path) -> None:
    async with serving(Answering(), tls) as (running, _):
        context = ssl.create_default_context(cafile=str(tls / "ca.pem"))
        context.load_cert_chain(tls / "gateway.pem", tls / "gateway.key")
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=context, server_hostname="collection.optrading"
        )
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()


async def test_beside_a_sidecar_services_speak_plaintext_and_the_sidecar_checks() -> None:
    servicer = Answering()
    async with serving(servicer, None) as (_, settings), calling(settings, "identity") as stub:
        await stub.GetChain(pb.GetChainRequest(), timeout=10)
    assert servicer.calls == 1


async def test_an_address_that_is_taken_is_said_in_one_line() -> None:
    async with serving(Answering(), None) as (_, settings):
        again = settings.model_copy(update={"listen_address": settings.collection_address})
        with pytest.raises(AddressInUseError) as caught:
            await serve(again, "collection", lambda _: None).__aenter__()
    assert str(caught.value).startswith(f"{settings.collection_address} cannot be listened on")


async def test_a_service_without_a_certificate_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"ca\.pem"):
        async with serving(Answering(), tmp_path):
            pass
