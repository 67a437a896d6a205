"""The file of the console's users, the command that writes it, sessions, and how guessing is slowed."""

import contextlib
import os
import pty
import stat

import pytest

from consumers.console.accounts.passwords import fits
from consumers.console.accounts.sessions import (
    FORGOTTEN_S,
    IDLE_S,
    LONGEST_S,
    LONGEST_WAIT_S,
    MOST_OF_ONE,
    MOST_REMEMBERED,
    MOST_SESSIONS,
    BackOff,
    Sessions,
)
from consumers.console.accounts.users import User, UsersFile, read_users, users_of, write_user
from streams.errors import BadInput

HASH = "$argon2id$v=19$m=65536,t=3,p=4$MIIRqgvgQbgj220jfp0MPA$YfwJSVjtjSU0zzV/P3S9nnQ/USre2wvJMjfCIjrTQbg"
LINE = f'  wang: {{role: officer, password: "{HASH}"}}\n'


def written(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_users_have_a_name_a_role_and_a_hash(tmp_path):
    users = read_users(written(tmp_path / "users.yaml", f"# ours\nusers:\n{LINE}  王警官:\n    role: viewer\n    password: {HASH}\n"))
    assert users == {"wang": User("wang", "officer", HASH), "王警官": User("王警官", "viewer", HASH)}
    assert fits("correct horse battery staple", "$argon2id$v=19$m=8,t=1,p=1$" + "!") is False


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (f"users:\n{LINE}{LINE}", 3, "given twice (first in line 2)"),
        (f"users:\n{LINE.replace('officer', 'offcier')}", 2, "did you mean 'officer'?"),
        (f"users:\n{LINE.replace('role', 'rôle')}", 2, "unknown key"),
        (f"users:\n{LINE.replace('role: officer, ', '')}", 2, "'role' is missing"),
        (f"\n\nusers:\n{LINE.replace(HASH, 'secret-password')}", 4, "no argon2id hash"),
        (f"users:\n{LINE.replace('argon2id', 'argon2i')}", 2, "no argon2id hash"),
        (f"users:\n{LINE.replace('65536', '8')}", 2, "8 KiB"),
        (f"users:\n{LINE.replace('65536', '99999999')}", 2, "99999999 KiB"),
        (f"users:\n{LINE.replace('wang', chr(34) + 'wang li' + chr(34))}", 2, "is no name"),
        ("users: {}\n", 1, "nobody is named"),
        ("", 1, "users"),
        ("- wang\n", 1, "users"),
        (f'users:\n{LINE}  li: {{role: officer, password: "secret-password\n', 4, "a line is NAME:"),
        (f"users:\n{LINE}visitors: {{}}\n", 3, "unknown key 'visitors'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_its_place_and_no_secret(tmp_path, text, place, said):
    path = written(tmp_path / "users.yaml", text)
    with pytest.raises(BadInput) as caught:
        read_users(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{place}: ") and said in message and "\n" not in message
    assert "secret-password" not in message and HASH not in message


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o604])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path, mode):
    path = written(tmp_path / "users.yaml", f"users:\n{LINE}", mode)
    with pytest.raises(BadInput, match="YICHENG_CONSOLE_USERS: .*others.*chmod 600"):
        read_users(path)
    with pytest.raises(BadInput, match="no such file"):
        read_users(tmp_path / "nowhere")


def test_users_are_read_again_and_a_mistake_changes_nothing(tmp_path):
    path = written(tmp_path / "users.yaml", f"users:\n{LINE}")
    users = UsersFile(path)
    written(path, f"users:\n{LINE.replace('officer', 'admin')}")
    assert users.current()["wang"].role == "admin"
    written(path, "users: [")
    assert users.current()["wang"].role == "admin"
    path.unlink()
    assert users.current()["wang"].role == "admin"
    written(path, f"users:\n{LINE.replace('wang', 'li')}")
    assert list(users.current()) == ["li"]


def test_a_user_takes_a_line_and_leaves_the_others_as_they_are(tmp_path):
    path = tmp_path / "users.yaml"
    assert write_user(path, User("wang", "officer", HASH)) is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and read_users(path)["wang"].role == "officer"
    path.write_text(path.read_text() + "  # the night shift\n")
    assert write_user(path, User("li", "viewer", HASH)) is False and write_user(path, User("wang", "admin", HASH)) is True
    assert {user.name: user.role for user in read_users(path).values()} == {"wang": "admin", "li": "viewer"}
    assert "# the night shift" in path.read_text() and os.listdir(tmp_path) == ["users.yaml"]
    for text in (f"users:\n  wang:\n    role: viewer\n    password: {HASH}\n", f'users:\n    li: {{role: viewer, password: "{HASH}"}}\n'):
        written(path, text)
        with pytest.raises(BadInput, match="put this"):
            write_user(path, User("wang", "admin", HASH))
        assert path.read_text() == text


