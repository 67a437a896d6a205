"""The rules: one small module each, whose file name is the rule's name in packs, metrics and incidents.

A module that judges fixes has

- ``ZONES``: ``"none"``, ``"optional"``, ``"required"`` or ``"outside"`` (required; being in none of them is the offence);
  ``PERMITTED``: whether it takes permitted windows (``"none"``, ``"optional"``, ``"required"``)
- ``Parameters``: a struct of its own YAML keys
- ``prepare(parameters, subject, identifier)``: what the rule means for one vehicle while nothing the registry says about it
  changes: ``False`` (cannot be violated), ``True`` (every fix violates) or a predicate of
  (fix, zones it is inside, subject); the same object for all subjects to which the same applies
- ``minimum_ms(parameters)`` (optional): how long a run must last to count
- ``FORM`` (optional): ``Form.PAIR`` where the predicate is one of (the fix before, the fix) and ``reach_deg(parameters)``
  tells how near two fixes cannot violate, ``Form.SILENCE`` where it is
  the missing next fix that violates, after ``parameters.limit``
- ``TITLE_ZH``: the offence in a few Chinese words (in English: the docstring's first line); ``REASON_ZH``, ``REASON_EN``:
  the incident in words

A module that judges a day's parcel rates has ``Parameters`` and ``rate(counts)`` instead of ``prepare``; one that judges
parcel scans has ``Parameters``, ``SCANS`` (``"accepted"``: the scan by which a parcel is accepted, ``"all"``: any) and
``violates(scan, registry)``, and ``SUBJECT = "enterprise"`` where that is to blame whatever the outlet; one that judges
silences has ``Parameters`` with ``limit``, ``SIGNS`` (whose signs of life it waits for: ``"outlet"`` or ``"enterprise"``)
and ``expects(record)``; one that judges an enterprise's credit has ``Parameters`` and
``standing(parameters, points, active_days)``; one that judges delivery lines has ``Parameters`` with ``lines`` and
``entered(before, places)``.

Any may have ``ASKS_ZH`` and ``ASKS_EN``: what it forbids or asks as a sentence for officials, with ``{whom}``, ``{where}``, ``{zones}``, ``{unless}`` (permitted windows),
``{identifier}`` and its own parameters by name (``streams/policy/wording.py``). Without them its title stands in.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

RULES: dict[str, ModuleType] = {
    name: importlib.import_module(f"{__name__}.{name}") for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")
}


_JUDGED_BY = {"prepare": "fix", "violates": "scan", "rate": "day", "SIGNS": "silence", "standing": "credit", "entered": "line"}


def judged(rule: str) -> str:
    """What a rule judges: each ``fix``, each ``scan``, a ``day`` of parcels, a ``silence`` between signs of life, a ``credit`` standing, a day of a delivery ``line``."""
    return next(what for name, what in _JUDGED_BY.items() if hasattr(RULES[rule], name))
