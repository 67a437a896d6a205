"""Number plates: one plain form to compare them in, for they are written with dots, blanks and dashes or without. Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=4_096)  # a vehicle shows the same plate in every fix
def plain_plate(plate: str) -> str:
    """A plate's letters and digits alone, in half width and upper case; what is reported and shown stays as it came.

    >>> {plain_plate(plate) for plate in ("云A·12345", "云A12345", "云A-12345", "云a 12345", "云Ａ•１２３４５")}
    {'云A12345'}
    """
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", plate).upper()))
