"""Lines of the log: for people, or as JSON; with the trace they belong to."""

from __future__ import annotations

import json
import logging
import time
from typing import Final

from skewless.telemetry.spans import ids

TEXT: Final = "text"
JSON: Final = "json"


def set_up(level: str, form: str = TEXT) -> None:
    """Logs of this process go to stderr, from ``level`` on, as ``text`` or ``json``."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == JSON else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class TextLines(logging.Formatter):
    """``time LEVEL logger message``, and the ids of the trace inside of one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base class's name)
        line = super().formatMessage(record)
        found = ids()
        return f"{line} trace_id={found[0]} span_id={found[1]}" if found else line


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message; exception, trace_id and span_id if there are."""

    def format(self, record: logging.LogRecord) -> str:
        seconds, milliseconds = divmod(round(record.created * 1_000), 1_000)
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if found := ids():
            line["trace_id"], line["span_id"] = found
        return json.dumps(line)
