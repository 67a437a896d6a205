"""Episodes of violating fixes and the incidents they make (semantics 6). Pure: a vehicle's state and a fix in, transitions out.

Fixes in order take ``apply_in_order``: open episodes grow, close or start. A late fix makes ``rebuild`` fold the episodes again over
the fixes of the last ``lateness``, match them with the incidents already announced and publish only the differences. A silence
is an episode of one fix: the last before it, seen until the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from streams.clock import END_MS
from streams.lifecycle import CLOSED, OPEN, RETRACTED, Kind, Revision, incident_id, steps
from streams.rules._predicates import Form
from streams.vehicles.compiled_rules import Offence
from streams.vehicles.openings import Openings
from streams.vehicles.state import Episode, Incident, JudgedFix, VehicleState

Silences = Callable[[str, int], list[tuple[Offence, int]]]
"""(vehicle id, time of its last report) → the offences that come of it if none follows until a stream time (ms)."""


class Transition(Revision):
    """What is published: one revision of one incident of a vehicle. ``episode`` is as it was at that moment."""

    vehicle_id: str
    episode: Episode
    superseded_by: str | None


class IncidentTracker:
    """Names incidents and turns changes of runs into transitions."""

    def __init__(self, identity_key: bytes, policy_name: Callable[[int], str], silences: Silences) -> None:
        self.identity_key = identity_key
        self.policy_name = policy_name
        self.silences = silences
        self.shortest_silence_ms = END_MS

    def apply_in_order(self, vehicle: VehicleState, fix: JudgedFix) -> list[Transition]:
        """Take in a fix that is newer than all before it."""
        episodes = vehicle.episodes or {}
        offences, out = fix.offences, list[Transition]()
        event_time_ms = fix.event_time_ms
        for offence, episode in list(episodes.items()):
            if offence in offences and event_time_ms - episode.last_seen_ms <= offence.merge_gap_ms:
                counted = episode.counts()
                episode.extend(fix)
                if not counted:
                    if episode.counts():
                        out.append(self._open(vehicle, episode))
                elif (incident := _incident_of(vehicle, episode)).state == CLOSED:  # closed by stream time, and goes on after all
                    out.append(_revise(vehicle, incident, "updated", OPEN, episode))
                continue
            del episodes[offence]
            if offence.form is Form.SILENCE:
                out.extend(self._break_silence(vehicle, episode, event_time_ms))
            elif episode.counts() and (incident := _incident_of(vehicle, episode)).state == OPEN:
                out.append(_revise(vehicle, incident, "closed", CLOSED, episode))
        for offence in offences:
            if offence not in episodes:
                episode = episodes[offence] = _start(offence, fix)
                if offence.minimum_ms <= 0:
                    out.append(self._open(vehicle, episode))
        vehicle.episodes = episodes or None
        return out

    def rebuild(self, vehicle: VehicleState, fixes: Iterable[JudgedFix], stream_time_ms: int) -> list[Transition]:
        """Fold the runs again over all fixes kept, and publish what became different."""
        prune(vehicle)
        ended: list[Episode] = []
        active = {offence: episode.copy() for offence, episode in (vehicle.carried_over or {}).items()}
        last: JudgedFix | None = None
        for fix in fixes:
            if last is not None and last.ignition:
                ended.extend(self._silent(vehicle.vehicle_id, last, fix.event_time_ms, fix.event_time_ms))
            _fold(active, fix, ended)
            last = fix
        if last is not None and last.ignition:
            active.update((episode.offence, episode) for episode in self._silent(vehicle.vehicle_id, last, stream_time_ms, last.event_time_ms))
        vehicle.episodes = active or None
        counting = [episode for episode in (*ended, *active.values()) if episode.counts()]
        counting.sort(key=lambda episode: (episode.opened_at_ms, episode.opened_by, episode.offence.rule_id, episode.offence.zone_id or ""))
        return self._match(vehicle, counting, stream_time_ms)

    def fall_silent(self, vehicle: VehicleState, last: JudgedFix, stream_time_ms: int) -> list[Transition]:
        """Open the silences after a vehicle's last fix that the partition's stream time has made offences."""
        out = []
        for episode in self._silent(vehicle.vehicle_id, last, stream_time_ms, last.event_time_ms):
            if vehicle.episodes is None or episode.offence not in vehicle.episodes:
                vehicle.episodes = {**(vehicle.episodes or {}), episode.offence: episode}
                out.append(self._open(vehicle, episode))
        return out

    def _silent(self, vehicle_id: str, last: JudgedFix, until_ms: int, last_seen_ms: int) -> list[Episode]:
        """The silences after a fix that have become offences by a stream time."""
        if until_ms - last.event_time_ms <= self.shortest_silence_ms:
            return []
        due = (offence for offence, due_ms in self.silences(vehicle_id, last.event_time_ms) if due_ms < until_ms)
        return [_of_one(offence, last, last_seen_ms, "") for offence in due]

    def _break_silence(self, vehicle: VehicleState, episode: Episode, event_time_ms: int) -> list[Transition]:
        """The next fix: the silence lasted until it, or was none, for the fix is older than what had made it one."""
        incident = _incident_of(vehicle, episode)
        due = dict(self.silences(vehicle.vehicle_id, episode.opened_at_ms)).get(episode.offence, event_time_ms)
        if due >= event_time_ms:
            return _retract(vehicle, incident, None)
        episode.last_seen_ms = event_time_ms
        return [_revise(vehicle, incident, "closed", CLOSED, episode)]

    def close_due(self, vehicle: VehicleState, stream_time_ms: int) -> list[Transition]:
        """Close the open incidents whose merge gap the partition's stream time has passed."""
        return [
            _revise(vehicle, incident, "closed", CLOSED, incident.episode)
            for incident in open_incidents(vehicle)
            if deadline_ms(incident) < stream_time_ms
        ]

    def _match(self, vehicle: VehicleState, episodes: Iterable[Episode], stream_time_ms: int) -> list[Transition]:
        """Give each episode the first announced incident whose opening fix it contains, and retract the others."""
        out: list[Transition] = []
        unmatched = {incident.incident_id: incident for incident in vehicle.incidents or ()}
        openings = Openings(vehicle.incidents or ())
        for episode in episodes:
            is_open = (vehicle.episodes or {}).get(episode.offence) is episode and episode.last_seen_ms + episode.offence.merge_gap_ms >= stream_time_ms
            state = OPEN if is_open else CLOSED
            announced = [incident for incident in openings.within(episode) if incident.incident_id in unmatched]
            if not announced:
                out.extend(self._announce(vehicle, episode, state))
                continue
            incident, *merged = announced
            out.extend(_continue(vehicle, incident, episode, state))
            for other in merged:
                out.extend(_retract(vehicle, other, incident.incident_id))
            for each in announced:
                del unmatched[each.incident_id]
        for other in unmatched.values():
            out.extend(_retract(vehicle, other, None))
        return out

    def _announce(self, vehicle: VehicleState, episode: Episode, state: str) -> list[Transition]:
        """Open an incident, and close it at once where it is over."""
        opened = self._open(vehicle, episode)
        assert vehicle.incidents
        return [opened] if state == OPEN else [opened, _revise(vehicle, vehicle.incidents[-1], "closed", CLOSED, episode)]

    def _open(self, vehicle: VehicleState, episode: Episode) -> Transition:
        offence = episode.offence
        policy, opening = self.policy_name(episode.opened_at_ms), (str(episode.opened_at_ms), episode.opened_by)
        name = incident_id(self.identity_key, policy, offence.rule_id, vehicle.vehicle_id, offence.zone_id, *opening)
        incident = Incident(name, (episode.opened_at_ms, episode.opened_by), 0, OPEN, episode)
        if vehicle.incidents is None:
            vehicle.incidents = []
        vehicle.incidents.append(incident)
        return _revise(vehicle, incident, "opened", OPEN, episode)


