"""What the blocking client and that of asyncio have in common: addresses, access, and the calls."""

from __future__ import annotations

from os import PathLike
from typing import Any, ClassVar, Generic, TypeVar

from skewless.api.offline.v1 import offline_service_pb2 as offline_pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as offline_stubs
from skewless.api.online.v1 import online_service_pb2 as online_pb
from skewless.api.online.v1 import online_service_pb2_grpc as online_stubs
from skewless.api.registry.v1 import registry_service_pb2 as registry_pb
from skewless.api.registry.v1 import registry_service_pb2_grpc as registry_stubs
from skewless.api.stream_agg.v1 import stream_agg_service_pb2 as stream_pb
from skewless.api.stream_agg.v1 import stream_agg_service_pb2_grpc as stream_stubs
from skewless.api.validator.v1 import validator_service_pb2 as validator_pb
from skewless.api.validator.v1 import validator_service_pb2_grpc as validator_stubs
from skewless.client import _asking, _calls
from skewless.client.cache import AnswerCache
from skewless.rpc.access import ANYBODY, Access

PeerT = TypeVar("PeerT")


class Client(Generic[PeerT]):
    """A project, the services that are asked, and how."""

    make_peer: ClassVar[type[Any]]
    """Of a name, an address, the descriptor of a service, what makes its stub, and access to it."""

    def __init__(
        self,
        project: str,
        *,
        registry: str | None = None,
        online: str | None = None,
        offline: str | None = None,
        stream_agg: str | None = None,
        validator: str | None = None,
        timeout_s: float = 10.0,
        api_key: str | None = None,
        tls: bool = False,
        ca_file: str | PathLike[str] | None = None,
        cert_file: str | PathLike[str] | None = None,
        key_file: str | PathLike[str] | None = None,
        cache: AnswerCache | None = None,
    ) -> None:
        if cache is not None:
            _asking.a(AnswerCache, cache, "cache", "an AnswerCache")
        self._calls = _calls.Calls(project, timeout_s, cache)
        access = Access(
            _asking.flag(tls, "tls"),
            _asking.path(ca_file, "ca_file"),
            _asking.path(cert_file, "cert_file"),
            _asking.path(key_file, "key_file"),
            None if api_key is None else _asking.text(api_key, "api_key"),
        )

        def peer(name: str, address: str | None, messages: Any, service: str, stubs: Any) -> PeerT:
            checked = None if address is None else _asking.text(address, name)
            descriptor = messages.DESCRIPTOR.services_by_name[service]
            of_it = access if name == _calls.ONLINE else ANYBODY
            made: PeerT = self.make_peer(name, checked, descriptor, getattr(stubs, f"{service}Stub"), of_it)
            return made

        self._peers = {
            _calls.REGISTRY: peer("registry", registry, registry_pb, "RegistryService", registry_stubs),
            _calls.ONLINE: peer("online", online, online_pb, "OnlineService", online_stubs),
            _calls.OFFLINE: peer("offline", offline, offline_pb, "OfflineService", offline_stubs),
            _calls.STREAM_AGG: peer("stream_agg", stream_agg, stream_pb, "StreamAggService", stream_stubs),
            _calls.VALIDATOR: peer("validator", validator, validator_pb, "ValidatorService", validator_stubs),
        }

    @property
    def project(self) -> str:
        """The project's name."""
        return self._calls.project

    @property
    def timeout_s(self) -> float:
        """The deadline of calls that answer at once."""
        return self._calls.timeout_s
