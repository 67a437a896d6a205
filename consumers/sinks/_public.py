"""Which IP addresses may be a sink's. It stands by itself, so that the process of apprise can read it alone."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def allowed(address: str, *, private: bool, local: bool) -> bool:
    """Whether an IP address may be a sink's: a public one; a private one if that is configured; this machine if it was named so."""
    ip = _reached(ipaddress.ip_address(address.partition("%")[0]))
    if ip.is_loopback:
        return local
    if any(ip.version == network.version and ip in network for network in _LINK_LOCAL):
        return False
    if ip.is_unspecified or ip.is_multicast or ip.is_reserved:
        return False
    return private or (ip.is_global and not (ip.version == 6 and ip.is_site_local))


def _reached(ip: _Address) -> _Address:
    """What an address leads to: an IPv4 address where an IPv6 one carries that (mapped, NAT64, 6to4, Teredo), else itself."""
    if ip.version == 4:
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def is_this_machine(host: str) -> bool:
    """Whether a host is named so that it can be no other: ``localhost``, or an address of loopback.

    >>> [is_this_machine(host) for host in ("localhost", "127.0.0.2", "::1", "127.1", "police.example")]
    [True, True, True, False, False]
    """
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
