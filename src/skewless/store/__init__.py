"""The online store as the services write it: one server, the one that Sentinels name, or the primaries of a cluster."""

from skewless.store.primaries import Primaries, Store
from skewless.store.server import StoreLostError, StoreRefusedError

__all__ = ["Primaries", "Store", "StoreLostError", "StoreRefusedError"]
