"""Mistakes that could be made in transport, checkpoints and state, each planted on purpose and caught by the histories."""

import asyncio
import datetime as dt
import inspect
import itertools
import re
from contextlib import nullcontext

import pytest
from msgspec.structs import replace
from simulation import cluster
from simulation.history import SECONDS, run

from streams import watermark
from streams.city import city_judge
from streams.city.ledger import CityLedger
from streams.clock import BEGINNING_MS, DAY_MS, END_MS
from streams.enterprises import credit
from streams.enterprises import liveness as silences
from streams.parcels.days import DayJudge
from streams.parcels.violating_scans import ViolatingScans
from streams.policy.policy import Policies
from streams.registry.records import Standing
from streams.registry.registry import Registry
from streams.runtime import checkpoint
from streams.runtime import stage as stages
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.fix_stage import FixStage
from streams.runtime.reference import all_partitions
from streams.runtime.scan_stage import ScanStage
from streams.runtime.snapshots import Snapshots
from streams.runtime.stage import StatefulStage
from streams.vehicles import codec as state
from streams.vehicles.state import Episode, Incident
from streams.watermark import Watermark, rising
from streams.wire.state_records import COMMIT_MARKER
from streams.wire.topics import POLICY

pytestmark = pytest.mark.timeout(1_200)
BUGS = {}
PATIENCE = 600
"""So many histories may pass before a bug shows."""


def bug(plant):
    """Enter a planted bug; its docstring says what goes wrong."""
    BUGS[plant.__name__] = plant
    return plant


@bug
def offsets_are_committed_before_anything_is_durable(patch):
    """A crash between commit and save loses what was judged."""
    whole = Checkpoint._run

    async def early(self, turn):
        for ack in itertools.chain(*self._acks.values()):
            ack()
        await self.commit()
        await whole(self, turn)

    patch.setattr(Checkpoint, "_run", early)


@bug
def chunks_are_acked_when_delivered(patch):
    """The next commit goes past what no checkpoint has saved."""
    judge = Checkpoint.judge

    async def eager(self, stage, chunk, is_current, ack, *rest):
        ack()
        await judge(self, stage, chunk, is_current, lambda: None, *rest)

    patch.setattr(Checkpoint, "judge", eager)


@bug
def state_is_saved_before_results_are_acknowledged(patch):
    """A crash between the two loses results: the replay takes them for published."""

    take_down = Checkpoint._take_down

    async def hasty(self, stage, number):
        sends, changes, acks = await take_down(self, stage, number)
        if changes:
            for part in (changes[:-1], changes[-1:]):
                await asyncio.gather(*await self._save(stage.state_topic, number, part))
        return sends, [], acks

    patch.setattr(Checkpoint, "_take_down", hasty)


@bug
def failed_sends_are_swallowed(patch):
    """What Faust's own producer does: the commit goes on past what the broker refused."""

    async def careless(self, sends):
        await asyncio.gather(*sends, return_exceptions=True)

    patch.setattr(Checkpoint, "_acknowledged", careless)


@bug
def replayed_records_are_judged_again(patch):
    """State without fences: what it has seen is counted twice after a crash."""
    load = FixStage._load

    async def unfenced(self, number):
        partition = await load(self, number)
        partition.next_offset = 0
        return partition

    patch.setattr(FixStage, "_load", unfenced)


@bug
def state_in_memory_outlives_its_partition(patch):
    """A worker that gets a partition back goes on with what it remembered, not with what the other saved."""
    patch.setattr(FixStage, "evict", lambda self, ends: None)


@bug
def a_revocation_drops_what_it_did_not_save(patch):
    """Acks survive the loss of their chunks and tick off others' work."""

    async def unsaved(self, drop):
        async with self._running, self.judging:
            await self.commit()
            for stage in self.stages:
                stage.evict(dict.fromkeys(stage.partitions, -1))

    patch.setattr(Checkpoint, "before_revoke", unsaved)


@bug
def the_last_record_of_a_key_is_taken_for_the_latest(patch):
    """A worker that wakes up writes old state over its successor's."""
    patch.setattr(Snapshots, "latest", lambda self: ({key: found[-1][1] for key, found in self._candidates.items()}, []))
    patch.setattr(Snapshots, "add", lambda self, key, value: self._candidates.__setitem__(key, [((0, 0), value)]))


@bug
def part_of_a_checkpoint_counts(patch):
    """The latest record of every key, though the checkpoint that it belongs to was never completed."""
    patch.setattr(Snapshots, "latest", lambda self: ({key: found[-1][1] for key, found in self._candidates.items()}, []))


@bug
def every_fifth_changed_vehicle_is_not_saved(patch):
    """State is never silently old."""
    changes = FixStage.changes
    numbers = itertools.count()

    def leaky(self, number):
        return [change for change in changes(self, number) if change.key == COMMIT_MARKER or next(numbers) % 5]

    patch.setattr(FixStage, "changes", leaky)


