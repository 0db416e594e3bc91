"""Where we may connect to on an employee's word: public addresses only, unless the operator allows others.

A name is resolved once, every address it has is checked, and the socket goes to a checked address: a name
that changes between the check and the connection (DNS rebinding) changes nothing. Who needs a connection to
a host that somebody typed, or that a mail names, takes the socket from here and resolves nothing itself.
"""

import ipaddress
import queue
import socket
import threading
import time
from typing import Any

# A family and the address as the socket module takes it.
Target = tuple[socket.AddressFamily, tuple[Any, ...]]

_ATTEMPT_SECONDS = 10.0
_LOOKUP_SECONDS = 15.0

# IANA's special-purpose registries (RFC 6890 and its successors): all that is not public unicast.
_CLOSED_V4 = [
    ipaddress.IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches this very host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep their metadata service here
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")  # the only range given out for global unicast
_CLOSED_V6 = [
    ipaddress.IPv6Network(net)
    for net in (
        "2001::/23",  # protocol assignments, among them Teredo, which wraps an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # how an IPv6-only network reaches public IPv4 hosts


class UnknownHost(OSError):
    """The name does not resolve, or is no name at all."""


class ForbiddenAddress(OSError):
    """The name has an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an IP address literal is global unicast, also behind the IPv4 it may wrap."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        wrapped = _wrapped_v4(ip)
        if wrapped is None:
            return ip in _OPEN_V6 and not any(ip in net for net in _CLOSED_V6)
        ip = wrapped
    return not any(ip in net for net in _CLOSED_V4)


def resolve(host: str, port: int, *, allow_private: bool, timeout: float = _LOOKUP_SECONDS) -> list[Target]:
    """All addresses of the host, each of them checked.

    One private address among public ones refuses the whole name: whoever publishes such a name is either
    mistaken or attacking. Raises UnknownHost, ForbiddenAddress.
    """
    name = _checked_name(host)
    if not 0 < port < 65536:
        raise UnknownHost(f"{port} is not a port")
    targets = _look_up(name, port, timeout)
    if not allow_private:
        for _, address in targets:
            if not is_public(str(address[0])):
                raise ForbiddenAddress(f"{host} has the address {address[0]}, which is not public")
    return targets


def connect(host: str, port: int, *, allow_private: bool, timeout: float) -> socket.socket:
    """A TCP connection to the first checked address that answers; `timeout` bounds all of it together.

    It is also the timeout of the socket returned. Raises UnknownHost, ForbiddenAddress or the OSError of the
    last attempt.
    """
    until = time.monotonic() + timeout
    failure: OSError = TimeoutError(f"{host} did not answer in time")
    for family, address in resolve(host, port, allow_private=allow_private, timeout=timeout):
        left = until - time.monotonic()
        if left <= 0:
            break
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(left, _ATTEMPT_SECONDS))
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            connection.settimeout(timeout)
            return connection
    raise failure


def _wrapped_v4(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped


def _checked_name(host: str) -> str:
    """The name as the resolver may see it: not empty (which means this host), no zone, no control bytes."""
    name = host.strip(" ").removeprefix("[").removesuffix("]")
    if not name or len(name) > 253 or not name.isprintable() or any(c in name for c in "%/\\@ "):
        raise UnknownHost(f"{host[:80]!r} is not the name of a host")
    return name


def _look_up(name: str, port: int, timeout: float) -> list[Target]:
    """getaddrinfo with a limit: it takes none, and a dead name server would hold the caller for a minute.

    The thread left behind ends with the resolver's own timeout.
    """
    answers: queue.SimpleQueue[list[Target] | UnknownHost] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_ask(name, port)), daemon=True).start()
    try:
        answer = answers.get(timeout=max(timeout, 0.01))
    except queue.Empty:
        raise UnknownHost(f"no name server answered for {name}") from None
    if isinstance(answer, UnknownHost):
        raise answer
    return answer


def _ask(name: str, port: int) -> list[Target] | UnknownHost:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, ValueError) as error:  # a ValueError (UnicodeError) is a label no DNS name can have
        return UnknownHost(f"{name} is unknown: {error}")
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]
