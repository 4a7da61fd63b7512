"""The kernel as the library and the services name it: whatever `skewless_kernel` offers."""

import skewless_kernel
from skewless_kernel import *  # noqa: F403 (the list of names stands there)

__all__: list[str] = []
__all__ += skewless_kernel.__all__
