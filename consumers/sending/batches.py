"""Which of the deliveries that are due go out together, as one message. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consumers.outbox.rows import Delivery

MOST_TOGETHER = 200
"""A digest stands for so many; what is more goes out after it, as it says."""


class Batches:
    """Puts digests together, and keeps those that were not taken, by the numbers of their deliveries: tried again, they are what they were, under the same id."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, ...]] = {}

    def next(self, page: Sequence[Delivery], *, all_of_route: bool) -> list[Delivery]:
        """The first of a page and what goes out with it: what has its fold in common, or all of its route. None goes before an earlier one of its incident."""
        first = page[0]
        if first.fold is None and not all_of_route:
            return [first]
        found, left_out = list[Delivery](), set[str]()
        for delivery in page[:MOST_TOGETHER]:
            alike = delivery.route == first.route and (all_of_route or delivery.fold == first.fold)
            if alike and delivery.no not in self._kept and delivery.incident_id not in left_out:
                found.append(delivery)
            else:
                left_out.add(delivery.incident_id)
        return found

    def keep(self, batch: Sequence[Delivery]) -> None:
        """A message was not taken."""
        if len(batch) > 1:
            numbers = tuple(delivery.no for delivery in batch)
            self._kept |= dict.fromkeys(numbers, numbers)

    def recall(self, batches: Iterable[Sequence[int]]) -> None:
        """Digests that may have been sent before this dispatch began."""
        for numbers in batches:
            self._kept |= dict.fromkeys(numbers, tuple(numbers))

    def kept(self, delivery: Delivery) -> tuple[int, ...]:
        """The deliveries that went into a digest with this one, which was not taken; none where there was none."""
        return self._kept.get(delivery.no, ())

    def release(self, numbers: Sequence[int]) -> None:
        """These go out together no more: they were taken, or are not to be sent."""
        for number in numbers:
            self._kept.pop(number, None)


def number_alike(batch: Sequence[Delivery], page: Sequence[Delivery]) -> int:
    """How many of a page are for the same digest as those of a batch, themselves included."""
    folds = {delivery.fold for delivery in batch}
    return sum(delivery.route == batch[0].route and (delivery.fold in folds or len(folds) > 1) for delivery in page)
