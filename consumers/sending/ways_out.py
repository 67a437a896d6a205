"""The sinks that are in force, each with a dispatch in a thread of its own, and the routes that lead there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import structlog

from consumers.alerts import alert_message
from consumers.incident_events import read_event
from consumers.messages.message import Message, Sink
from consumers.outbox.outbox import Outbox
from consumers.routing.routes import Destination, Routing, SinkConfig
from consumers.sending.dispatch import Dispatch
from consumers.sinks import open_sink
from streams import metrics
from streams.errors import BadInput, Unavailable

log = structlog.get_logger()

ALERTS_ROUTE = "alerts of the system"
"""Stands where a route's name would: alerts about the system itself go to all sinks but those that reach real police."""
ENDS_WITHIN_S = 5.0
OPENED_SOON_S = 0.2
"""So long are sinks of other routes waited for, each time; in between incidents are read on."""
OPENS_AGAIN_S = 60.0
"""When routes with a sink that cannot be opened now are tried again."""


class WaysOut:
    """Opens sinks as the routing says, and follows it when it changes: whole or not at all.

    ``outbox``: its file; ``lag``: incidents that are not in it yet; ``failed`` is called where a dispatch cannot go on, with the reason.
    """

    def __init__(self, outbox: Path, routing: Routing, lag: Callable[[], int], failed: Callable[[Exception], None]) -> None:
        self.routing = self._seen = routing
        self._outbox, self._lag, self._failed = outbox, lag, failed
        self._dispatches: dict[str, Dispatch] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._left: set[str] = set()  # sinks that are gone and for which something waits
        self._again_s = float("-inf")
        self._opening: tuple[Routing, Future[dict[str, Sink]]] | None = None
        self._replace(routing, _all_opened(self._changed(routing)))

    def _changed(self, routing: Routing) -> dict[str, SinkConfig]:
        return {name: config for name, config in routing.sinks.items() if name not in self._dispatches or self.routing.sinks[name] != config}

    def _replace(self, routing: Routing, opened: Mapping[str, Sink]) -> None:
        for name in [name for name in self._dispatches if name in opened or name not in routing.sinks]:
            self._end(name)
        self.routing = routing
        for name, sink in opened.items():
            self._begin(name, sink)

    def _begin(self, name: str, sink: Sink) -> None:
        dispatch = self._dispatches[name] = Dispatch(self._outbox, sink, self)
        metrics.OUTBOX_PENDING.labels(name).set_function(lambda: dispatch.pending + self._lag())
        for outcome in ("delivered", "folded", "retried", "refused", "synthetic", "unreadable"):
            metrics.NOTIFICATIONS.labels(name, outcome)
        thread = self._threads[name] = threading.Thread(target=self._run, args=(dispatch,), daemon=True, name=name)
        thread.start()

    def _run(self, dispatch: Dispatch) -> None:
        try:
            dispatch.run()
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            self._failed(error)

    def _end(self, name: str) -> None:
        self._dispatches.pop(name).stop()
        self._threads.pop(name).join(ENDS_WITHIN_S)
        for metric in (metrics.OUTBOX_PENDING, metrics.SINK_FAILING, metrics.SINK_OFF):
            metric.remove(name)

    def follow(self, routing: Routing) -> bool:
        """Go on by another routing; whether it is one. One with a sink that cannot be opened is told in the log, and the one before stays; it is tried again where that may pass.

        Sinks are opened in a thread of their own, since a name that is looked up for long, or a program that starts, is not to hold up incidents.
        """
        if self._opening is None:
            if routing is self._seen or time.monotonic() < self._again_s:
                return False
            self._opening = routing, _in_a_thread(self._changed(routing))
        routing, opening = self._opening
        with suppress(TimeoutError):
            opening.exception(OPENED_SOON_S)
        if not opening.done():
            return False
        self._opening = None
        try:
            self._replace(routing, opening.result())
        except BadInput as error:
            self._seen = routing
            log.error("the routes stay as they were", error=str(error))
            return False
        except Unavailable as error:
            self._again_s = time.monotonic() + OPENS_AGAIN_S
            log.error("the routes stay as they were for now", error=str(error), again_in_s=OPENS_AGAIN_S)
            return False
        self._seen = routing
        log.info("other routes are in force", sinks=sorted(routing.sinks))
        return True

    def count_left(self, outbox: Outbox, *, anew: bool = False) -> None:
        """What waits for sinks that are gone stays in sight, by its metric; ``anew``: look for such sinks, and say it in the log."""
        if anew:
            self._left = outbox.sinks_waited_for() - self._dispatches.keys()
        for name in sorted(self._left):
            number = outbox.pending(name)
            metrics.OUTBOX_PENDING.labels(name).set(number)
            if anew:
                log.warning("some wait for a sink that no route names; name it again, or ./yicheng notifier failed drop --sink NAME --waiting", sink=name, waiting=number)
            elif not number:
                self._left.remove(name)
                metrics.OUTBOX_PENDING.remove(name)

    @property
    def oldest_ms(self) -> int:
        """Nothing older escalates."""
        return self.routing.oldest_ms

    def is_real(self, sink: str) -> bool:
        """Whether a sink reaches real police."""
        return self._dispatches[sink].sink.real

    def for_alerts(self, at_ms: int) -> list[Destination]:
        """Where alerts about the system go."""
        takers = (dispatch.sink for dispatch in self._dispatches.values() if dispatch.sink.takes_alerts and not dispatch.sink.real)
        return [Destination(sink.name, ALERTS_ROUTE, 0, at_ms, None, until_answered=False) for sink in takers]

    def message(self, body: bytes, route: str, step: int, newest: bytes | None = None) -> Message:
        """One delivery in words; the newest of an incident keeps the id under which the delivery was entered."""
        if route == ALERTS_ROUTE:
            return alert_message(body)
        event = read_event(body)
        if newest is None:
            return self.routing.message(event, route, step)
        return self.routing.message(read_event(newest)._replace(event_id=event.event_id), route, step, unanswered=True)

    def digest(self, messages: Sequence[Message], route: str, now_ms: int, following: int = 0) -> Message:
        """Several deliveries in words."""
        return self.routing.digest(messages, route, now_ms, following)

    def withheld(self, body: bytes, route: str) -> str | None:
        """Real police get nothing that is synthetic, nor alerts about the system, also where a sink was made real while these waited."""
        if route == ALERTS_ROUTE:
            return "alert"
        return "synthetic" if read_event(body).synthetic else None

    def notice(self, destinations: Iterable[Destination]) -> None:
        """These were put into the outbox."""
        for name in {to.sink for to in destinations}:
            if dispatch := self._dispatches.get(name):
                dispatch.notice()

    def stop(self) -> None:
        """Deliver nothing more; from any thread."""
        for dispatch in list(self._dispatches.values()):
            dispatch.stop()

    def join(self) -> None:
        """Wait until every sink is closed."""
        for thread in list(self._threads.values()):
            thread.join(ENDS_WITHIN_S)


def _in_a_thread(configs: Mapping[str, SinkConfig]) -> Future[dict[str, Sink]]:
    """The sinks, once they are opened; the process need not wait for that to end."""
    opening = Future[dict[str, Sink]]()

    def run() -> None:
        try:
            opening.set_result(_all_opened(configs))
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            opening.set_exception(error)

    threading.Thread(target=run, daemon=True, name="opening sinks").start()
    return opening


def _all_opened(configs: Mapping[str, SinkConfig]) -> dict[str, Sink]:
    """All of them or none; ``BadInput`` or ``Unavailable`` where one cannot be opened."""
    opened: dict[str, Sink] = {}
    try:
        for name, config in configs.items():
            opened[name] = _opened(name, config)
    except (BadInput, Unavailable):
        for sink in opened.values():
            sink.close()
        raise
    return opened


def _opened(name: str, config: SinkConfig) -> Sink:
    try:
        return open_sink(config.kind, name, config.options)
    except BadInput as error:
        raise BadInput(f"{config.where}: {error}" if config.where else str(error)) from None
