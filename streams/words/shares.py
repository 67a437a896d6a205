"""Shares from 0 to 1 as percentages for people: with as many digits as it takes to be seen on the right side of a target."""

from __future__ import annotations

MOST_DIGITS = 12


def percent(share: float | None, target: float | None = None) -> str:
    """A share in per cent. What is below or above its target, all or nothing never looks equal to it.

    >>> percent(0.8996, 0.9), percent(0.9, 0.9), percent(0.99996), percent(None)
    ('89.96%', '90.0%', '99.996%', '–')
    """
    if share is None:
        return "–"
    apart = [bound for bound in (0.0, 1.0, target) if bound is not None and bound != share]
    digits = next((n for n in range(1, MOST_DIGITS) if all(f"{share:.{n}%}" != f"{bound:.{n}%}" for bound in apart)), MOST_DIGITS)
    return f"{share:.{digits}%}"


def target_percent(target: float | None) -> str:
    """A target in per cent, with the digits it was given with.

    >>> target_percent(0.9), target_percent(0.895), target_percent(1.0)
    ('90%', '89.5%', '100%')
    """
    return "–" if target is None else f"{round(target * 100, 10):.12g}%"


def figure(value: float | None, *, share: bool, target: float | None = None) -> str:
    """A measured value: a share, or a number of things.

    >>> figure(1, share=False), figure(1.0, share=True), figure(130_000, share=False)
    ('1', '100.0%', '130,000')
    """
    if share or value is None:
        return percent(value, target)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.12g}"
