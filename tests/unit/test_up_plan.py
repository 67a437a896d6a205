"""What ``up`` goes on with, where the last run in its folder was of another city."""

from deploy.up.plan import UpPlan
from streams.policy.reader import load_policy
from streams.registry.files import load_registry


def test_each_city_has_its_own_sample_registry_and_goes_on_with_it(tmp_path):
    made = {}
    for name in ("yunnan-2018", "hohhot-2019", "yunnan-2018"):
        policy = load_policy(name)
        plan = UpPlan(policy, name, 50.0, 30_000, 1, 60.0, False, [], None, 1, "", keep=True, wipe=False)
        registry_file = plan.registry_in(tmp_path)
        assert load_registry(registry_file, policy.timezone, policy.zone_kinds).grouped()
        assert made.setdefault(name, registry_file.read_bytes()) == registry_file.read_bytes()
    assert made["yunnan-2018"] != made["hohhot-2019"]