def as_transition(kind: Kind, vehicle: VehicleState, incident: Incident) -> Transition:
    """An incident as it stands now, to be published."""
    return Transition(
        kind,
        incident.incident_id,
        incident.revision,
        incident.state,
        vehicle.vehicle_id,
        incident.episode.copy(),
        incident.superseded_by,
    )


def deadline_ms(incident: Incident) -> int:
    """The stream time that an open incident survives; any later one closes it."""
    return incident.episode.last_seen_ms + incident.episode.offence.merge_gap_ms


def drop_old(vehicle: VehicleState, fixes: Iterable[JudgedFix]) -> None:
    """Forget the oldest fixes, which late ones can no longer come before."""
    last: JudgedFix | None = None
    active = vehicle.carried_over or {}
    for last in fixes:
        _fold(active, last, [])
    vehicle.carried_over = active or None
    if vehicle.incidents and last:
        vehicle.border = last.event_time_ms, last.event_id
        if len(vehicle.incidents) > vehicle.prune_at:
            prune(vehicle)


def prune(vehicle: VehicleState) -> None:
    """Forget the incidents that no late fix can change any more; rarely where there are many, for all are looked at."""
    border = vehicle.border
    if border is not None:
        vehicle.border = None
        vehicle.incidents = [i for i in vehicle.incidents or () if i.opening > border or _still_grows(vehicle, i)] or None
        vehicle.prune_at = 2 * len(vehicle.incidents or ()) + 16


