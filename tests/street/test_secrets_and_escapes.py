"""Secrets are never shown, wherever they stand and however wrong they are; text from data steers no terminal and is no markup."""

import json
import logging
import re

import orjson
import pytest
from conftest import PLAIN

from consumers.routing.file import configured
from consumers.sending.ways_out import WaysOut
from deploy import doctor, feedback
from deploy.packs.explain import explain
from deploy.report.page import as_html
from deploy.up.progress import Progress
from deploy.up.screen import Screen, plain_console
from streams.errors import BadInput
from streams.policy.reader import load_policy, parse_policy
from streams.process.logs import LIBRARIES, configure_logs
from streams.settings import Settings, load_settings
from streams.words.shown import shown, shown_json, shown_lines

CANARY = "hunter2Canary"
SECRETS = ["webhook_secret", "webhook_url", "identity_key", "alerts_token", "answers_key", "feedback_token", "deliveries_token", "kafka_password"]


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"YICHENG_{name.upper()}", raising=False)


def test_the_numeric_secret_of_the_field(yicheng, shared):
    done = yicheng.run("notifier", "--config", shared / "field" / "numeric_secret.yaml", YICHENG_KAFKA_BOOTSTRAP="127.0.0.1:1")
    assert done.returncode in {1, 2} and "987654321" not in done.stdout + done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "value",
    [
        "987654321", "[hunter2Canary]", "{a: hunter2Canary}", "{hunter2Canary: 1}", "!hunter2Canary", "!hunter2Canary x", "*hunter2Canary", "&hunter2Canary x: y", '"hunter2Canary',
        '"hunter2Canary\\q"', "@hunter2Canary", "`hunter2Canary`", "%hunter2Canary", "hunter2Canary: x", "|\n  hunter2Canary", "hunter2Canary\x00", "\n- hunter2Canary", "\n  hunter2Canary: 1",
    ],
)  # fmt: skip
def test_a_secret_in_a_file_is_never_shown_however_wrong_it_is(tmp_path, capfd, name, value):
    config = tmp_path / "config.yaml"
    config.write_bytes(f"{name}: {value}\npartitions: many\n".encode())
    with pytest.raises(BadInput) as caught:
        load_settings(config)
    text = str(caught.value) + repr(caught.value) + capfd.readouterr().err
    assert "hunter2" not in text and "987654321" not in text and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [f"webhook_secret:{CANARY}\n", f"webhook_secret={CANARY}\n", f"webhook_secret:{CANARY}\nx: 1\n", CANARY, f"- {CANARY}", f"webhook_secret={CANARY}: 1", f"{CANARY}: 1", f"webhook_secret: a\nwebhook_secret: {CANARY}"])
def test_a_slip_in_the_key_shows_no_secret_either(tmp_path, text):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(BadInput, match="config.yaml:[12]: ") as caught:
        load_settings(config)
    assert CANARY not in str(caught.value)


FREE_TEXT = {"policy", "kafka_ca", "kafka_user", "group", "metrics_host", "state_dir", "sink_file", "routes", "console_users", "console_tiles", "console_oidc_client_id", "console_oidc_client_secret_file", "console_oidc_role_claim"}
"""Settings that may be anything: names and paths."""


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in FREE_TEXT | set(SECRETS)])
def test_a_secret_under_another_setting_is_not_repeated(monkeypatch, name):
    monkeypatch.setenv(f"YICHENG_{name.upper()}", "whsec_" + CANARY + "@x")
    with pytest.raises(BadInput, match=f"setting YICHENG_{name.upper()}") as caught:
        load_settings()
    assert CANARY not in str(caught.value)


def test_a_wrong_number_is_repeated_and_a_wrong_level_named(monkeypatch):
    monkeypatch.setenv("YICHENG_PARTITIONS", "many")
    with pytest.raises(BadInput, match="not 'many'"):
        load_settings()
    monkeypatch.delenv("YICHENG_PARTITIONS")
    monkeypatch.setenv("YICHENG_LOG_LEVEL", "loud")
    with pytest.raises(BadInput, match="'DEBUG', 'INFO', 'WARNING' or 'ERROR', not 'LOUD'"):
        load_settings()
    monkeypatch.setenv("YICHENG_LOG_LEVEL", "info")
    assert load_settings().log_level == "INFO"


