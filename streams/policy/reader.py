"""Policy packs: a city's document as data, read strictly (every mistake names file, line and the nearest valid key)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec

from streams.clock import bound_ms
from streams.errors import BadInput, nearest
from streams.files.small_files import read_beside, read_small
from streams.files.typed_yaml import YamlSource
from streams.policy.checks import (
    exempts_everybody,
    is_share,
    list_problem,
    number_problem,
    pack_record,
    parameter_problems,
    pattern_problem,
    points_problem,
)
from streams.policy.claims import claim_problem, document_problem, exemptions, misplaced, misquotes, target_problem
from streams.policy.doubts import doubts
from streams.policy.pack import Pack, Rule, Target, WrittenPack, ZoneKind
from streams.policy.policy import Policy
from streams.policy.scalars import read_scalar
from streams.policy.zone_file import LONGEST_TEXT_BYTES
from streams.policy.zone_file import read_zones as read_zone_file
from streams.registry.key_figures import SUBSIDISED
from streams.registry.records import Body, Energy, PassKind, VehicleClass
from streams.rules import RULES, judged
from streams.wire.ids import NO_ID, is_id
from streams.words.basis import Basis, Duty, Figures
from streams.words.shown import beginning

PACKS = Path(__file__).parent.parent / "policies"
_HINTS = {"source": "; say source: document (with its clause) or source: operator"}
_WORDS_OF = {
    "severity": {"violation", "warning"}, "unless_credit": {"black"}, "source": {"document", "operator"}, "scope": {"primary_brands"}, "assumed": {"published", "in_force"},
    **{key: set(get_args(kind)) for key, kind in (("classes", VehicleClass), ("energy", Energy), ("body", Body), ("passes", PassKind), ("basis", Basis), ("duty_of", Duty), ("figures", Figures))},
}  # fmt: skip
"""The words that each key knows."""
_ENUM_WORDS = set[str]().union(*_WORDS_OF.values())
CLAIMS = ("basis", "figures", "duty_of", "quote", "clause", "by", "scope", "stands_in_for")


def packs() -> list[str]:
    """Names of the packs that come with Yicheng."""
    return sorted(path.stem for path in PACKS.glob("*.yaml"))


def load_policy(name_or_path: str, documents: Path | None = None) -> Policy:
    """Read a pack by name or path with its zones; ``BadInput`` names file, line, key and the nearest valid key.

    With a folder of ``documents`` its quotes must stand in its document, where that is there.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        if name_or_path not in packs():
            raise BadInput(f"policy {name_or_path!r} is neither a path to a .yaml file nor a pack{nearest(name_or_path, packs())}")
        path = PACKS / f"{name_or_path}.yaml"
    try:
        text = read_small(path)
    except ValueError as error:
        raise BadInput(f"policy {path}: {error}; {_remedy(error, 'give the path of a policy pack')}") from None
    return parse_policy(text, str(path), lambda zones: read_beside(path, zones), documents)


def decode_policy(value: bytes) -> list[Policy]:
    """The versions of a pack as the policy topic holds them: a list of YAML and GeoJSON texts (one alone need not be a list)."""
    found = msgspec.json.decode(value, type=list[dict[str, str]] | dict[str, str])
    sources = [{"geojson": "", **source} for source in (found if isinstance(found, list) else [found])]
    if any("yaml" not in source for source in sources):
        raise BadInput("published policy: no pack, which is a text of YAML and one of GeoJSON")
    return [parse_policy(source["yaml"], "published policy", lambda _, source=source: source["geojson"]) for source in sources]