def open_incidents(vehicle: VehicleState) -> list[Incident]:
    """A vehicle's open incidents in order of their opening."""
    return sorted(vehicle.open.values(), key=lambda incident: (incident.opening, incident.incident_id)) if vehicle.open else []


def _continue(vehicle: VehicleState, incident: Incident, episode: Episode, wanted: str) -> Iterator[Transition]:
    """Give an announced incident the episode and the state that it has now."""
    changed, incident.episode = not _alike(incident.episode, episode), episode
    incident.superseded_by = None
    for kind, state in steps(incident.state, wanted, differs=changed):
        yield _revise(vehicle, incident, kind, state, episode)


def _still_grows(vehicle: VehicleState, incident: Incident) -> bool:
    episode = (vehicle.carried_over or {}).get(incident.episode.offence)
    return episode is not None and episode.contains(incident.opening)


def _start(offence: Offence, fix: JudgedFix) -> Episode:
    return _of_one(offence, fix, fix.event_time_ms, fix.event_id)


def _of_one(offence: Offence, fix: JudgedFix, last_seen_ms: int, last_id: str) -> Episode:
    """An episode of one fix."""
    plate, synthetic, driver_id = fix.report
    return Episode(offence, fix.event_time_ms, fix.event_id, last_seen_ms, last_id, 1, [fix], plate, synthetic, fix.speed_kmh, driver_id)


def _fold(active: dict[Offence, Episode], fix: JudgedFix, ended: list[Episode]) -> None:
    """One step over fixes in order: runs in ``active`` grow, end or start."""
    offences, event_time_ms = fix.offences, fix.event_time_ms
    if active:
        for offence, episode in list(active.items()):
            if offence in offences and event_time_ms - episode.last_seen_ms <= offence.merge_gap_ms:
                episode.extend(fix)
            else:
                ended.append(active.pop(offence))
    for offence in offences:
        if offence not in active:
            active[offence] = _start(offence, fix)


def _incident_of(vehicle: VehicleState, episode: Episode) -> Incident:
    """The announced incident behind a counting run."""
    for incident in (vehicle.open or {}).values():
        if incident.episode is episode:
            return incident
    return next(i for i in reversed(vehicle.incidents or ()) if i.episode is episode and i.state != RETRACTED)


def _alike(one: Episode, other: Episode) -> bool:
    """Whether nothing that is published of two episodes of an offence differs."""
    return (
        (one.opened_at_ms, one.opened_by, one.last_seen_ms, one.last_id, one.fix_count) == (other.opened_at_ms, other.opened_by, other.last_seen_ms, other.last_id, other.fix_count)
        and (one.plate, one.synthetic, one.top_speed_kmh, one.driver_id) == (other.plate, other.synthetic, other.top_speed_kmh, other.driver_id)
        and (one.fix_count == 1 or [fix[:2] for fix in one.evidence] == [fix[:2] for fix in other.evidence])
    )


def _revise(vehicle: VehicleState, incident: Incident, kind: Kind, state: str, episode: Episode) -> Transition:
    incident.revision += 1
    incident.state = state
    incident.episode = episode
    if state == OPEN:
        vehicle.open = vehicle.open or {}
        vehicle.open[incident.incident_id] = incident
    elif vehicle.open and vehicle.open.pop(incident.incident_id, None) is not None:
        vehicle.open = vehicle.open or None
    return as_transition(kind, vehicle, incident)


def _retract(vehicle: VehicleState, incident: Incident, superseded_by: str | None) -> list[Transition]:
    if incident.state == RETRACTED:
        return []
    incident.superseded_by = superseded_by
    return [_revise(vehicle, incident, "retracted", RETRACTED, incident.episode)]
