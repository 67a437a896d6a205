"""What deploy/kubernetes/generate.py makes: what is committed, and the same topics and users that `topics create` and `topics access` make."""

import re

import pytest
import yaml
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from test_kubernetes import DEPLOY, HERE, OBJECTS

from deploy import kafka_roles, topic_admin
from deploy.kubernetes import generate
from streams.settings import Settings
from streams.wire.topics import ALL


@pytest.mark.parametrize("number", [0, 1, 2, 3], ids=["topics", "users", "rules", "routes"])
def test_what_is_committed_is_what_is_made(number):
    path, text = list(generate.manifests())[number]
    assert path.read_text("utf-8") == text, "run .venv/bin/python -m deploy.kubernetes.generate"


class Admin:
    """A Kafka without topics, which notes what it is asked for."""

    class Noted(Exception):
        """All that is to be known is known."""

    def list_topics(self):
        return []

    def create_topics(self, wanted):
        raise Admin.Noted(wanted)

    def close(self):
        pass


def test_topics_are_those_that_the_command_creates(monkeypatch):
    monkeypatch.setattr(topic_admin, "administer", lambda bootstrap: Admin())
    with pytest.raises(Admin.Noted) as noted:
        topic_admin.create_topics("nowhere:9092", Settings.model_fields["partitions"].default, generate.REPLICAS)
    asked = {t.name: (t.num_partitions, t.replication_factor, dict(t.topic_configs)) for t in noted.value.args[0]}
    declared = {o["metadata"]["name"]: (o["spec"]["partitions"], o["spec"]["replicas"], o["spec"]["config"]) for o in OBJECTS if o["kind"] == "KafkaTopic"}
    assert declared == asked and len(asked) == len(ALL)


class Entered(Admin):
    """The same for access rules."""

    def create_acls(self, rules):
        raise Admin.Noted(rules)


def test_users_may_what_the_command_allows_them_and_no_more(monkeypatch):
    """Every rule of every role; and a notifier writes no incidents, a console no state."""
    monkeypatch.setattr(kafka_roles, "administer", lambda bootstrap: Entered())
    with pytest.raises(Admin.Noted) as noted:
        kafka_roles.allow("nowhere:9092", Settings.model_fields["group"].default)
    patterns = {"literal": ACLResourcePatternType.LITERAL, "prefix": ACLResourcePatternType.PREFIXED}
    declared = [
        ACL(f"User:{user['metadata']['name']}", "*", ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper()], ACLPermissionType.ALLOW, ResourcePattern(ResourceType[of["type"].upper()], of["name"], patterns[of["patternType"]]))
        for user in OBJECTS if user["kind"] == "KafkaUser" for rule in user["spec"]["authorization"]["acls"] for of in [rule["resource"]] for word in rule["operations"]
    ]  # fmt: skip
    assert sorted(map(repr, declared)) == sorted(map(repr, noted.value.args[0])) and len(declared) > 30
    written = {user["metadata"]["name"]: {rule["resource"]["name"] for rule in user["spec"]["authorization"]["acls"] if "Write" in rule["operations"]} for user in OBJECTS if user["kind"] == "KafkaUser"}
    assert written["yicheng-notifier"] == written["yicheng-console"] == {"courier.feedback.v1"}


def test_names_of_topics_are_names_of_objects():
    assert [t.name for t in ALL if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", t.name)] == []


def test_rules_are_those_of_prometheus_in_their_order(tmp_path):
    first, second = tmp_path / "recording.yml", tmp_path / "alerts.yml"
    rule = {"alert": "A", "expr": "up == 0\nand on () vector(1)\n", "for": "5m", "annotations": {"summary": "a 甲"}}
    first.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [{"record": "a:b:c", "expr": "1"}]}]}))
    second.write_text(yaml.safe_dump({"groups": [{"name": "two", "interval": "30s", "rules": [rule]}]}, allow_unicode=True))
    made = generate.prometheus_rule((first, tmp_path / "missing.yml", second))
    assert [group["name"] for group in made["spec"]["groups"]] == ["one", "two"] and made["spec"]["groups"][1]["rules"] == [rule]
    assert generate.RULES == (DEPLOY / "prometheus" / "recording.yml", DEPLOY / "prometheus" / "alerts.yml")


def matched(matchers):
    return [f'{m["name"]}{m.get("matchType", "=")}"{m["value"]}"' for m in matchers]


def flat(route, key):
    """A route and those below it, one after the other."""
    return [route, *(inner for below in route.get(key, ()) for inner in flat(below, key))]


def test_routes_are_those_of_alertmanager():
    given, made = yaml.safe_load(generate.ROUTES.read_text("utf-8")), generate.alertmanager_config()["spec"]
    keys = {"receiver": "receiver", "group_by": "groupBy", "group_wait": "groupWait", "group_interval": "groupInterval", "repeat_interval": "repeatInterval"}
    ours, theirs = flat(given["route"], "routes"), flat(made["route"], "routes")
    assert [[route.get(key) for key in keys] for route in ours] == [[route.get(key) for key in keys.values()] for route in theirs]
    assert [route.get("matchers", []) for route in ours] == [matched(route.get("matchers", [])) for route in theirs]
    assert {key for route in ours for key in route} <= {*keys, "matchers", "routes"}, "nothing is left out"
    muted = [(rule["source_matchers"], rule["target_matchers"], rule["equal"]) for rule in given["inhibit_rules"]]
    assert muted == [(matched(rule["sourceMatch"]), matched(rule["targetMatch"]), rule["equal"]) for rule in made["inhibitRules"]]
    dead_man = theirs[1]
    assert matched(dead_man["matchers"]) == ['alertname="DeadMansSwitch"'] and dead_man["repeatInterval"] == "5m"


def test_alertmanager_finds_the_notifier_and_shows_it_the_token():
    (receiver,) = generate.alertmanager_config()["spec"]["receivers"]
    (hook,) = receiver["webhookConfigs"]
    readme, service = (HERE / "README.md").read_text("utf-8"), next(o for o in OBJECTS if o["kind"] == "Service" and o["metadata"]["name"] == "yicheng-notifier")
    assert hook["url"] == f"http://{service['metadata']['name']}.{generate.NAMESPACE}.svc:{service['spec']['ports'][0]['port']}/v1/alerts" and hook["url"] in readme and hook["sendResolved"]
    token = hook["httpConfig"]["authorization"]["credentials"]
    assert f"create secret generic {token['name']} --from-literal={token['key']}=" in readme
    for needed in ("enforcedNamespaceLabel: namespace", "alertmanagerConfigSelector", "alertmanagerConfigNamespaceSelector"):
        assert readme.count(needed) == 2, "in both languages: without them no alert comes through"


def test_text_stays_readable():
    text = generate._as_text([{"expr": "a\n+ b\n", "summary": "甲"}])
    assert text.startswith("# Made by") and "expr: |\n  a\n  + b\n" in text and "summary: 甲" in text
    assert HERE in {path.parents[2] for path, _ in generate.manifests()}