def parse_policy(text: str, where: str, read_zones: Any, documents: Path | None = None) -> Policy:
    """A pack from its YAML text; ``read_zones(name)`` returns the GeoJSON text or raises ``ValueError``; ``where`` names it in errors."""
    source, warnings = _Source(text, where), list[str]()
    source.check_texts()
    source.check_given()
    raw = source.data
    for index, entry in enumerate(raw["rules"] if isinstance(raw.get("rules"), list) else ()):
        if isinstance(entry, dict):
            raw["rules"][index] = source.split_rule(entry, index)
    for measure, target in raw["targets"].items() if isinstance(raw.get("targets"), dict) else ():
        if isinstance(target, dict):  # alone, so that its line is known
            source.converted(target, Target, ("targets", measure))
    pack = Pack(**msgspec.structs.asdict(source.converted(raw, WrittenPack)))
    source.check_names(pack)
    if pack.zones is not None:
        try:
            zones_text = read_zones(pack.zones)
        except ValueError as error:
            raise source.bad(("zones",), f"zones file {pack.zones!r} cannot be read ({error}); {_remedy(error, 'it stands beside the pack')}") from None
        zones = read_zone_file(zones_text, pack.zones)
        if zones.adcode not in {None, pack.city.adcode}:
            raise source.bad(("zones",), f"{pack.zones} holds the zones of adcode {zones.adcode}, but the pack is for {pack.city.adcode} {pack.city.name_en}")
        pack.geometries, pack.zone_names, pack.zone_kinds, warnings = zones.geometries, zones.names, zones.kinds, zones.warnings
        pack.illustrative_zones = frozenset(zones.illustrative)
        pack.source = {"yaml": text, "geojson": zones_text}
    else:
        pack.source = {"yaml": text}
    try:
        pack_record([pack.source])
    except BadInput as error:
        raise source.bad(("zones",), str(error)) from None
    source.check(pack)
    warnings = [*warnings, *doubts(pack)]
    if documents is not None:
        warnings = [*warnings, *source.check_quotes(pack, documents)]
    policy = Policy(pack)
    policy.warnings = tuple(warnings)
    return policy


def _remedy(error: ValueError, otherwise: str) -> str:
    """How to mend a file that could not be read."""
    return "save it as UTF-8" if "UTF-8" in str(error) else otherwise


def _is_there(data: Any, path: tuple[Any, ...]) -> bool:
    """Whether a path leads anywhere: a key whose value is null does not."""
    for step in path:
        if not (step in data if isinstance(data, dict) else isinstance(step, int) and step < len(data)):
            return False
        data = data[step]
    return True