@bug
def revisions_start_again_after_a_restart(patch):
    """Decoded incidents have lost how often they were announced."""
    patch.setattr(state, "Incident", lambda name, opening, revision, *rest: Incident(name, opening, min(revision, 1), *rest))


@bug
def the_mark_does_not_wait_for_what_it_completes(patch):
    """Of two batches the first is refused and the second, with the mark, arrives."""

    take_down = Checkpoint._take_down

    async def unordered(self, stage, number):
        sends, changes, acks = await take_down(self, stage, number)
        await self._acknowledged(sends)
        await self._acknowledged(await self._save(stage.state_topic, number, changes))
        return [], [], acks

    patch.setattr(Checkpoint, "_take_down", unordered)


@bug
def chunks_judged_during_a_checkpoint_are_acked_with_it(patch):
    """Their state is only in the next one."""
    take_down = Checkpoint._take_down

    async def generous(self, stage, number):
        sends, changes, acks = await take_down(self, stage, number)
        later = lambda: [ack() for ack in self._acks.get((stage.state_topic, number), ())]  # noqa: E731
        return sends, changes, [*acks, later]

    patch.setattr(Checkpoint, "_take_down", generous)


@bug
def a_partition_is_taken_down_while_it_is_judged(patch):
    """Half of a chunk's state, under an offset that says that it is whole. Buffers are full more often: then chunks take longer."""
    patch.setattr(cluster, "FULL", 0.7)
    whole = Checkpoint._run
    patch.setattr(Checkpoint, "_run", lambda self, turn: whole(self, nullcontext()))


@bug
def days_are_judged_chunk_by_chunk(patch):
    """A replay in other chunks gives a revision another content."""
    take = CityStage.process

    async def by_chunk(self, chunk):
        announce, said = self.announce, {}

        async def keep(kind, data):
            said[data.incident_id] = kind, data

        patch.setattr(self, "announce", keep, raising=False)
        await take(self, chunk)
        patch.setattr(self, "announce", announce, raising=False)
        for kind, data in said.values():
            await announce(kind, data)

    patch.setattr(CityStage, "process", by_chunk)


@bug
def late_letters_are_not_sent(patch):
    """Input that is neither judged nor accounted for."""

    async def refuse(self, rejects, chunk):
        return None

    patch.setattr(stages.StatefulStage, "refuse", refuse)


@bug
def half_of_the_parcels_are_not_restored(patch):
    """A parcel accepted again after a restart counts twice, or by the wrong scan."""
    put, numbers = ScanStage.put, itertools.count()

    def forgetful(self, partition, key, value):
        if not key.startswith("parcel") or next(numbers) % 2:
            put(self, partition, key, value)

    patch.setattr(ScanStage, "put", forgetful)


@bug
def findings_are_not_restored(patch):
    """What scans have against an outlet begins anew after a restart."""
    load = ScanStage._load

    async def forgiving(self, number):
        partition = await load(self, number)
        partition.violations = {key: ViolatingScans() for key in partition.violations}
        return partition

    patch.setattr(ScanStage, "_load", forgiving)


def forget(patch, kind):
    """State records of a city of one kind are not read back."""
    put = CityStage.put

    def forgetful(self, partition, key, value):
        if not key.startswith(kind):
            put(self, partition, key, value)

    patch.setattr(CityStage, "put", forgetful)


@bug
def silences_are_not_restored(patch):
    """What was said of a camera begins anew after a restart."""
    forget(patch, "watched")


@bug
def signs_of_a_partition_that_lags_are_thought_settled(patch):
    """What is late for the furthest partition is not late for its own."""
    patch.setattr(silences, "SETTLED_MS", 0)


@bug
def signs_are_sent_with_acceptances_only(patch):
    """An enterprise that only has parcels leave is thought silent."""
    results = ScanStage.emit

    def silent(self, number):
        return [row for row in results(self, number) if b'"counts"' in row[2] or b'"finding"' in row[2]]

    patch.setattr(ScanStage, "emit", silent)


@bug
def time_is_the_largest_that_was_met(patch):
    """Whoever is ahead closes days, and ends silences, of which others still have records to read."""
    advance = Watermark._advance

    def hasty(self):
        advance(self)
        self.ms = max(self.ms, self.newest_ms)

    patch.setattr(Watermark, "_advance", hasty)


@bug
def time_goes_by_the_partition_that_was_read_furthest(patch):
    """Those that lag are not waited for."""
    patch.setattr(Watermark, "read_until_ms", property(lambda self: max(self._read_until_ms(name) for name in self._inputs())))


