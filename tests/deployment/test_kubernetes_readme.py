"""deploy/kubernetes/README.md: its commands, links and figures are those of the files."""

import re

import pytest
from against_the_code import DEPLOY, parse
from test_image import VERSION
from test_kubernetes import DEPLOYMENTS, HERE, PORTS
from test_scaling import DIVISORS, FOR_A_WORKER

from streams.settings import Settings

TEXT = (HERE / "README.md").read_text("utf-8")


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links and [link for link in links if not (HERE / link).exists()] == []
    assert [name for name in re.findall(r"deploy/kubernetes/(overlays/\w+)", TEXT) if not (HERE / name).is_dir()] == []


@pytest.mark.parametrize("command", re.findall(r"(?:; |-- |\./)yicheng ([a-z]+ [a-z]+(?: [\w/.-]+)?)|worker (registry import [\w/.-]+)`|-- (topics create)`", TEXT), ids="".join)
def test_its_commands_are_commands(command):
    parse("".join(command).split())


def test_it_names_secrets_settings_and_ports_as_they_are():
    for deployment in DEPLOYMENTS:
        name, config = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]["containers"][0]["args"][-1].rpartition("/")[2]
        assert f"create secret generic {name} --from-file={config}" in TEXT
    assert {"identity_key", "webhook_url", "webhook_secret"} <= set(re.findall(r"(\w+): [%$]", TEXT.replace(r"\n", " "))) & set(Settings.model_fields)
    assert set(re.findall(r"yicheng-notifier\.yicheng\.svc:(\d+)/v1/alerts", TEXT)) == {str(PORTS["yicheng-notifier"])}
    assert {VERSION} == set(re.findall(r"yicheng:(\d[\d.]*\d)", TEXT))


def test_its_figures_are_those_of_the_scaling():
    head, last = re.search(r"divided evenly by ([\d, ]+) or (\d+)", TEXT).groups()
    assert [*map(int, head.split(", ")), int(last)] == DIVISORS
    assert set(re.findall(r"([\d,]+) fixes a second", TEXT)) == {f"{FOR_A_WORKER['pace']:,}"} and f"{FOR_A_WORKER['pace']:,} 个轨迹点" in TEXT


def test_it_says_that_nothing_was_run():
    assert "Not run on a cluster yet" in TEXT and "尚未在集群上运行" in TEXT and (DEPLOY / "compose.yaml").exists()
