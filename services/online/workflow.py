"""What Python does for the read path: the spans of what it measured, and the calls of Python functions."""

from __future__ import annotations

import logging
import threading
from typing import Final

from services.online.ports import CallTuple, ReadPath, SpanTuple
from skewless.definitions.catalog import Catalog
from skewless.definitions.meanings import OnDemandView
from skewless.errors import SkewlessError
from skewless.functions.environment import FunctionRef
from skewless.functions.pool import FunctionPool
from skewless.telemetry import names
from skewless.telemetry.start import Finished

log = logging.getLogger(__name__)

_LOOK_MS: Final = 500


def open_functions(read_path: ReadPath, functions: FunctionPool) -> None:
    """Lets the read path ask for Python functions. Raises SkewlessError while no process for them starts."""
    if (found := functions.environment()) is not None:
        read_path.open_functions(found.interpreter, found.machine, found.lock)


def call_functions(read_path: ReadPath, functions: FunctionPool, stop: threading.Event) -> None:
    """Makes the calls that the read path asks for, one after the other, until ``stop``."""
    while not stop.is_set():
        call = read_path.next_call(_LOOK_MS)
        if call is not None:
            _call(read_path, functions, call)
        try:
            functions.tend()
        except SkewlessError as error:
            log.error("%s", error)  # noqa: TRY400 (what it says is enough)


def _call(read_path: ReadPath, functions: FunctionPool, call: CallTuple) -> None:
    ticket, module, name, source, arguments, kind, budget_us, left_s, rows = call
    function = FunctionRef(module, name, source, tuple(arguments), kind, budget_us)
    try:
        read_path.finish_call(ticket, functions.run(function, rows, limit_s=left_s))
    except SkewlessError as error:
        read_path.finish_call(ticket, None, str(error))
    except BaseException:
        read_path.finish_call(ticket, None, "the service could not make the call")
        raise


def tell_refused(catalog: Catalog, functions: FunctionPool) -> None:
    """Logs the Python functions of a catalogue that are not run here; their values are NOT_COMPUTED."""
    for project in catalog.projects():
        for view in catalog.views(project):
            if not isinstance(view, OnDemandView):
                continue
            for feature in view.features:
                try:
                    why = feature.function and functions.refusal(feature.function)
                except SkewlessError as error:
                    why = str(error)
                if why:
                    log.error("not computed: %s:%s of %s: %s", view.ref, feature.name, project, why)


def finished_spans(read_path: ReadPath, most: int) -> list[Finished]:
    """Takes up to ``most`` spans from the read path."""
    return [_finished(span) for span in read_path.drain_spans(most)]


def _finished(span: SpanTuple) -> Finished:
    name, trace_id, span_id, parent_id, start_ns, end_ns, code, request_id, stages = span
    ids = (trace_id, span_id, parent_id, start_ns, end_ns)
    if name == names.STORE_READ.id:
        failure = "the store did not answer" if code else None
        return Finished(names.STORE_READ, "", *ids, {names.DB_SYSTEM: "redis"}, failure)
    service, _, method = name.partition("/")
    attributes: dict[str, str | int] = {
        names.RPC_SYSTEM: "grpc",
        names.RPC_SERVICE: service,
        names.RPC_METHOD: method,
        names.RPC_STATUS: code,
    }
    if request_id is not None:
        attributes[names.REQUEST_ID] = request_id.decode()
    failure = f"gRPC code {code}" if code else None
    return Finished(names.RPC_SERVER, name, *ids, attributes, failure, tuple(stages))
