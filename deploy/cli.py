"""The command line ``yicheng``: parse, build, run. Each command imports only what it needs."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from streams.stopping import INTERRUPTED, interrupt, leave, stopping

if __name__ == "__main__":
    stopping.watch()  # what follows takes a while to be read

import typer

from streams.errors import BadInput, YichengError, nearest
from streams.shown import shown, shown_json, shown_lines

app = typer.Typer(
    help="Yicheng 驿程: judges courier vehicles and parcels by a city's published rules, live.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
produce = typer.Typer(help="Traffic for Kafka: a synthetic fleet, or recorded files.", no_args_is_help=True)
kafka = typer.Typer(help="The embedded Kafka broker.", no_args_is_help=True)
topics = typer.Typer(help="Kafka topics.", no_args_is_help=True)
registry = typer.Typer(help="Registry records: vehicles, drivers, enterprises, outlets, passes.", no_args_is_help=True)
policy = typer.Typer(help="Policy packs.", no_args_is_help=True)
secrets = typer.Typer(help="Keys.", no_args_is_help=True)
incidents = typer.Typer(help="Incidents that stand, and the answers of police to them.", no_args_is_help=True)
dead = typer.Typer(help="Refused records: where they stand, why, and what they say as long as it is retained.", no_args_is_help=True)
report = typer.Typer(help="A city's figures over local days: rates, incidents, key figures against targets.", invoke_without_command=True)
for name, group in (("produce", produce), ("kafka", kafka), ("topics", topics), ("registry", registry), ("policy", policy), ("secrets", secrets), ("incidents", incidents), ("dead", dead), ("report", report)):
    app.add_typer(group, name=name)

FULL_DAY_VEHICLES = 200
OWN_FILES_ONLY = 0o077
"""The umask of every process: what it makes, plates and keys therein, is for the user that runs it."""


class Scenario(StrEnum):
    """Which time synthetic traffic is about."""

    PRESENT = "present"
    FULL_DAY = "full-day"


Config = Annotated[Path | None, typer.Option("--config", help="YAML file with settings; YICHENG_* in the environment wins")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="of files that are not UTF-8: gbk, utf-16, …")]
ColumnsFile = Annotated[Path | None, typer.Option("--columns", help="YAML file: field of a record: column of the table")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same traffic")]


def _say(text: object) -> None:
    """Print a line, or several, that data may have a part in."""
    print(shown_lines(text))


def _print_text(text: str) -> None:
    """Print a whole file as it is, to a file or a pipe; to a terminal as it may be shown."""
    print(shown_lines(text) if sys.stdout.isatty() else text, end="")


def _settings(config: Path | None = None, **overrides: Any) -> Any:
    from streams.settings import load_settings

    return load_settings(config).model_copy(update={k: v for k, v in overrides.items() if v is not None})


def _policy_name(city: str | None, policy_name: str | None) -> str:
    """The pack that ``--policy``, else ``--city`` means."""
    from streams.policy.reader import packs

    if policy_name:
        return policy_name
    wanted = city or "hohhot"
    found = [pack for pack in packs() if wanted in {pack, pack.rpartition("-")[0]}]
    if not found:
        cities = [pack.rpartition("-")[0] for pack in packs()]
        raise BadInput(f"no pack for the city {wanted!r}{nearest(wanted, cities)}; --policy FILE takes a pack of your own")
    return found[-1]


def _duration_ms(text: str, option: str) -> int:
    from streams.clock import duration_ms

    try:
        value = duration_ms(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from None
    if value <= 0:
        raise BadInput(f"{option}: {text} is not longer than nothing")
    return value


@app.command()
def up(
    city: Annotated[str | None, typer.Option(help="city of a pack that comes with Yicheng (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name, or the path of your own")] = None,
    rate: Annotated[float | None, typer.Option(help="fixes per second (default 200; recorded files: as fast as they go)")] = None,
    duration: Annotated[str, typer.Option(help="how long the traffic lasts, such as 30s or 5m")] = "24m",
    seed: Seed = 1,
    speedup: Annotated[float, typer.Option(help="how much faster than the clock simulated time runs")] = 60.0,
    input_files: Annotated[list[Path] | None, typer.Option("--input", help="judge recorded files or folders instead of synthetic traffic")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file (.jsonl, .yaml, .csv, .xlsx); default: a sample registry")] = None,
    scenario: Annotated[Scenario, typer.Option(help="full-day: all of yesterday, as long as that takes at this --speedup; 200 vehicles unless --rate says otherwise")] = Scenario.PRESENT,
    workers: Annotated[int, typer.Option(min=1, max=12, help="Faust workers that share the work")] = 1,
    faults: Annotated[str, typer.Option(help="faults to inject: dup=0.05,late=0.02,shuffle=30s,malformed=0.001")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="go on with the topics and state of the last run")] = False,
    wipe: Annotated[bool, typer.Option("--wipe", help="on a cluster of your own: delete its courier.* topics first")] = False,
    kafka_port: Annotated[int, typer.Option(min=0, max=65535, help="port of the embedded Kafka; another free one, which is named, if it is taken")] = 9092,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """Run the whole system on this machine, with a live summary. Ctrl-C stops everything."""
    from deploy.local import Local, UpOptions
    from producers.faults import parse_faults
    from streams.policy.reader import load_policy

    parse_faults(faults)
    for name, value in (("--rate", rate), ("--speedup", speedup)):
        if value is not None and value <= 0:
            raise BadInput(f"{name}: {value} is not greater than 0")
    for path in input_files or ():
        if not path.exists():
            raise BadInput(f"--input {path}: no such file or folder")
    full_day = scenario is Scenario.FULL_DAY
    if (encoding or columns) and not input_files:
        raise BadInput("--encoding and --columns say how to read recorded files; name those with --input")
    _how(encoding, columns)  # what is wrong with them is told before anything is started
    if full_day and input_files:
        raise BadInput("--scenario full-day makes its own traffic; leave out --input, or --scenario")
    if rate is None:
        rate = 0.0 if input_files else FULL_DAY_VEHICLES * speedup / 60 if full_day else 200.0
    plan = UpOptions(
        policy=load_policy(_policy_name(city, policy_name)), policy_source=_policy_name(city, policy_name),
        rate=rate, full_day=full_day, duration_ms=_duration_ms(duration, "--duration"), seed=seed,
        speedup=speedup, inputs=input_files or [], registry_file=registry_file, workers=workers, faults=faults, keep=keep, wipe=wipe,
        kafka_port=kafka_port, encoding=encoding, columns=columns,
    )  # fmt: skip
    raise typer.Exit(Local(plan, _settings()).run())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(
    context: typer.Context,
    chaos: Annotated[int, typer.Option(min=0, help="so many long histories of faults instead of the whole suite")] = 0,
) -> None:
    """Run the whole test suite, real Kafka included; further arguments go to pytest."""
    from deploy.children import ROOT, python_command
    from deploy.debian import install_for_tests

    if chaos:
        os.environ["YICHENG_CHAOS"] = str(chaos)
        context.args += ["tests/chaos", "-rP"]

    install_for_tests()
    os.chdir(ROOT)
    os.execve(sys.executable, python_command("-m", "pytest", *context.args), {**os.environ, "PYTHONPATH": str(ROOT)})


@app.command()
def bench(names: Annotated[list[str] | None, typer.Argument(help="failover, growth, judge, latency, pipeline, recovery, scans, street; all without a name")] = None) -> None:
    """Run the benchmarks of tests/bench, one after the other, and print their figures as JSON."""
    import json
    import subprocess

    from deploy import leash
    from deploy.children import ROOT, python_command, python_environment

    folder = ROOT / "tests" / "bench"
    scripts = {script.stem.removeprefix("bench_"): script for script in sorted(folder.glob("bench_*.py"))}
    figures = {}
    for name in names or scripts:
        if name not in scripts:
            raise BadInput(f"no benchmark is called {name!r}{nearest(name, scripts)}")
        script = scripts[name]
        print(f"yicheng: {script.stem} …", file=sys.stderr)
        done = subprocess.run(python_command(script), env=python_environment(folder), stdout=subprocess.PIPE, check=False, preexec_fn=leash.leashed())
        if not done.stdout.strip():
            raise YichengError(f"benchmark {name} failed")
        figures[name] = json.loads(done.stdout)
    print(json.dumps(figures, indent=2))
    if slower := [f"{name}: {found['regression']}" for name, found in figures.items() if found.get("regression")]:
        raise YichengError("; ".join(slower))


@app.command()
def judge(
    policy_name: Annotated[str, typer.Option("--policy", help="pack by name or path")],
    out: Annotated[Path, typer.Option(help="folder for incidents.jsonl, rates.jsonl, rejects.jsonl, summary.json")],
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file (.jsonl, .yaml, .csv, .xlsx)")] = None,
    gps: Annotated[list[str] | None, typer.Option(help="fixes: JSONL, CSV, GeoLife, T-Drive, packed or not, a folder of them, - for stdin; may be repeated")] = None,
    scans: Annotated[list[str] | None, typer.Option(help="parcel scans, likewise")] = None,
    heartbeats: Annotated[list[str] | None, typer.Option(help="heartbeats of cameras and feeds, likewise")] = None,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """Judge recorded files with the same engine, without Kafka."""
    from deploy.intake import accepted, account
    from deploy.judge import IDENTITY_KEY, judge_files
    from streams.files.record_columns import NAMES
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry
    from streams.registry.registry import Registry

    if not gps and not scans and not heartbeats:
        raise BadInput("nothing to judge; give --gps FILE, --scans FILE or --heartbeats FILE")
    pack = load_policy(policy_name)
    known = load_registry(registry_file, pack.timezone, pack.zone_kinds, encoding=encoding) if registry_file else Registry(pack.timezone)
    key = _settings().identity_key
    name_by = key.get_secret_value().encode() if key and key.get_secret_value() else IDENTITY_KEY
    how = _how(encoding, columns)
    try:
        summary = judge_files(pack, known, gps or [], scans or [], out, heartbeats=heartbeats or [], identity_key=name_by, how=how)
    except OSError as error:
        raise YichengError(f"{error.filename or out}: {error.strerror or error}") from None
    read, incidents = sum(sum(summary[name].values()) for name in NAMES.values()), sum(summary["incidents"].values())
    _say(f"{read} records in {summary['seconds']} s ({summary['records_per_second']}/s): {incidents} incidents → {out}")
    for line in account(summary):
        _say(line)
    if not any(accepted(summary[name]) for name in NAMES.values()):
        raise YichengError(f"none of {read} records could be judged; {out / 'rejects.jsonl'} has the reason for each" if read else "the files hold no record")


def _how(encoding: str | None, columns: Path | None) -> Any:
    """How to read recorded files, from the options."""
    from streams.files.record_columns import read_mapping
    from streams.files.record_files import How
    from streams.files.text_files import as_text

    as_text("", b"", iter(()), encoding)  # whether there is such an encoding
    return How(encoding=encoding, mapping=read_mapping(columns) if columns else None)


@app.command()
def worker(config: Config = None) -> None:
    """Run one Faust worker."""
    from deploy.broker import answers
    from deploy.identity import refuse_foreign_state
    from streams.runtime.origin import origin_of
    from streams.worker import run_worker

    settings = _settings(config)
    origin = origin_of(settings)
    _need_kafka(settings, answers)
    refuse_foreign_state(settings.kafka_bootstrap, origin)
    run_worker(settings)


@app.command()
def notifier(config: Config = None) -> None:
    """Run the notifier: incidents to the configured sinks."""
    from consumers.notifier import run_notifier
    from deploy.broker import answers

    settings = _settings(config)
    _need_kafka(settings, answers)
    run_notifier(settings)


def _need_kafka(settings: Any, answers: Any) -> None:
    from deploy.admin import unreachable

    if not answers(settings.kafka_bootstrap):
        raise unreachable(settings.kafka_bootstrap)


@secrets.command("new")
def secrets_new() -> None:
    """Print a new key for YICHENG_IDENTITY_KEY, which all workers of a group share for good: the names of incidents follow from it."""
    from deploy.identity import new_key

    _say(new_key())


@app.command()
def doctor() -> None:
    """Check everything that is needed, and say how to fix what is missing."""
    from deploy.doctor import examine

    raise typer.Exit(examine(_settings()))


@produce.command()
def synthetic(
    city: Annotated[str | None, typer.Option(help="city of the pack")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry the fleet is drawn from; default: the sample")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="fixes per second")] = 200.0,
    duration: Annotated[str, typer.Option(help="how long the traffic lasts")] = "1m",
    speedup: Annotated[float, typer.Option(min=0.001, help="how much faster than the clock simulated time runs")] = 60.0,
    interval: Annotated[str, typer.Option(help="a vehicle reports this often (simulated time)")] = "10s",
    scenario: Annotated[Scenario, typer.Option(help="full-day: all of yesterday, as long as that takes at this --speedup")] = Scenario.PRESENT,
    seed: Seed = 1,
    faults: Annotated[str, typer.Option(help="dup=0.05,late=0.02,shuffle=30s,malformed=0.001")] = "",
    truth: Annotated[Path | None, typer.Option(help="write what was injected to this file (JSON)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
) -> None:
    """A seeded fleet, its parcels, cameras and feeds, in simulated time that ends at the present."""
    from producers.faults import parse_faults
    from producers.traffic import produce_synthetic
    from streams.policy.reader import load_policy

    produce_synthetic(
        _settings().kafka_bootstrap, load_policy(_policy_name(city, policy_name)), registry_file, rate=rate,
        duration_ms=_duration_ms(duration, "--duration"), speedup=speedup, interval_ms=_duration_ms(interval, "--interval"),
        seed=seed, faults=parse_faults(faults), truth_file=truth, quiet=quiet, full_day=scenario is Scenario.FULL_DAY,
    )  # fmt: skip


@produce.command()
def replay(
    files: Annotated[list[str], typer.Argument(help="JSONL, CSV, T-Drive .txt, GeoLife .plt, packed or not, folders of them, - for stdin")],
    rate: Annotated[float, typer.Option(min=0, help="records per second; 0: as fast as they go")] = 0.0,
    speedup: Annotated[float, typer.Option(min=0, help="keep the recorded times, this much faster; 0: no")] = 0.0,
    truth: Annotated[Path | None, typer.Option(help="write how much was sent to this file (JSON)")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False,
    encoding: Encoding = None,
    columns: ColumnsFile = None,
) -> None:
    """Recorded files, merged by event time; each keeps its own order."""
    from producers.traffic import produce_replay

    how = _how(encoding, columns)
    _say(produce_replay(_settings().kafka_bootstrap, files, rate=rate, speedup=speedup, truth_file=truth, quiet=quiet, how=how))


def _broker_home() -> Path:
    return Path(_settings().state_dir).resolve() / "kafka"


@kafka.command("start")
def kafka_start(port: Annotated[int, typer.Option(help="port; another free one if it is taken")] = 9092) -> None:
    """Start the embedded broker in the background, with its data under .yicheng/kafka."""
    from deploy.broker import EmbeddedKafka, answers
    from deploy.running import broker_process, note_running, read_running

    home = _broker_home()
    running = read_running(home)
    if running is not None and broker_process(home, running):
        if not answers(running.bootstrap):
            raise YichengError(f"a broker of {home} is there already (process {running.pid}) but does not answer; end it with ./yicheng kafka stop")
        _say(f"already running at {running.bootstrap}")
        return
    broker = EmbeddedKafka(home, port=port, outlive=True)
    bootstrap = broker.start(lambda what: print(f"downloading {what}", file=sys.stderr))
    note_running(home, broker)
    _say(f"Kafka answers at {bootstrap}; export YICHENG_KAFKA_BOOTSTRAP={bootstrap}")
    sys.stdout.flush()
    broker.let_go()  # not sooner: nobody knows a broker that was not told of


@kafka.command("stop")
def kafka_stop() -> None:
    """Stop the broker that ``kafka start`` started."""
    from deploy.running import stop_running

    _say("Kafka is stopping" if stop_running(_broker_home()) else "Kafka had stopped already")


@kafka.command("status")
def kafka_status() -> None:
    """Say whether the broker answers."""
    from deploy.broker import answers
    from deploy.running import read_running

    running = read_running(_broker_home())
    bootstrap = running.bootstrap if running is not None else _settings().kafka_bootstrap
    if not answers(bootstrap):
        raise YichengError(f"Kafka at {bootstrap} does not answer; start it with ./yicheng kafka start")
    _say(f"Kafka answers at {bootstrap}")


@topics.command("create")
def topics_create(replication: Annotated[int, typer.Option(min=1, help="replication factor")] = 1) -> None:
    """Create the topics that do not exist yet, and bring older ones up to date; prints what was done."""
    from deploy.topic_admin import create_topics

    settings = _settings()
    done = create_topics(settings.kafka_bootstrap, settings.partitions, replication)
    _say("\n".join(done) if done else "all topics exist")


@topics.command("rewind")
def topics_rewind() -> None:
    """Let the workers judge everything again that is retained (stop them first); incidents keep their ids."""
    from deploy.topic_admin import rewind

    settings = _settings()
    if anew := rewind(settings.kafka_bootstrap, settings.group):
        _say(f"made anew since they were judged: {', '.join(anew)}; the workers' state is dropped, and comes again from what the topics hold")
    _say(f"group {settings.group} starts from the beginning")


@registry.command("sample")
def registry_sample(
    out: Annotated[Path, typer.Option(help="file to write (JSONL)")],
    city: Annotated[str | None, typer.Option(help="city of the pack")] = None,
    vehicles: Annotated[int, typer.Option(min=1, max=70_000, help="number of vehicles")] = 2_400,
    seed: Seed = 1,
) -> None:
    """Write a fictional registry, the same for the same seed."""
    from producers.traffic import write_sample_registry
    from streams.policy.reader import load_policy

    _say(f"{write_sample_registry(load_policy(_policy_name(city, None)), vehicles, seed, out)} records → {out}")


@registry.command("import")
def registry_import(
    file: Annotated[Path, typer.Argument(help="registry records (.jsonl, .yaml, .csv, .xlsx)")],
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack whose zones the passes name (default: YICHENG_POLICY)")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="in place of all published versions of these ids, not beside them")] = False,
    encoding: Encoding = None,
) -> None:
    """Publish registry records to Kafka beside earlier versions of their ids; the whole file is checked first."""
    from deploy.admin import import_registry
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry

    pack = load_policy(policy_name or _settings().policy)
    records = load_registry(file, pack.timezone, pack.zone_kinds, encoding=encoding)
    _say(import_registry(_settings().kafka_bootstrap, records, replace=replace))


@registry.command("export")
def registry_export() -> None:
    """Print every record that Kafka holds, one a line."""
    from deploy.admin import read_registry

    for line in read_registry(_settings().kafka_bootstrap):
        print(shown_json(line))


@registry.command("show")
def registry_show(record: Annotated[str, typer.Argument(help="kind/id, such as vehicle/HH-12345")]) -> None:
    """Print the versions of one record."""
    from deploy.admin import read_registry

    lines = list(read_registry(_settings().kafka_bootstrap, record))
    if not lines:
        raise YichengError(f"no record {record}; records are named kind/id")
    print("\n".join(map(shown_json, lines)))


@incidents.command("list")
def incidents_list(
    unanswered: Annotated[bool, typer.Option("--unanswered", help="only those that nobody has answered")] = False,
    rule: Annotated[str | None, typer.Option(help="only those of this rule, or of this instance of one")] = None,
) -> None:
    """Print the incidents that stand, in order of time."""
    from deploy.feedback import listed
    from streams.policy.reader import load_policy

    settings = _settings()
    for line in listed(settings.kafka_bootstrap, load_policy(settings.policy), unanswered=unanswered, rule=rule):
        _say(line)


IncidentIds = Annotated[list[str], typer.Argument(help="ids of incidents, as incidents list prints them")]
By = Annotated[str | None, typer.Option(help="who answers")]


@incidents.command("ack")
def incidents_ack(ids: IncidentIds, by: By = None) -> None:
    """Say that incidents are being dealt with."""
    from deploy.feedback import answer

    _say(f"{answer(_settings().kafka_bootstrap, ids, 'acknowledged', by, None)} acknowledged / 已确认")


@incidents.command("dismiss")
def incidents_dismiss(ids: IncidentIds, reason: Annotated[str, typer.Option(help="why")], by: By = None) -> None:
    """Say that incidents need not be dealt with, and why."""
    from deploy.feedback import answer

    _say(f"{answer(_settings().kafka_bootstrap, ids, 'dismissed', by, reason)} dismissed / 已驳回")


Reason = Annotated[str | None, typer.Option(help="only those refused for this reason, such as malformed")]


@dead.command("list")
def dead_list(reason: Reason = None, show: Annotated[bool, typer.Option("--show", help="and what stands there, read from its topic")] = False) -> None:
    """Print refused records: topic/partition/offset, reason, event id, local time, bytes, and why."""
    from deploy.dead import listed
    from streams.policy.reader import load_policy

    settings = _settings()
    for line in listed(settings.kafka_bootstrap, load_policy(settings.policy), reason=reason, show=show):
        _say(line)


@dead.command("redrive")
def dead_redrive(reason: Reason = None, late: Annotated[bool, typer.Option("--late", help="those that came too late, too")] = False) -> None:
    """Send refused records into their topics again, to be judged by what is published now."""
    from deploy.dead import redrive

    sent, gone = redrive(_settings().kafka_bootstrap, reason=reason, late=late)
    _say(f"{sent} records sent again" + (f"; {gone} are no longer retained in their topics" if gone else ""))


@policy.command("list")
def policy_list() -> None:
    """Name the packs that come with Yicheng."""
    from streams.policy.reader import load_policy, packs

    for name in packs():
        pack = load_policy(name).pack
        _say(f"{name}\t{pack.city.name_zh} {pack.city.name_en}\t{len(pack.rules)} rules\t{pack.document.number}")


@policy.command("table")
def policy_table(chinese: Annotated[bool, typer.Option("--zh", help="in Chinese")] = False) -> None:
    """Print city × rule × clause, from the packs, as Markdown."""
    from deploy.explain import rule_table

    _say(rule_table(chinese=chinese))


@policy.command("check")
def policy_check(
    pack: Annotated[str, typer.Argument(help="pack by name or path")],
    date: Annotated[str | None, typer.Option(help="what applies on this day (2026-11-11) or at this instant (2026-11-11T12:00)?")] = None,
    at: Annotated[str | None, typer.Option(help="and at this place (longitude,latitude)?")] = None,
) -> None:
    """Check a pack and say in words what it asks; with --date and --at, what applies there and then."""
    import time

    from deploy.explain import answer, explain
    from streams.policy.reader import load_policy

    checked = load_policy(pack)
    for warning in checked.warnings:
        print(f"yicheng: warning: {shown(warning)}", file=sys.stderr)
    if date is None and at is None:
        _say(explain(checked))
        return
    try:
        lon, lat = map(float, at.split(",")) if at else (None, None)
    except ValueError:
        raise BadInput(f"--at: {at!r} is not longitude,latitude such as 111.66,40.81") from None
    _say(answer(checked, date or checked.days.date_of(round(time.time() * 1000)), (lon, lat) if lon is not None and lat is not None else None))


@policy.command("publish")
def policy_publish(pack: Annotated[str, typer.Argument(help="pack by name or path")]) -> None:
    """Publish a pack to Kafka, after checking it."""
    from deploy.admin import publish_policy
    from streams.policy.reader import load_policy

    checked = load_policy(pack)
    versions = publish_policy(_settings().kafka_bootstrap, checked)
    _say(f"{checked.name} published{f'; it has {versions} versions now' if versions > 1 else ''}")


@policy.command("show")
def policy_show(pack: Annotated[str, typer.Argument(help="pack by name or path")]) -> None:
    """Print a pack's YAML."""
    from streams.policy.reader import load_policy

    _print_text(load_policy(pack).pack.source["yaml"])