@bug
def marks_overtake_what_they_cover(patch):
    """How far was read is said before the counts and signs that were read."""
    results, held = ScanStage.emit, {}

    def later(self, number):
        rows, held[id(self), number] = held.get((id(self), number), []), list(results(self, number))
        return rows

    patch.setattr(ScanStage, "emit", later)


@bug
def event_times_are_said_a_checkpoint_late(patch):
    """Their state is saved by then: a crash in between loses them, and time stands still."""
    reached, held = StatefulStage.reached, {}

    def late(self, number):
        found = reached(self, number)
        if found is None:
            return None
        before, held[id(self), number] = held.get((id(self), number), {}), found.newest
        return found._replace(newest=before)

    patch.setattr(StatefulStage, "reached", late)


@bug
def all_seconds_of_a_backlog_are_said_at_once(patch):
    """With the partitions and the days of a backlog the message grows beyond what a broker takes, at every start again."""
    patch.setattr(checkpoint, "rising", lambda newest, limit=0: dict(newest))


@bug
def joined_seconds_count_as_of_the_earlier_one(patch):
    """Of a backlog more is said to have arrived by then than had: time goes on too soon."""

    def hasty(newest, limit=SECONDS):
        found = rising(newest, len(newest))
        while len(found) > limit:
            seconds = list(found)
            found = {first: found[last] for first, last in zip(seconds[::2], [*seconds[1::2], *seconds[-1:]], strict=False)}
        return found

    for module in (checkpoint, watermark):
        patch.setattr(module, "rising", hasty)


@bug
def points_are_backdated_to_the_end_of_the_incident(patch):
    """An enterprise is on the black list before the incident is settled."""
    patch.setattr(credit, "settled_at_ms", lambda data, policies: data.closed_at_ms or data.last_seen_ms)


@bug
def whoever_drives_last_pays(patch):
    """A driver's account is charged for what began before he took over."""
    extend = Episode.extend

    def at_last(self, fix):
        extend(self, fix)
        self.driver_id = fix.report.driver_id or self.driver_id

    patch.setattr(Episode, "extend", at_last)


@bug
def what_drivers_were_charged_is_not_restored(patch):
    """A restart takes a driver's points back, and whoever has more of them stands as if he had fewer."""
    enter = CityLedger.charge

    def charge(self, charge, *has_account):
        return enter(self, charge if has_account else replace(charge, driver_id=None), *has_account)

    patch.setattr(CityLedger, "charge", charge)


@bug
def a_dismissal_does_not_end_the_points(patch):
    """Who was once confirmed to be wrong stays so."""
    spans = credit.confirmed
    patch.setattr(credit, "confirmed", lambda answers: [(from_ms, END_MS) for from_ms, _ in list(spans(answers))[:1]])


@bug
def answers_are_not_restored(patch):
    """After a restart nothing is confirmed that was before."""
    forget(patch, "answers")


@bug
def inputs_without_traffic_are_never_said_to_be_read(patch):
    """Nothing is left in them, but time waits for them for ever."""
    say = Checkpoint._say_reached

    async def modest(self, ends, reached):
        self._said_ms = BEGINNING_MS
        await say(self, ends, reached)

    patch.setattr(Checkpoint, "_say_reached", modest)


@bug
def partitions_without_traffic_go_by_their_own_time(patch):
    """What was last seen in them never closes."""

    async def stubborn(self, assigned):
        pass

    patch.setattr(FixStage, "follow", stubborn)


@bug
def the_marks_of_others_are_forgotten_in_a_restart(patch):
    """Event times that were said before are lost with them."""
    forget(patch, "watermark")


@bug
def signs_yet_to_come_end_a_silence(patch):
    """One beyond the watermark is taken for the next, while others before it are still on their way."""
    found = silences.silences

    def rash(policies, registry, rule_id, subject, spans, watermark_ms):
        return found(policies, registry, rule_id, subject, spans, max([watermark_ms, *(last_ms for _, last_ms in spans)]))

    patch.setattr(city_judge, "silences", rash)


@bug
def what_is_no_record_is_not_passed_over(patch):
    """A partition that ends with it is thought to have something left to judge, and never goes by the watermark."""

    async def stay(self, number, next_offset):
        await self.partition(number)

    patch.setattr(StatefulStage, "pass_over", stay)


@bug
def low_rates_are_told_of_the_day_before(patch):
    """The right enterprise, the right rule, the wrong day."""
    judge = DayJudge.judge

    def shifted(self, day, *rest):
        transitions = judge(self, day, *rest)
        for transition in transitions:
            transition.day = day._replace(date=(dt.date.fromisoformat(day.date) - dt.timedelta(days=1)).isoformat())
        return transitions

    patch.setattr(DayJudge, "judge", shifted)


@bug
def the_newest_policy_counts_for_all_time(patch):
    """Fixes of before are judged by it, too."""
    patch.setattr(Policies, "at", lambda self, event_time_ms: self.newest)