def test_settings_of_a_file_are_read_as_text_null_is_absent_and_the_environment_wins(tmp_path, monkeypatch):
    config = tmp_path / "config.yaml"
    config.write_text("\ufeffwebhook_secret: 0123\nsink_file: ~\nwebhook_real: yes\npartitions: 3\nstate_dir:\n", "utf-8")
    monkeypatch.setenv("YICHENG_PARTITIONS", "5")
    settings = load_settings(config)
    assert (settings.webhook_secret.get_secret_value(), settings.sink_file, settings.webhook_real, settings.partitions) == ("0123", None, True, 5)


URL = f"https://user:{CANARY}@hook.example:8443/{CANARY}?token={CANARY}#{CANARY}"


def test_no_secret_in_the_settings_as_printed_or_in_doctor(monkeypatch, capsys):
    monkeypatch.setenv("YICHENG_WEBHOOK_URL", URL)
    monkeypatch.setenv("YICHENG_WEBHOOK_SECRET", CANARY)
    monkeypatch.setenv("YICHENG_IDENTITY_KEY", CANARY)
    monkeypatch.setenv("COLUMNS", "300")
    settings = load_settings()
    doctor.examine(settings)
    printed = capsys.readouterr().out + repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert CANARY not in printed and "https://hook.example:8443/" in printed


@pytest.mark.parametrize("url", [URL, f"http://hook.example/{CANARY}", f"ftp://{CANARY}", f"https://[{CANARY}", f"https://a:{CANARY}", CANARY, f"https:///{CANARY}", f"https://hook.example/{CANARY} \n"])
def test_no_part_of_a_webhook_that_is_secret_is_in_an_error(monkeypatch, tmp_path, url):
    monkeypatch.setenv("YICHENG_WEBHOOK_URL", url)
    monkeypatch.setenv("YICHENG_WEBHOOK_SECRET", CANARY)
    with pytest.raises(BadInput) as caught:
        WaysOut(tmp_path / "outbox.db", configured(load_settings()), lambda: 0, lambda error: None)
    assert CANARY not in str(caught.value)


# --- text from data ---

STEERS = "京A\x1b[2J\x1b]0;pwned\x07\x9b31m\r\n\u202e\u200b\x7f[bold red]x[/]:smile:"


def harmless(text):
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]", text), text
    return text


def test_what_steers_a_terminal_is_written_out_and_words_stay():
    assert harmless(shown(STEERS)).startswith("京A\\x1b[2J") and "[bold red]x[/]:smile:" in shown(STEERS)
    assert shown("呼和浩特市　ກຂ 1234 · a\u00a0b") == "呼和浩特市　ກຂ 1234 · a\u00a0b"
    assert shown_lines("a\tb\n\x1bc\r") == "a\tb\n\\x1bc\\r"
    for text in ("\ud800", "\U000e0001", "\ufeff"):
        assert shown(text).isascii()
    value = {"k\x9b": STEERS, "n": ["\U000e0041\u2028"]}
    assert json.loads(harmless(shown_json(orjson.dumps(value).decode()))) == value


def test_incidents_list_shows_one_line_an_incident_whatever_it_says(monkeypatch):
    data = {
        "incident_id": "I\n2", "opened_at_ms": 0, "state": "open\t", "rule": "r", "rule_id": STEERS, "vehicle_id": STEERS, "outlet_id": None, "enterprise_id": None,
        "reason_zh": STEERS, "reason_en": STEERS,
    }  # fmt: skip
    monkeypatch.setattr(feedback, "standing", lambda _: {"I": data})
    monkeypatch.setattr(feedback, "answers", lambda _: {"I\n2": {"action": STEERS}})
    (line,) = feedback.listed("", load_policy("hohhot-2019"), unanswered=False, rule=None)
    assert harmless(line).count("\t") == 6 and "\n" not in line


