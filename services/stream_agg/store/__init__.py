"""Storage: states in Valkey, event logs and the progress table in Delta."""

from services.stream_agg.store.lake import LakeEvents, LakeProgress
from services.stream_agg.store.states import ValkeyStore

__all__ = ["LakeEvents", "LakeProgress", "ValkeyStore"]
