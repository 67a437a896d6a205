"""What ``up`` goes on with, where the last run in its folder was of another city, and how it ends when something fails."""

import threading
from types import SimpleNamespace

import pytest

from deploy import local
from deploy.local import Local
from deploy.up.plan import UpPlan
from streams.errors import Unavailable
from streams.policy.reader import load_policy
from streams.process.stopping import INTERRUPTED
from streams.registry.files import load_registry
from streams.settings import Settings


def plan_of(name, *, keep=False):
    policy = load_policy(name)
    return UpPlan(policy, name, 50.0, 30_000, 1, 60.0, False, [], None, 1, "", keep=keep, wipe=False)


def test_each_city_has_its_own_sample_registry_and_goes_on_with_it(tmp_path):
    made = {}
    for name in ("yunnan-2018", "hohhot-2019", "yunnan-2018"):
        plan = plan_of(name, keep=True)
        registry_file = plan.registry_in(tmp_path)
        assert load_registry(registry_file, plan.policy.timezone, plan.policy.zone_kinds).grouped()
        assert made.setdefault(name, registry_file.read_bytes()) == registry_file.read_bytes()
    assert made["yunnan-2018"] != made["hohhot-2019"]


@pytest.mark.parametrize("asked", [True, False])
def test_what_fails_while_it_is_being_stopped_makes_it_an_interruption_and_no_failure(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "stopping", SimpleNamespace(asked=threading.Event(), when_asked=lambda *_: None))
    up = Local(plan_of("hohhot-2019"), Settings(state_dir=str(tmp_path)))

    def fails():
        if asked:
            local.stopping.asked.set()
        raise Unavailable("Kafka does not answer")

    monkeypatch.setattr(up, "_run_to_the_end", fails)
    if asked:
        assert up.run() == INTERRUPTED
    else:
        with pytest.raises(Unavailable):
            up.run()
