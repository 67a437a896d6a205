"""How many messages a sink may be sent: at most so many within so many seconds, by one or more limits. Pure: the time is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Budget:
    """``limits``: pairs of a number of messages and the seconds in which no more than that are sent; none: as many as there are."""

    def __init__(self, limits: Sequence[tuple[int, float]]) -> None:
        self.limits = limits
        self._sent_s: deque[float] = deque(maxlen=max((most for most, _ in limits), default=0))

    def sent(self, at_s: float) -> None:
        """A message was sent."""
        self._sent_s.append(at_s)

    def left(self, at_s: float) -> float:
        """How many may be sent now.

        >>> budget = Budget([(2, 60.0)]); budget.sent(0.0); budget.left(1.0), budget.wait_s(1.0)
        (1, 0.0)
        """
        return min((most - sum(at_s - sent_s < span_s for sent_s in self._sent_s) for most, span_s in self.limits), default=float("inf"))

    def wait_s(self, at_s: float) -> float:
        """Seconds until one more may be sent."""
        waits_s = [0.0]
        for most, span_s in self.limits:
            if len(self._sent_s) >= most:
                waits_s.append(self._sent_s[-most] + span_s - at_s)
        return max(waits_s)