def test_the_command_makes_users_who_can_log_in(tmp_path):
    from typer.testing import CliRunner

    from deploy.commands.console import app

    path = tmp_path / "users.yaml"
    user = lambda *arguments, typed, **environment: CliRunner().invoke(app, ["user", *arguments], input=typed, env={"YICHENG_CONSOLE_USERS": None, **environment})  # noqa: E731
    done = user("wang", "--role", "officer", typed="correct horse\n", YICHENG_CONSOLE_USERS=str(path))
    assert done.exit_code == 0 and "wang is added (officer)" in done.output
    made = read_users(path)["wang"]
    assert made.role == "officer" and fits("correct horse", made.password) and not fits("correct horsf", made.password)
    printed = users_of(user("li", typed="correct horse\n").output, "x")
    assert list(printed) == ["li"] and printed["li"].role == "viewer"
    for arguments, typed, said in ((("li",), "short\n", "10 to 200 characters"), (("li",), "", "not 0"), (("l i",), "correct horse\n", "is no name")):
        assert said in str(user(*arguments, typed=typed).exception)
    assert user("li", "--role", "chief", typed="correct horse\n").exit_code == 2


@pytest.mark.parametrize(("again", "said"), [("correct horse", "wang is added"), ("correct horsf", "the two passwords differ")])
def test_at_a_terminal_a_password_is_typed_twice_and_not_shown(yicheng, tmp_path, again, said):
    environment = {**yicheng.environment, "YICHENG_CONSOLE_USERS": str(tmp_path / "users.yaml")}
    command = yicheng.command("console", "user", "wang")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    shown = b""
    for prompt, typed in ((b"password", "correct horse"), (b"again", again)):
        while prompt not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, f"{typed}\n".encode())
    with contextlib.suppress(OSError):  # the terminal is gone when the command is
        while part := os.read(terminal, 1000):
            shown += part
    os.close(terminal)
    os.waitpid(pid, 0)
    assert said in shown.decode() and b"hors" not in shown


def test_sessions_end_after_idleness_and_after_a_day_of_work():
    sessions = Sessions()
    first = sessions.begin("wang", "officer", None, 0.0)
    assert len(first) >= 43 and first != sessions.begin("wang", "officer", None, 0.0)
    moment = 0.0
    while moment + IDLE_S <= LONGEST_S:
        moment += IDLE_S
        assert sessions.find(first, moment).name == "wang"
    assert sessions.find(first, LONGEST_S + 1) is None and sessions.find(first, 1.0) is None, "it is over for good"
    idle = sessions.begin("wang", "officer", None, 0.0)
    assert sessions.find(idle, IDLE_S + 1) is None and sessions.find("", 0.0) is None
    ended = sessions.begin("li", "viewer", None, 0.0)
    sessions.end(ended)
    assert sessions.find(ended, 0.0) is None


def test_sessions_are_bounded_and_the_oldest_go():
    sessions = Sessions()
    own = [sessions.begin("wang", "officer", None, 0.0) for _ in range(MOST_OF_ONE + 2)]
    assert [sessions.find(one, 0.0) is not None for one in own] == [False] * 2 + [True] * MOST_OF_ONE
    for number in range(MOST_SESSIONS + 5):
        sessions.begin(f"u{number}", "viewer", None, 1.0)
    assert len(sessions) == MOST_SESSIONS and sessions.find(own[-1], 1.0) is None
    sessions.begin("late", "viewer", None, IDLE_S + 2)
    assert len(sessions) == 1, "those that are over make room"


def test_failures_are_waited_for_longer_and_longer():
    back_off, waits = BackOff(), []
    for _ in range(12):
        waits.append(back_off.wait_s("name wang", 100.0))
        back_off.failed("name wang", 100.0)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60] and LONGEST_WAIT_S == 60
    assert back_off.wait_s("name wang", 130.0) == 30 and back_off.wait_s("name li", 100.0) == 0
    assert back_off.wait_s("name wang", 101.0 + FORGOTTEN_S) == 0
    back_off.succeeded("name wang")
    assert back_off.wait_s("name wang", 100.0) == 0
    for number in range(MOST_REMEMBERED + 5):
        back_off.failed(f"name {number}", 100.0)
    assert len(back_off._failures) == MOST_REMEMBERED