def test_policy_check_shows_a_pack_of_somebody_else_harmlessly():
    pack = load_policy("hohhot-2019").pack.source
    text = pack["yaml"].replace("name_zh: 呼和浩特市", 'name_zh: "\\e[2J\\u202E[red]\\n  all fine"', 1)
    said = explain(parse_policy(text, "x", lambda _: pack["geojson"]), "zh")
    assert "[red]" in harmless(said) and "\n  all fine" not in said


def test_errors_are_one_harmless_line(yicheng):
    done = yicheng.run("policy", "check", "x\x1b[2J\n\u202ey")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and harmless(done.stderr.strip("\n"))


def test_the_live_screen_takes_data_for_words(tmp_path):
    progress = Progress(tmp_path / "[bold]s[/]" / "incidents.jsonl")
    progress.sink.parent.mkdir(parents=True)
    event = {"type": "yicheng.incident.opened.v1", "data": {"reason_zh": STEERS, "reason_en": "[/] :smile: [link=x]", "clause": "[red]"}}
    progress.sink.write_bytes(orjson.dumps(event) + b"\n")
    progress.read_sink()
    console = plain_console(force_terminal=True, width=300, color_system=None, legacy_windows=False)
    screen = Screen(console, load_policy("hohhot-2019"), progress)
    with console.capture() as drawn:
        console.print(screen.picture(f"incidents {progress.sink}"))
        console.print(screen.line(), soft_wrap=True)
    text = drawn.get()
    assert "[/] :smile: [link=x]" in text and "[red]" in text and "[bold]s[/]" in text
    harmless(re.sub("\x1b\\[[0-9;]*m", "", text))


def test_logs_are_lines_of_json_that_steer_nothing(capfd):
    import structlog

    configure_logs("INFO")
    try:
        structlog.get_logger().warning(STEERS, key=STEERS)
        logging.getLogger("somebody").warning('"%s"', STEERS)
        try:
            raise ValueError(STEERS)
        except ValueError:
            logging.getLogger("somebody").exception("failed")
    finally:
        logging.disable(logging.NOTSET)
        logging.root.handlers.clear()
        structlog.reset_defaults()
        structlog.configure(processors=PLAIN)
    out, err = capfd.readouterr()
    lines = (out + err).splitlines()
    assert len(lines) == 3 and LIBRARIES["version"] == 1
    assert json.loads(harmless(lines[0]))["key"] == STEERS
    assert json.loads(harmless(lines[1]))["event"] == f'"{STEERS}"'
    assert STEERS.split("\r", maxsplit=1)[0] in json.loads(harmless(lines[2]))["exception"]


def test_the_html_report_takes_names_for_words():
    from deploy.report.content import Published, gather
    from streams.registry.records import Enterprise
    from streams.registry.registry import Registry

    policy = load_policy("hohhot-2019")
    registry = Registry(policy.timezone)
    name = "<script>alert(1)</script>\" onmouseover=x '"
    registry.add([Enterprise(id="e", name_zh=name, name_en=name)])
    counts = {"accepted": 1, "date": "2024-05-07", "city": "150100", "enterprise_id": "e", "revision": 1}
    from streams.counts import FEATURES

    rates = [{**counts, **dict.fromkeys(FEATURES, 0)}]
    import datetime as dt

    day = dt.date(2024, 5, 7)
    html = as_html(gather(policy, registry, Published(rates, []), day, day))
    assert "<script>alert" not in html and "&lt;script&gt;" in html


def test_the_command_line_prints_no_text_of_data_but_through_these():
    from conftest import ROOT

    ours = re.compile(r"shown|json\.dumps|script\.stem|downloading|if created")
    modules = [ROOT / "deploy" / "cli.py", *(ROOT / "deploy" / "commands").glob("*.py")]
    assert len(modules) > 10
    for module in modules:
        for number, line in enumerate(module.read_text("utf-8").splitlines(), 1):
            assert not re.search(r"\bprint\(", line) or ours.search(line), f"{module.name}:{number}: {line.strip()}"
