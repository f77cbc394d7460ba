"""Who a client is: the address a proxy names, and the network it counts under. One reading for REST and sockets.

Source: docs/reference/relay.md, "Settings" and "Rates".
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

IPV6_PREFIX: Final = 64  # what one household or one rented server gets


def last_hop(forwarded: Iterable[str]) -> str | None:
    """Return the client as the proxy next to us names it, without a port; None if it names nobody.

    Args:
        forwarded: Values of all X-Forwarded-For headers, in order.
    """
    hop = ",".join(forwarded).rpartition(",")[2].strip()
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:  # an IPv6 address without brackets has at least two
        hop = hop.partition(":")[0]
    return hop or None


def network_of(host: str) -> str:
    """Return the IPv4 address or the IPv6 /64 a client counts under; another text as it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
