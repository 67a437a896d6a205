"""Which cities a pack's city stands for: itself and, by the levels of GB/T 2260, what lies in it. Pure."""

from __future__ import annotations

PROVINCE, PREFECTURE = "0000", "00"
"""How the codes of a province and of a prefecture end."""


def belongs(city: str | None, own: str | None) -> bool:
    """Whether what names a ``city`` (adcode; None: it names none) is about a pack's ``own`` (None: about anywhere): a province's code covers its prefectures and counties, a prefecture's its counties.

    >>> [belongs(city, "530000") for city in (None, "530000", "530100", "530102", "520100")], [belongs(city, "150100") for city in ("150102", "150000", "150200")]
    ([True, True, True, True, False], [True, False, False])
    """
    if city is None or own is None or city == own:
        return True
    covered = next((own.removesuffix(level) for level in (PROVINCE, PREFECTURE) if own.endswith(level)), None) if len(own) == len(city) == 6 else None
    return covered is not None and city.startswith(covered)
