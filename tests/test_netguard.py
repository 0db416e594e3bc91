"""Nobody reaches the operator's own network by naming a host."""

import socket
import threading
import time

import pytest

from mailsync import netguard

PRIVATE = [
    # this host
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "::1", "0.0.0.0", "0.1.2.3", "::", "localhost",
    # odd spellings of this host, all of which getaddrinfo understands
    "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "017700000001", "0", "0x0",
    "127.0.0.1.",
    # private networks, also in odd spellings
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "0xc0a80001", "3232235521",
    "10.1",
    # metadata services, link-local, carrier-grade NAT
    "169.254.169.254", "0xa9fea9fe", "2852039166", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "fe80::1", "febf::1", "fd00:ec2::254",
    # multicast, broadcast, reserved, documentation, benchmarks
    "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "198.18.0.1", "198.19.255.255",
    "192.0.2.1", "198.51.100.7", "203.0.113.7", "192.0.0.8", "192.88.99.1", "ff02::1", "2001:db8::1",
    "3fff::1", "100::1",
    # unique local, site local, unassigned
    "fc00::1", "fdff::1", "fec0::1", "4000::1", "5f00::1",
    # an IPv4 address inside an IPv6 address: mapped, compatible, NAT64, 6to4, Teredo
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::127.0.0.1",
    "::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "[::1]", "[::ffff:127.0.0.1]",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
    "172.32.0.0", "192.167.255.255", "192.169.0.0", "169.253.255.255", "169.255.0.0", "198.17.255.255",
    "198.20.0.0", "223.255.255.255", "134744072", "0x08080808", "2606:4700:4700::1111", "2a00:1450:4001::1",
    "[2606:4700::1]", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip
NAMELESS = [
    "", " ", ".", "[]", "%", "fe80::1%lo", "fe80::1%1", "2606:4700::1%1", "a b", "host/path", "host\\path",
    "user@host", "mail.example\r\n", "mail\r\nhost", "mail\0host", "a" * 254, "a" * 64 + ".example", "..",
    "no-such-name.invalid", "999.1.1.1", "1.2.3.4.5", "::ffff:999.1.1.1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_an_address_inside_is_refused_however_it_is_spelled(host):
    with pytest.raises((netguard.ForbiddenAddress, netguard.UnknownHost)):
        netguard.resolve(host, 993, allow_private=False)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_passes(host):
    assert netguard.resolve(host, 993, allow_private=False)


@pytest.mark.parametrize("host", NAMELESS)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_not_the_name_of_a_host_is_unknown(host, allow_private):
    with pytest.raises(netguard.UnknownHost):
        netguard.resolve(host, 993, allow_private=allow_private)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_does_not_exist_is_refused(port):
    with pytest.raises(netguard.UnknownHost):
        netguard.resolve("8.8.8.8", port, allow_private=False)


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch):
    both = [(2, 1, 6, "", ("8.8.8.8", 993)), (2, 1, 6, "", ("10.0.0.1", 993))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(netguard.ForbiddenAddress):
        netguard.resolve("mail.example", 993, allow_private=False)


def test_a_name_that_changes_after_the_check_is_not_asked_again(monkeypatch):
    answers = [[(2, 1, 6, "", ("8.8.8.8", 993))], [(2, 1, 6, "", ("127.0.0.1", 993))]]
    reached = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: reached.append(address))
    netguard.connect("rebinding.example", 993, allow_private=False, timeout=5).close()
    assert reached == [("8.8.8.8", 993)]
    assert len(answers) == 1


def test_the_operator_may_allow_private_hosts_and_then_the_connection_is_real():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connection = netguard.connect("localhost", port, allow_private=True, timeout=5)
        with connection, server.accept()[0] as other:
            connection.sendall(b"hello")
            assert other.recv(5) == b"hello"
            assert connection.gettimeout() == 5


def test_without_that_permission_the_same_server_is_never_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        with pytest.raises(netguard.ForbiddenAddress):
            netguard.connect("localhost", server.getsockname()[1], allow_private=False, timeout=5)
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_second_address_is_tried_when_the_first_refuses(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [(2, 1, 6, "", ("127.0.0.9", port)), (2, 1, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        netguard.connect("two.example", port, allow_private=True, timeout=5).close()


def test_a_dead_name_server_holds_nobody_longer_than_the_timeout(monkeypatch):
    hanging = threading.Event()

    def dead(*_, **__):
        hanging.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", dead)
    start = time.monotonic()
    try:
        with pytest.raises(netguard.UnknownHost, match="no name server answered"):
            netguard.connect("slow.example", 993, allow_private=False, timeout=0.2)
    finally:
        hanging.set()
    assert time.monotonic() - start < 10


def test_nobody_at_the_port_is_told_as_the_socket_tells_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        netguard.connect("127.0.0.1", port, allow_private=True, timeout=5)
