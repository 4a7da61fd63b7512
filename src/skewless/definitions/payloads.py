"""The forms of stream payloads other than JSON, as sources see them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from skewless.definitions.building import Build


class Payload(ABC):
    """How a record's bytes hold the columns of a source."""

    @abstractmethod
    def document(self, build: Build, columns: Mapping[str, str]) -> dict[str, Any]:
        """The payload as it stands in the meaning of a source with these columns, by name their types.

        Faults are noted in `build`; the document is then a stand-in.
        """
