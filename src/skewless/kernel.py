"""The kernel as the rest of the library sees it: the only module that names the extension."""

from skewless_kernel import SEMANTICS_REVISION, default_hop, floor_to_hop

__all__ = ["SEMANTICS_REVISION", "default_hop", "floor_to_hop"]
