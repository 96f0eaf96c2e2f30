"""What is written down of requests: the access log and spans, each only if the settings want it."""

import os
import sys
from random import Random

from router.access_log import AccessLog, access_log_sink
from router.core import Core
from router.settings import RouterSettings
from router.trace_context import note_client_trace

_SWITCH_INTERVAL_S = 0.001


class Records:
    """Of one router. With everything off it adds nothing to a request's way."""

    def __init__(self, settings: RouterSettings, *, router_id: str, rng: Random) -> None:
        self._access_log: AccessLog | None = None
        if settings.access_log:
            sink = access_log_sink(settings.access_log)
            self._access_log = AccessLog(sink, sample=settings.access_log_sample, rng=rng)
        self._tracing = None
        if settings.otlp_endpoint and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
            from router.tracing import Tracing, otlp_exporter

            # Spans are encoded in a thread. It must not keep the event loop waiting for Python's usual 5 ms at a time.
            sys.setswitchinterval(_SWITCH_INTERVAL_S)
            self._tracing = Tracing(
                otlp_exporter(settings.otlp_endpoint),
                router_id=router_id,
                sample=settings.trace_sample,
                max_per_s=settings.trace_max_per_s,
                rng=rng,
            )

    def observe(self, core: Core) -> None:
        """From now on what happens in `core` is written down."""
        if self._access_log is not None:
            access_log = self._access_log
            core.observers.append(access_log)
            core.settle_trace = note_client_trace
            core.telemetry.log_lines_lost = lambda: access_log.lost
        if self._tracing is not None:
            core.observers.append(self._tracing)
            core.settle_trace = self._tracing.settle

    def flush(self) -> None:
        """Called several times a second. Does not wait."""
        if self._access_log is not None:
            self._access_log.flush()

    def close(self) -> None:
        """Writes what is left. Waits for disk and network, some seconds at most."""
        if self._access_log is not None:
            self._access_log.close()
        if self._tracing is not None:
            self._tracing.close()
