"""Which IP addresses may be a sink's. It stands by itself, so that the process of apprise can read it alone."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10")


def allowed(address: str, *, private: bool, local: bool) -> bool:
    """Whether an IP address may be a sink's: a public one; a private one if that is configured; this machine if it was named so."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return local
    if any(ip.version == network.version and ip in network for network in _LINK_LOCAL):
        return False
    if ip.is_unspecified or ip.is_multicast or ip.is_reserved:
        return False
    return ip.is_global or private


def is_this_machine(host: str) -> bool:
    """Whether a host is named so that it can be no other: ``localhost``, or an address of loopback.

    >>> [is_this_machine(host) for host in ("localhost", "127.0.0.2", "::1", "127.1", "police.example")]
    [True, True, True, False, False]
    """
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
