"""The Prometheus endpoint listens where it is told."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from skewless.telemetry import endpoint


@pytest.mark.parametrize(
    ("listen", "asked"),
    [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("[::]:0", "127.0.0.1"), ("[::]:0", "[::1]")],
)
def test_it_answers_over_either_kind_of_address(listen: str, asked: str) -> None:
    if "[" in listen and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    address, stop = endpoint.serve(listen)
    try:
        host, _, port = address.rpartition(":")
        assert host == listen.rpartition(":")[0]
        with urllib.request.urlopen(f"http://{asked}:{port}{endpoint.PATH}", timeout=5) as answer:
            assert answer.status == 200
    finally:
        stop()


@pytest.mark.parametrize("listen", ["127.0.0.1:http", "127.0.0.1:70000", "[::1:0"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises((OSError, ValueError, OverflowError)):
        endpoint.serve(listen)
