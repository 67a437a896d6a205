"""One sink's way out: takes what is due from the outbox, in a thread of its own, and hands it over until the sink has it.

    outbox ──▶ what is due, in order of each incident ──▶ one message, or a digest of several ──▶ sink ──▶ outbox: delivered, again later, failed

A sink that does not answer pauses as a whole (0.2 s, doubling to 30 s), and another message is tried next; what failed alone while others
were taken is set aside on a schedule over hours, and given up at its end. Nothing else that a sink does concerns another sink.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from consumers.messages.message import Sink, Words
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Delivery
from consumers.sending.batches import MOST_TOGETHER, Batches
from consumers.sending.budget import Budget
from consumers.sending.composing import composed, withheld
from streams import metrics
from streams.clock import now_ms
from streams.errors import AskedToWait, BadInput, NotTaken, Unavailable

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
LATER_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""When something that a sink did not take is tried again, each time after the time before (Standard Webhooks' schedule)."""
OFF_AFTER_S = 5 * 86_400.0
"""A sink that has failed for so long, without taking anything, is switched off."""
PAGE = MOST_TOGETHER + 1
MOST_ALONE = 2
"""When so many incidents at most were not taken before another was, they have failed by themselves; when more, the sink was away."""
MARKED_EVERY_S = 0.05
LOOKS_EVERY_S = 0.5
COUNTED_EVERY_S = 2.0


