"""What goes out for deliveries that are due together, and what of them is not to go out any more."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from consumers.messages.facts import OBJECTION_ESCALATES, REMINDER
from consumers.messages.message import Message, Sink, Words
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Delivery
from consumers.sending.batches import number_alike
from streams.clock import now_ms


def withheld(delivery: Delivery, outbox: Outbox, sink: Sink, words: Words) -> tuple[str | None, bool]:
    """Why a delivery is not to be made, and whether it is because its sink is real: nothing synthetic goes there. None: it is to be made."""
    reason = words.withheld(delivery.body, delivery.route) if sink.real else None
    if reason:
        return reason, True
    of_objection = OBJECTION_ESCALATES < delivery.step < REMINDER  # which may come when its incident is old
    if delivery.until_answered and now_ms() - (delivery.due_ms if of_objection else delivery.made_ms) > words.oldest_ms:
        return "too old to escalate", False
    if delivery.only_if_told and not outbox.was_told(delivery.no):
        return "nothing was said of it before", False
    return None, False


def composed(batch: list[Delivery], page: Sequence[Delivery], newest: Mapping[int, bytes], sink: Sink, words: Words) -> tuple[list[Delivery], Message]:
    """The message for a batch, or, where the sink has no room for all that it says, for as much of it as has room.

    ``newest``: what deliveries, by number, say of their incidents that wait for an answer; ``page``: what is due.
    """
    messages = [words.message(each.body, each.route, each.step, newest.get(each.no)) for each in batch]
    at_ms, alike = now_ms(), number_alike(batch, page)

    def written(number: int) -> Message:
        return messages[0] if number == 1 else words.digest(messages[:number], batch[0].route, at_ms, max(0, alike - number))

    whole = written(len(batch))
    if len(batch) == 1 or sink.fits(whole):
        return batch, whole
    number = bisect_left(range(2, len(batch)), True, key=lambda number: not sink.fits(written(number))) + 1
    return batch[:number], written(number)
