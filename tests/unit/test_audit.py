"""The audit log: every line fits the one before, whoever writes and however a writer ends; ``verify`` names the first line that does not."""

import json
import multiprocessing
import os
import pwd
import subprocess
import sys

import pytest
from conftest import ROOT

from consumers.audit import LONGEST_LINE_BYTES, Audit, verify
from deploy.commands.incidents import _who
from streams.errors import BadInput
from streams.process.os_users import this_user, user_named


@pytest.fixture
def log(tmp_path):
    audit = Audit(tmp_path / "state" / "audit.jsonl")
    for number in range(5):
        audit.append("dismissed", f"警员 {number}", incident_id="I", revision=number, answer_id=None)
    return audit


def lines(log):
    return log.path.read_bytes().splitlines(keepends=True)


def test_every_line_says_who_did_what_and_fits(log):
    assert verify(log.path).lines == 5 and verify(log.path).broken is None
    said = json.loads(lines(log)[3])
    assert said["by"] == "警员 3" and said["about"] == {"incident_id": "I", "revision": 3, "answer_id": None} and said["number"] == 4
    assert log.path.stat().st_mode & 0o077 == 0


def changed(kept, number):
    return [*kept[: number - 1], kept[number - 1].replace(b"dismissed", b"dismisses"), *kept[number:]]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda kept: changed(kept, 1), 2), (lambda kept: changed(kept, 3), 4), (lambda kept: kept[1:], 1), (lambda kept: kept[:2] + kept[3:], 3),
        (lambda kept: [kept[0], kept[2], kept[1], *kept[3:]], 2), (lambda kept: [*kept[:2], kept[1], *kept[2:]], 3), (lambda kept: [*kept[:2], b"\n", *kept[2:]], 3),
        (lambda kept: [*kept[:2], b"\xff{}\n", *kept[2:]], 3),
        (lambda kept: [line.replace(b"\n", b"\r\n") for line in kept], 2), (lambda kept: [b"\xef\xbb\xbf", *kept], 1), (lambda kept: kept[::-1], 1), (lambda kept: [*kept[:2], kept[2].rstrip(b"\n"), *kept[3:]], 3), (lambda kept: [*kept, b"x" * (LONGEST_LINE_BYTES + 5)], 6), (lambda kept: [kept[0].replace(b'"number":1', b'"number":7'), *kept[1:]], 1),
    ],
)  # fmt: skip
def test_the_first_line_that_does_not_fit_is_named(log, change, broken):
    log.path.write_bytes(b"".join(change(lines(log))))
    assert verify(log.path).broken == broken and verify(log.path).lines == broken - 1 and verify(log.path).why


def test_the_hash_of_the_last_line_tells_a_log_that_was_cut_off(log):
    last = verify(log.path).last
    log.path.write_bytes(b"".join(lines(log)[:-1]))
    assert verify(log.path).broken is None and verify(log.path).last != last


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_that_was_torn_is_told_and_the_log_goes_on(log, kept):
    whole = log.path.read_bytes()
    torn = lines(log)[-1][:kept]
    log.path.write_bytes(b"".join(lines(log)[:-1]) + torn)
    assert verify(log.path).torn == len(torn) and verify(log.path).broken is None and verify(log.path).lines == 4
    log.append("exported", "b", incident_id="J")
    after = [json.loads(line) for line in lines(log)]
    assert verify(log.path).lines == 6 and verify(log.path).broken is None and verify(log.path).torn == 0
    assert after[4]["action"] == "torn line removed" and after[4]["about"]["bytes"] == len(torn) and after[5]["action"] == "exported"
    assert log.path.read_bytes().startswith(whole[: whole.rindex(b'{"number":5')])


def test_only_a_torn_line_is_no_loss(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"num')
    Audit(path).append("x", None)
    assert verify(path).lines == 2 and verify(path).broken is None


def write_many(path, name, together):
    together.wait()
    for number in range(200):
        Audit(path).append("answered", name, number=number)


def test_several_processes_write_one_log(tmp_path):
    path = tmp_path / "audit.jsonl"
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(3)
    writers = [spawn.Process(target=write_many, args=(path, str(n), together)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    said = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert verify(path).lines == 600 and verify(path).broken is None
    assert all([row["about"]["number"] for row in said if row["by"] == name] == list(range(200)) for name in "012")


def test_a_full_disk_loses_nothing_that_was_written(tmp_path):
    """The limit on a file's size stands for the disk's: a part of a line is written, and then no more."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from consumers.audit import Audit\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "n = 0\n"
        "try:\n"
        "    while True: Audit(Path(sys.argv[1])).append('a', 'b', n=n); n += 1\n"
        "except OSError: print(n)\n"
    )
    path = tmp_path / "audit.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert path.stat().st_size == 1000 and verify(path).lines == int(done.stdout) > 2 and verify(path).torn
    Audit(path).append("after", "b")
    assert verify(path).lines == int(done.stdout) + 2 and verify(path).broken is None


def test_long_words_are_shortened_and_a_missing_log_is_said(tmp_path):
    path = tmp_path / "audit.jsonl"
    Audit(path).append("x", "长" * 9_999, **{f"k{n}": "长" * 9_999 for n in range(10)})
    Audit(path).append("x", None)
    assert verify(path).lines == 2
    with pytest.raises(BadInput, match="audit log is audit.jsonl"):
        verify(tmp_path / "none")


def test_what_is_done_by_a_command_is_done_by_somebody():
    assert _who(None) == this_user() == f"{pwd.getpwuid(os.getuid()).pw_name} (OS user)" and _who("officer 7") == "officer 7"
    with pytest.raises(BadInput, match="--by is empty"):
        _who(" ")
    assert user_named(4_000_000_000) == "uid 4000000000", "a container may have no name for its user"