class Dispatch:
    """Delivers to one sink until told to stop. ``words``: those of the routes that are in force at each time."""

    def __init__(self, path: Path, sink: Sink, words: Words) -> None:
        self.sink = sink
        self.words = words
        self.stopping = threading.Event()
        self.pending = 0
        self._path = path
        self._new = threading.Event()
        self._budget = Budget(sink.limits)
        self._batches = Batches()
        self._done_ms = 0
        self._tried: set[str] = set()
        self._not_taken: set[str] = set()  # incidents, since the sink took something last
        self._refused: set[str] = set()  # those of them that a sink which answers did not take by themselves
        self._aside: set[str] = set()
        self._spared: set[str] = set()  # incidents that were not charged with the last time that they were not taken
        self._held: list[tuple[int, float, str | None]] = []  # delivered, and not yet marked so: number, seconds it took, answer
        self._held_since_s = 0.0
        self._pause_s = 0.0
        self._counted_s = float("-inf")
        self._failing_since_s: float | None = None
        metrics.SINK_FAILING.labels(sink.name).set(0)

    def notice(self) -> None:
        """Something was put into the outbox; from any thread."""
        self._new.set()

    def stop(self) -> None:
        """Deliver nothing more; from any thread."""
        self.stopping.set()
        self._new.set()
        self.sink.give_up()

    def run(self) -> None:
        """Deliver; returns after ``stop``."""
        outbox = Outbox(self._path)
        try:
            with suppress(Unavailable):
                self._batches.recall(outbox.batches(self.sink.name))
                self._recall_what_was_sent(outbox)
            while not self.stopping.is_set():
                self._new.clear()
                try:
                    busy = self._round(outbox)
                except Unavailable as error:  # nothing more is sent until what was sent is durable and marked
                    log.error("what was delivered cannot be marked now, trying again", sink=self.sink.name, error=str(error))
                    busy = False
                if not busy:
                    self._new.wait(LOOKS_EVERY_S)
        finally:
            with suppress(Unavailable):
                self._mark(outbox)
            outbox.close()
            try:
                self.sink.close()
            except OSError as error:
                log.error("sink does not close; what it did not take is delivered again", sink=self.sink.name, error=error.strerror)

    def _round(self, outbox: Outbox) -> bool:
        """Hand over what is due now; whether there was anything."""
        self._mark(outbox)
        self._count_pending(outbox)
        off = outbox.is_off(self.sink.name)
        metrics.SINK_OFF.labels(self.sink.name).set(off)
        let_alone = off or outbox.waits_until_ms(self.sink.name) > now_ms()
        if let_alone:
            metrics.SINK_FAILING.labels(self.sink.name).set(1)
        page = [] if let_alone else outbox.due(self.sink.name, now_ms(), PAGE)
        busy = bool(page)
        while page and not self.stopping.is_set():
            self._aside.clear()
            settled = self._hand_over(outbox, self._next(outbox, page), page)
            if settled is None or len(settled) > 1:  # after a digest the page may be the mere end of another
                break
            page = [delivery for delivery in page if delivery.no not in settled and delivery.incident_id not in self._aside]
        self._mark(outbox)
        return busy

    def _recall_what_was_sent(self, outbox: Outbox) -> None:
        """What was sent shortly before this dispatch began counts for its budget."""
        if self._budget.limits:
            at_ms, at_s = now_ms(), time.monotonic()
            for sent_ms in outbox.sent(self.sink.name, at_ms - int(1000 * max(span_s for _, span_s in self._budget.limits))):
                self._budget.sent(at_s - max(0, at_ms - sent_ms) / 1000)

    def _next(self, outbox: Outbox, page: Sequence[Delivery]) -> list[Delivery]:
        """What goes out as one message: the first delivery of no incident that was just tried in vain, and what belongs into a digest with it."""
        untried = [delivery for delivery in page if delivery.incident_id not in self._tried]
        if not untried:
            self._tried.clear()
            untried = list(page)
        if len(self._not_taken) > MOST_ALONE:  # the first of the page may be all that is wrong: try something of the rest
            chosen = random.choice(untried).incident_id
            untried.sort(key=lambda delivery: delivery.incident_id != chosen)
        if numbers := self._batches.kept(untried[0]):
            again = outbox.waiting(numbers)
            if len(again) == len(numbers):
                return again
            self._batches.release(numbers)  # something of it is not to be sent any more: what is left is another message
        if not self.sink.takes_digests:
            return untried[:1]
        batch = self._batches.next(untried, all_of_route=self.sink.folds and len(untried) > self._budget.left(time.monotonic()))
        return sorted(batch, key=lambda delivery: (delivery.due_ms, delivery.no))

    def _hand_over(self, outbox: Outbox, batch: list[Delivery], page: Sequence[Delivery]) -> set[int] | None:
        """Hand over one message of what is due; the numbers of what is done with now, None: leave the page."""
        if (wait_s := self._budget.wait_s(time.monotonic())) > 0:
            self._mark(outbox)
            self.stopping.wait(min(wait_s, LOOKS_EVERY_S))
            return None
        started_s = time.monotonic()
        try:
            gone, newest = self._not_to_go_out(outbox, batch)
            if gone:
                return gone
            batch, message = composed(batch, page, newest, self.sink, self.words)
            if len(batch) > 1 and not self._batches.kept(batch[0]):
                outbox.put_together([delivery.no for delivery in batch])
            try:
                answer = self.sink.deliver(message)
            finally:
                self._budget.sent(time.monotonic())  # a service counts what it does not take, too
        except NotTaken as error:
            self._refused |= {delivery.incident_id for delivery in batch}
            if len(self._refused) > MOST_ALONE:  # it takes nothing of anybody: that says nothing about these
                self._unwell(outbox, batch, error)
                return None
            self._try_later(outbox, batch, str(error))
        except Unavailable as error:
            if not self.stopping.is_set():
                self._unwell(outbox, batch, error)
            return None
        except BadInput as error:
            self._count("refused", len(batch))
            log.error("sink refused for good", sink=self.sink.name, message=f"{batch[0].incident_id}/{batch[0].revision}", error=str(error))
            outbox.fail([delivery.no for delivery in batch], now_ms(), str(error))
        except Exception as error:  # noqa: BLE001 - whatever one message does to a sink, it ends nobody
            log.error("a message broke its sink", sink=self.sink.name, message=f"{batch[0].incident_id}/{batch[0].revision}", error=type(error).__name__)
            self._try_later(outbox, batch, f"broke the sink: {type(error).__name__}")
        else:
            self._taken(outbox, batch, time.monotonic() - started_s, answer)
        return {delivery.no for delivery in batch}

    def _not_to_go_out(self, outbox: Outbox, batch: Sequence[Delivery]) -> tuple[set[int], dict[int, bytes]]:
        """The numbers of what is not to be sent, dropped or answered since the page was read, and what those that wait for an answer say now."""
        found, newest = set(), {}
        for delivery in batch:
            reason, counts = withheld(delivery, outbox, self.sink, self.words)
            if reason:
                if counts:
                    self._count(reason, 1)
                outbox.drop([delivery.no], now_ms(), reason)
                found.add(delivery.no)
            elif delivery.until_answered:
                if (body := outbox.claim(delivery.no)) is None:
                    found.add(delivery.no)
                else:
                    newest[delivery.no] = body
        return found, newest

    def _taken(self, outbox: Outbox, batch: Sequence[Delivery], took_s: float, answer: str | None) -> None:
        at_s = time.monotonic()
        self._batches.release([delivery.no for delivery in batch])
        self._spared -= {delivery.incident_id for delivery in batch}
        self._refused.clear()
        self._count("delivered", 1)
        self._count("folded", len(batch) - 1)
        metrics.NOTIFICATION_SECONDS.labels(self.sink.name).observe(took_s)
        if not self._held:
            self._held_since_s = at_s
        self._held += [(delivery.no, took_s, answer) for delivery in batch]
        if at_s - self._held_since_s > MARKED_EVERY_S or len(batch) > 1 or self._budget.limits:  # then the time of each message is known after a restart
            self._mark(outbox)
        if self._failing_since_s is not None:
            self._well_again(outbox)

    def _well_again(self, outbox: Outbox) -> None:
        """It takes again: what it would not take meanwhile is set aside, and charged with it, unless the sink was away for all; but no incident is spared twice running."""
        self._failing_since_s, self._pause_s = None, 0.0
        metrics.SINK_FAILING.labels(self.sink.name).set(0)
        outbox.failing(self.sink.name, None)
        alone = len(self._not_taken) <= MOST_ALONE
        self._not_taken.clear()
        tried, self._tried = self._tried, set()
        failed = {delivery.incident_id: delivery for delivery in reversed(outbox.due(self.sink.name, now_ms(), PAGE)) if delivery.incident_id in tried}
        for charged in (True, False):
            batch = [delivery for name, delivery in failed.items() if (alone or name in self._spared) is charged]
            self._set_aside(outbox, batch, None, charged=charged)
        self._spared = self._spared ^ failed.keys() if not alone else self._spared - failed.keys()

    def _unwell(self, outbox: Outbox, batch: Sequence[Delivery], error: Unavailable) -> None:
        """The sink takes nothing now: all of it pauses, and what was tried stays where it is."""
        self._count("retried", len(batch))
        self._batches.keep(batch)
        metrics.SINK_FAILING.labels(self.sink.name).set(1)
        outbox.not_taken([delivery.no for delivery in batch], str(error))
        for incidents in (self._tried, self._not_taken):
            incidents.update(delivery.incident_id for delivery in batch)
        now_s = time.monotonic()
        since_s, self._failing_since_s = self._failing_since_s, now_s
        if outbox.failing(self.sink.name, now_s - (since_s or now_s)) > OFF_AFTER_S:
            outbox.switch(self.sink.name, off=True)
            log.error("sink failed for days and is switched off; ./yicheng notifier failed retry --sink NAME switches it on", sink=self.sink.name)
        self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause_s))
        wait_s, asked_s = self._pause_s * random.uniform(0.5, 1.0), error.after_s if isinstance(error, AskedToWait) else 0.0
        if asked_s:  # another dispatch, after a restart or with other options, waits for it too
            outbox.let_alone(self.sink.name, now_ms() + math.ceil(1000 * asked_s))
        log.warning("sink takes nothing now, trying again", sink=self.sink.name, in_s=round(max(wait_s, asked_s), 1), error=str(error))
        self._mark(outbox)
        self._pause(outbox, wait_s)

    def _pause(self, outbox: Outbox, wait_s: float) -> None:
        """Hand over nothing for so long, or until ``stop``; what waits is counted meanwhile."""
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0 and not self.stopping.wait(min(left_s, COUNTED_EVERY_S)):
            self._count_pending(outbox)

    def _count_pending(self, outbox: Outbox) -> None:
        if time.monotonic() > self._counted_s + COUNTED_EVERY_S:
            self._counted_s, self.pending = time.monotonic(), outbox.pending(self.sink.name)

    def _try_later(self, outbox: Outbox, batch: Sequence[Delivery], reason: str) -> None:
        self._count("retried", len(batch))
        self._batches.keep(batch)
        self._set_aside(outbox, batch, reason)

    def _set_aside(self, outbox: Outbox, batch: Sequence[Delivery], why: str | None, *, charged: bool = True) -> None:
        """Try these again later (``why`` is None: not taken while others were, as each says), what was tried together at one time, or no more; nothing else of their incidents meanwhile."""
        self._aside |= {delivery.incident_id for delivery in batch}
        spread = random.uniform(1.0, 1.2)
        for delivery in batch:
            step, reason = delivery.attempts if charged else 0, why or delivery.reason or "not taken while others were"
            if step < len(LATER_S):
                outbox.set_aside(delivery, now_ms() + int(LATER_S[step] * 1000 * spread), reason, charged=charged)
            else:
                self._count("refused", 1)
                log.error("sink did not take it for hours; given up", sink=self.sink.name, message=f"{delivery.incident_id}/{delivery.revision}", error=reason)
                outbox.fail([delivery.no], now_ms(), reason)

    def _mark(self, outbox: Outbox) -> None:
        """Mark what the sink has taken, after it has made that durable; what it could not make durable is delivered again."""
        if self._held:
            try:
                self.sink.flush()
            except Unavailable:
                self._held.clear()
                raise
            self._done_ms = max(now_ms(), self._done_ms + 1)  # messages are told apart by when they were taken
            outbox.delivered(self._held, self._done_ms)
            self._held.clear()

    def _count(self, outcome: str, number: int) -> None:
        metrics.NOTIFICATIONS.labels(self.sink.name, outcome).inc(number)
