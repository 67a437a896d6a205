"""A foreign plate without mutual recognition, or off the corridor it is recognised for.

What
    The fix's plate does not match ``home_plate_pattern``, neither as it came nor by its letters and digits alone (云A-12345 is 云A12345), and neither the vehicle nor its enterprise has a valid
    ``cross_border`` pass for a zone that the fix is inside (or for ``*``). A fix without a plate violates nothing, nor does
    a vehicle that is on file as ``plate_kind: non_motor``: its plate is of another kind, and 三（十） lets it deliver.

Clause
    推进跨境运输车辆牌证互认，提高跨境运输服务保障水平 (Yunnan 三（十二）).

Parameters
    ``home_plate_pattern``: a regular expression (RE2 syntax) that must match all of a domestic plate, of an embassy and of the armed police too.

Example
    >>> from streams.wire.events import Fix
    >>> from streams.registry.records import Pass, Vehicle
    >>> from streams.registry.registry import Subject
    >>> held = Pass(id="p", pass_kind="cross_border", vehicle_id="v", zones=["corridor"])
    >>> foreign = prepare(Parameters(), Subject("v", None, None, (held,), 0, 1), None)
    >>> lao = Fix("e", 1, "v", 101.7, 21.2, plate="ກຂ 1234")
    >>> foreign(lao, ("corridor",), None), foreign(lao, (), None), foreign(Fix("e", 1, "v", 101.7, 21.2, plate="云A12345"), (), None)
    (False, True, False)
    >>> prepare(Parameters(), Subject("v", Vehicle(id="v", plate_kind="non_motor"), None, (), 0, 1), None)
    False
"""

from __future__ import annotations

from functools import cache, lru_cache

import msgspec

from streams.patterns import Pattern, compile_pattern
from streams.plates import plain_plate
from streams.registry.registry import Subject
from streams.rules._predicates import Predicate
from streams.wire.events import Fix

ZONES = "optional"
PERMITTED = "optional"
TITLE_ZH = "境外号牌未获互认"
ASKS_ZH = "{whom}悬挂境外号牌（与{home_plate_pattern}这类国内号牌不同）{where}行驶的，须持有在所处区域有效的跨境运输通行证{unless}。"
ASKS_EN = "{whom} with a foreign plate (one unlike a domestic plate such as {home_plate_pattern}) must hold a cross-border pass that is valid where they are{where}{unless}."
REASON_ZH = "车辆 {vehicle_id} 的境外号牌 {plate} 在所处区域未获互认"
REASON_EN = "vehicle {vehicle_id} shows the foreign plate {plate}, which is not recognised where it is"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The default matches mainland plates: a province's character, a letter, then five or six letters or digits; those of embassies (使) and of the armed police (WJ)."""

    home_plate_pattern: str = "[一-\u9fff][A-Z][A-Z0-9一-\u9fff]{5,6}|使[0-9]{6}|WJ[一-\u9fff]?[A-Z0-9]{5,7}"


def prepare(parameters: Parameters, subject: Subject, identifier: Pattern | None) -> bool | Predicate:
    """By each fix's plate and place; never where a pass covers everything, nor of non-motor vehicles."""
    if subject.vehicle is not None and subject.vehicle.plate_kind == "non_motor":
        return False
    corridors = subject.pass_zones(["cross_border"])
    if "*" in corridors:
        return False
    return _foreign(parameters.home_plate_pattern, corridors)


@cache
def _foreign(pattern: str, corridors: frozenset[str]) -> Predicate:
    match = compile_pattern(pattern).fullmatch

    @lru_cache(maxsize=4_096)  # a vehicle shows the same plate in every fix
    def is_foreign(plate: str) -> bool:
        return match(plate) is None and match(plain_plate(plate)) is None

    def foreign(fix: Fix, subject: Subject) -> bool:
        return bool(fix.plate) and is_foreign(fix.plate)

    return Predicate(lambda fix, inside, subject: foreign(fix, subject) and corridors.isdisjoint(inside), reported=foreign)
