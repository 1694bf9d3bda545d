"""Ports of the local mesh."""

from __future__ import annotations

import socket

from optrading.local.ports import free_ports, is_free


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_free_ports_are_different_free_and_outside_of_what_outgoing_connections_get() -> None:
    ports = free_ports(7)
    assert len(set(ports)) == 7
    assert all(1024 < port < 32_768 and is_free(port) for port in ports)


def test_two_meshes_of_one_process_get_different_ports() -> None:
    assert not set(free_ports(8)) & set(free_ports(8))


def test_a_taken_port_is_stepped_over() -> None:
    expected = free_ports(1)[0] + 16
    with socket.create_server(("127.0.0.1", expected)):
        assert expected not in free_ports(8)