def _date(text: str, option: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option}: {text!r} is not a date such as 2026-06-25") from None


def _registry(policy: Any, registry_file: Path | None) -> Any:
    """The registry of a file, else the one that Kafka holds."""
    from deploy.admin import read_registry
    from streams.registry.files import load_registry
    from streams.registry.records import decode_entry
    from streams.registry.registry import Registry

    if registry_file is not None:
        return load_registry(registry_file, policy.timezone, policy.zone_kinds)
    known = Registry(policy.timezone)
    known.add(decode_entry(text.encode()) for text in read_registry(_settings().kafka_bootstrap))
    return known


@report.callback()
def report_city(
    context: typer.Context,
    city: Annotated[str | None, typer.Option(help="city of the pack (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="first local day, YYYY-MM-DD")] = None,
    until: Annotated[str | None, typer.Option(help="last local day, included")] = None,
    format_: Annotated[str, typer.Option("--format", help="html, csv or json")] = "html",
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
    judged: Annotated[Path | None, typer.Option(help="folder that ./yicheng judge wrote, instead of Kafka")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file, instead of Kafka's")] = None,
) -> None:
    """A city's figures over local days: rates by enterprise, incidents by rule, key figures against targets."""
    if context.invoked_subcommand:
        return
    from deploy.report import FORMATS, gather, judged_files, published_now
    from streams.policy.reader import load_policy

    if from_ is None or until is None:
        raise BadInput("a report needs --from DATE and --until DATE")
    if format_ not in FORMATS:
        raise BadInput(f"--format {format_!r} is not one of {', '.join(FORMATS)}{nearest(format_, FORMATS)}")
    pack = load_policy(_policy_name(city, policy_name))
    days = _date(from_, "--from"), _date(until, "--until")
    source = published_now(_settings().kafka_bootstrap) if judged is None else judged_files(judged)
    text = FORMATS[format_](gather(pack, _registry(pack, registry_file), *source, *days))
    if out is None:
        _print_text(text)
    else:
        out.write_text(text, "utf-8")
        _say(f"written to {out}")


@report.command("draw")
def report_draw(
    seed: Annotated[str, typer.Option(help="any text; agree on it before, and publish it")],
    count: Annotated[int, typer.Option(min=1, help="so many vehicles and so many outlets")],
    city: Annotated[str | None, typer.Option(help="city of the pack (default: hohhot)")] = None,
    policy_name: Annotated[str | None, typer.Option("--policy", help="pack by name or path")] = None,
    on: Annotated[str | None, typer.Option(help="local day whose registry counts (default: today)")] = None,
    registry_file: Annotated[Path | None, typer.Option("--registry", help="registry file, instead of Kafka's")] = None,
) -> None:
    """Draw vehicles and outlets for inspection at random (双随机); the same seed and registry give the same draw."""
    import time

    from deploy.report import as_json, draw
    from streams.policy.reader import load_policy

    pack = load_policy(_policy_name(city, policy_name))
    today = pack.days.date_of(time.time_ns() // 1_000_000)
    print(shown_json(as_json(draw(pack, _registry(pack, registry_file), seed=seed, count=count, on=_date(on or today, "--on")))), end="")


def main() -> None:
    """Run a command; every error on purpose is one line on stderr and its exit code; whoever is interrupted ends with 130."""
    stopping.watch()
    os.umask(OWN_FILES_ONLY)
    code = _outcome()
    if stopping.asked.is_set():
        leave(code)  # without asking what libraries still wait for
    sys.exit(code)


def _outcome() -> int:
    try:
        stopping.when_asked(interrupt)
        app(prog_name="yicheng")
    except YichengError as error:
        print(f"yicheng: {shown(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except OSError as error:  # a full disk, a folder without permission
        print(f"yicheng: {shown(error.filename or 'input or output')}: {shown(error.strerror or error)}", file=sys.stderr)
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        stopping.when_asked(lambda: leave(INTERRUPTED))
    return 0


if __name__ == "__main__":
    main()
