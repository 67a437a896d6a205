"""Asking again and again whether something is so."""

from __future__ import annotations

from collections.abc import Callable
from operator import not_

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed


def until(holds: Callable[[], bool], *, within_s: float, every_s: float) -> bool:
    """Ask until it holds; False where it did not in time. What asking raises ends the wait.

    >>> until(iter([False, True]).__next__, within_s=1, every_s=0), until(lambda: False, within_s=0, every_s=0)
    (True, False)
    """
    ask = Retrying(retry=retry_if_result(not_), stop=stop_after_delay(within_s), wait=wait_fixed(every_s), retry_error_callback=lambda _: False)
    return ask(holds)
