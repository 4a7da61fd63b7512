"""The embedded stack: every part of the mesh as a real process on the loopback interface, in one tree.

    with LocalMesh(directory, services=("registry", "online", "stream_agg")) as mesh:
        mesh.addresses["registry"]      # 127.0.0.1:43127
        mesh.kill("stream_agg")         # as a crash would
        mesh.restart("stream_agg")      # on the same port, with the same data

Store and broker start first, then all services at once; they stop the other way round. When the process
that holds the mesh ends, in whatever way, the kernel of the machine ends every part.
"""

from skewless.local.mesh import BROKER, STORE, LocalMesh
from skewless.local.ports import LocalError, PortTakenError
from skewless.local.process import Part

__all__ = ["BROKER", "STORE", "LocalError", "LocalMesh", "Part", "PortTakenError"]