@bug
def changes_of_policy_and_registry_wait_for_a_restart(patch):
    """What was compiled from the versions of before goes on."""
    changed = FixStage.reference_changed

    def deaf(self):
        if self.engine is None:
            changed(self)

    patch.setattr(FixStage, "reference_changed", deaf)


@bug
def the_last_version_of_a_record_replaces_all_others(patch):
    """What was on record before is forgotten."""
    put = Registry.put
    patch.setattr(Registry, "put", lambda self, kind, name, entries: put(self, kind, name, list(entries)[-1:]))


@bug
def credit_does_not_come_back(patch):
    """Exemptions hold for enterprises on the black list."""
    patch.setattr(Registry, "enter_credit", lambda self, enterprise_id, standing: False)


@bug
def one_partition_of_the_reference_data_is_read(patch):
    """Whatever stands in another is not heard: vehicles are not on file, enterprises keep their exemptions, time stands still."""
    patch.setattr(cluster, "all_partitions", lambda counts: {read for read in all_partitions(counts) if read.partition == 0 or read.topic == POLICY.name})


@bug
def credit_comes_back_a_day_late(patch):
    """Exemptions hold a day longer than they should."""
    enter = Registry.enter_credit

    def later(self, enterprise_id, standing):
        return enter(self, enterprise_id, Standing([(from_ms + DAY_MS, credit) for from_ms, credit in standing.effective]))

    patch.setattr(Registry, "enter_credit", later)


CAUGHT_BY = {
    "state_in_memory_outlives_its_partition": "says 2 things", "revisions_start_again_after_a_restart": "says 2 things",
    "late_letters_are_not_sent": r"are not Counter\(\{'late'", "half_of_the_parcels_are_not_restored": "parcels|the last 30 days|rates", "findings_are_not_restored": r"\('\w+', '(outlet|enterprise)/",
    "silences_are_not_restored": "silences", "signs_of_a_partition_that_lags_are_thought_settled": "silences", "marks_overtake_what_they_cover": "silences",
    "time_is_the_largest_that_was_met": "were taken back", "signs_yet_to_come_end_a_silence": "were taken back",
    "points_are_backdated_to_the_end_of_the_incident": "black lists", "whoever_drives_last_pays": "drivers' credit", "what_drivers_were_charged_is_not_restored": "drivers' credit",
    "a_dismissal_does_not_end_the_points": "black lists|drivers' credit", "answers_are_not_restored": "black lists|drivers' credit",
    "inputs_without_traffic_are_never_said_to_be_read": "lag does not return", "partitions_without_traffic_go_by_their_own_time": "lag does not return",
    "what_is_no_record_is_not_passed_over": "lag does not return", "low_rates_are_told_of_the_day_before": "are not the low days",
    "credit_does_not_come_back": "'privilege'", "credit_comes_back_a_day_late": "'privilege'",
}  # fmt: skip
"""The comparison that a bug shows in, of those that show in one alone."""


class Planter:
    """Plants what can be called as what stood there was called; else a bug would be caught because nothing works at all."""

    def __init__(self, patch):
        self.patch = patch

    def setattr(self, target, name, planted, **kwargs):
        stood = getattr(target, name)
        if inspect.isroutine(stood):
            taken = [p for p in inspect.signature(stood).parameters.values() if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
            for given in (taken, [p for p in taken if p.default is p.empty]):
                by_name = {p.name: p for p in given if p.kind is p.KEYWORD_ONLY}
                inspect.signature(planted).bind(*(p for p in given if p.kind is not p.KEYWORD_ONLY), **by_name)
        self.patch.setattr(target, name, planted, **kwargs)


def test_what_cannot_be_called_as_before_is_not_planted(monkeypatch):
    async def short(self, stage, chunk, is_current, ack):
        pass

    with pytest.raises(TypeError, match="too many positional"):
        Planter(monkeypatch).setattr(Checkpoint, "judge", short)


def test_an_error_that_is_no_wrong_result_catches_nothing(monkeypatch):
    """As in the task of an agent: nobody awaits it, and lag would not return to zero."""
    monkeypatch.setattr(Checkpoint, "judge", lambda self: None)
    with pytest.raises(cluster.Unsound, match="TypeError"):
        run(0)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name, monkeypatch):
    assert BUGS[name].__doc__
    BUGS[name](Planter(monkeypatch))
    for seed in range(PATIENCE):
        try:
            run(seed, faults=6, failing_sends=0.01 * (seed % 3 == 0))
        except AssertionError as wrong:
            said = str(wrong)
        else:
            continue
        assert re.search(CAUGHT_BY.get(name, ""), said), said
        return
    pytest.fail(f"{PATIENCE} histories did not notice: {BUGS[name].__doc__}")