class _Source(YamlSource):
    """The YAML text of a pack, and what types cannot say of it."""

    def __init__(self, text: str, where: str) -> None:
        super().__init__(text, where, WrittenPack, "a policy pack", read_scalar, words=_ENUM_WORDS, hints=_HINTS)

    def check_texts(self) -> None:
        """Whether all that quotes the pack stays small: each text, and whom a rule names as ``responsible`` together."""
        for path, text in _texts(self.data):
            if (size := len(text.encode())) > LONGEST_TEXT_BYTES:
                named = next(step for step in reversed(path) if isinstance(step, str))
                raise self.bad(path, f"{named[:80]} is {size:,} bytes long; the longest text of a pack has {LONGEST_TEXT_BYTES:,}")

    def explain(self, error: msgspec.ValidationError, prefix: tuple[Any, ...], kind: Any) -> BadInput:
        """The same, with the words that this key knows, not those of all."""
        key = next(iter(re.findall(r"[.`$]([a-z_]+)(?:\[[\d.]*\])?`?$", str(error))), "")
        self.words = _WORDS_OF.get(key, _ENUM_WORDS) - ({"illustrative"} if kind is Target else set())
        said = super().explain(error, prefix, kind)
        return BadInput(f"{said}; or leave basis out") if key == "basis" else said

    def check_given(self) -> None:
        """Claims must not be left empty, as if they were not there."""
        for path in self.lines:
            if path[:1] in {("rules",), ("targets",)} and path[-1] in CLAIMS and not _is_there(self.data, path):
                raise self.bad(path, f"{path[-1]} is empty; give it a value, or leave it out")

    def split_rule(self, entry: dict[str, Any], index: int) -> dict[str, Any]:
        """Move a rule's own keys into ``parameters``, typed by its module."""
        name = entry.get("rule")
        if not isinstance(name, str) or name not in RULES:
            raise self.bad(("rules", index, "rule"), f"unknown rule {repr(name)[:80]}{nearest(str(name)[:80], RULES)}")
        module = RULES[name]
        common = {field for field in Rule.__struct_encode_fields__ if field != "parameters"}
        uses = {key: getattr(module, key.upper(), "none") for key in ("zones", "permitted")}
        common -= {key for key, use in uses.items() if use == "none"}
        if judged(name) != "fix":
            common -= {"vehicles", "exempt", "min_duration", "merge_gap"}
        own = set(module.Parameters.__struct_encode_fields__)
        for key in entry:
            if key not in common | own:
                raise self.bad(("rules", index, key), f"unknown key {key!r} in rule {name}{nearest(key, common | own)}")
        for key, use in uses.items():
            if use == "required" and key not in entry:
                raise self.bad(("rules", index), f"rule {name} needs the key {key!r}")
        given = {key: value for key, value in entry.items() if key in own}
        parameters = self.converted(given, module.Parameters, ("rules", index))
        return {**{key: value for key, value in entry.items() if key in common}, "parameters": parameters}

    def check_names(self, pack: Pack) -> None:
        """Whether the pack, its city and its rules have ids."""
        rules: list[tuple[tuple[Any, ...], str]] = [(("rules", index, "id"), rule.id) for index, rule in enumerate(pack.rules)]
        for path, name in [(("policy",), pack.policy), (("city", "adcode"), pack.city.adcode), *rules]:
            if not is_id(name):
                raise self.bad(path, f"{path[-1]} {name[:80]!r} is {NO_ID}")

    def check(self, pack: Pack) -> None:
        """What types cannot say: names that must exist, ids that must be unique, ranges that must run forward."""
        self._check_validity(pack)
        if pack.identifier:
            self._check_pattern(("identifier", "pattern"), pack.identifier.pattern)
        if pack.subsidised and pack.subsidised[1] < pack.subsidised[0]:
            raise self.bad(("figure_clauses", SUBSIDISED, "window"), f"window: until {pack.subsidised[1]} is before from {pack.subsidised[0]}")
        for name, ranges in pack.calendars.items():
            if not ranges:
                raise self.bad(("calendars", name), f"calendar {name} has no days; leave it out")
            for index, range_ in enumerate(ranges):
                if range_.from_ and range_.until and range_.until < range_.from_:
                    raise self.bad(("calendars", name, index), f"calendar {name}: until {range_.until} is before from {range_.from_}")
        for key, target in pack.targets.items():
            if problem := number_problem(f"target {key}", target.value, share=is_share(key)) or target_problem(key, target, pack.document):
                raise self.bad(("targets", key), problem)
        lines: dict[str, int] = {}
        for index, rule in enumerate(pack.rules):
            if rule.id in lines:
                raise self.bad(("rules", index, "id"), f"rule id {rule.id!r} is used twice (first in line {lines[rule.id]}); ids are unique in a pack")
            lines[rule.id] = self.lines["rules", index, "id"]
            if found := claim_problem(rule):
                raise self.bad(("rules", index, *found[0]), found[1])
            self._check_lists(pack, rule, index)
            self._check_parameters(pack, rule, index)

    def _check_validity(self, pack: Pack) -> None:
        """The timezone, and the days between which the pack is valid."""
        try:
            timezone = ZoneInfo(pack.city.timezone)
        except (KeyError, ValueError, OSError):
            raise self.bad(("city", "timezone"), f"timezone {pack.city.timezone!r} is unknown; use Asia/Shanghai") from None
        for key in ("valid_from", "valid_until"):
            try:
                if text := getattr(pack, key):
                    bound_ms(text, timezone, end=False)
            except ValueError as error:
                raise self.bad((key,), f"{key}: {error}") from None
        if pack.valid_from and pack.valid_until and bound_ms(pack.valid_until, timezone, end=True) <= bound_ms(pack.valid_from, timezone, end=False):
            raise self.bad(("valid_until",), f"valid_until {pack.valid_until} is before valid_from {pack.valid_from}")
        if found := document_problem(pack, timezone):
            raise self.bad(*found)

    def check_quotes(self, pack: Pack, documents: Path) -> Iterator[str]:
        """Whether what the pack quotes and names stands in its document; warnings where it stands under another clause."""
        try:
            text = read_beside(documents / "-", pack.document.file)
        except ValueError as error:
            raise self.bad(("document", "file"), f"the document {pack.document.file} cannot be read in {documents} ({error}); {_remedy(error, 'put its text there')}") from None
        for path, problem in misquotes(pack, text):
            raise self.bad(path, problem)
        return misplaced(pack, text)

    def _check_lists(self, pack: Pack, rule: Rule, index: int) -> None:
        """The zones of a rule, and its other lists; a kind of zones becomes the list of those."""
        path = ("rules", index, "zones")
        if isinstance(rule.zones, ZoneKind):
            wanted = rule.zones.kind
            rule.zones = [zone for zone, kind in pack.zone_kinds.items() if kind == wanted]
            if not rule.zones:
                raise self.bad(path, f"no zone is of kind {wanted!r}{nearest(wanted, set(pack.zone_kinds.values()))}")
        if found := list_problem(rule):
            raise self.bad(("rules", index, found[0]), found[1])
        for zone in rule.zones or ():
            if zone not in pack.zone_kinds:
                raise self.bad(path, f"zone {zone!r} is not in {pack.zones}{nearest(zone, pack.zone_kinds)}")

    def _check_parameters(self, pack: Pack, rule: Rule, index: int) -> None:
        """The parameters of a rule, and what it needs of the pack."""
        path = ("rules", index)
        for key, problem in parameter_problems(rule.parameters):
            raise self.bad((*path, key), problem)
        for keys, exemption in exemptions(rule):
            for name in exemption.calendars:
                if name not in pack.calendars:
                    raise self.bad((*path, *keys, "calendars"), f"calendar {name!r} is not defined{nearest(name, pack.calendars)}")
        if freeing := exempts_everybody(rule, pack.calendars):
            raise self.bad((*path, "exempt"), f"rule {rule.id}: exempt: {freeing} together exempt everybody whom the rule is about; leave the rule out, or name whom it frees")
        if (pattern := getattr(rule.parameters, "home_plate_pattern", None)) is not None:
            self._check_pattern((*path, "home_plate_pattern"), pattern)
        if judged(rule.rule) == "credit" and (found := points_problem(rule.parameters)):
            raise self.bad((*path, *found[0]), found[1])
        if judged(rule.rule) == "credit" and any(judged(other.rule) == "credit" for other in pack.rules[:index]):
            raise self.bad(path, f"rule {rule.rule} is given twice; a city keeps one ledger")
        if rule.rule == "malformed_identifier" and not pack.identifier:
            raise self.bad(path, "rule malformed_identifier needs the pack's identifier.pattern")

    def _check_pattern(self, path: tuple[Any, ...], pattern: str) -> None:
        if problem := pattern_problem(pattern):
            raise self.bad(path, f"{path[-1]} {beginning(pattern, 80)!r} is {problem}")


def _texts(held: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text and key of a pack as it was read, with the path to it."""
    if isinstance(held, str):
        yield path, held
        return
    if path[-1:] == ("responsible",):
        yield path, "、".join(map(str, held))
    for key, value in held.items() if isinstance(held, dict) else enumerate(held):
        if isinstance(key, str):
            yield (*path, key), key
        yield from _texts(value, (*path, key))
