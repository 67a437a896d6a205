"""The README's commands, run as they stand there."""

import os
import re
import signal
import subprocess

from conftest import ROOT, get, wait_for, written_lines

from deploy.ports import free_port


def commands(heading):
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines() if line.strip()]


def test_running_the_parts_as_the_readme_says(checkout):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("YICHENG_")}
    running = []
    try:
        for command in commands("Running the parts yourself"):
            if command.endswith(("worker", "notifier")):
                port = free_port()  # its own default may be taken by an up that runs beside
                own = {**environment, "YICHENG_METRICS_PORT": str(port)}
                running.append(subprocess.Popen(["bash", "-c", f"exec env {command}"], cwd=checkout, env=own))
                wait_for(f"{command} to be ready", lambda port=port: get(f"http://127.0.0.1:{port}/readyz"))
                continue
            if command == "./yicheng kafka stop":
                wait_for("incidents in the file", lambda: written_lines(checkout / "incidents.jsonl"))
                for child in running:
                    child.send_signal(signal.SIGTERM)
                    assert child.wait(30) == 0
            done = subprocess.run(
                ["bash", "-c", command.replace("--duration 1m", "--duration 5s")], cwd=checkout, env=environment, capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}: {done.stderr}"
            if "kafka start" in command:
                environment["YICHENG_KAFKA_BOOTSTRAP"] = re.search(r"127\.0\.0\.1:\d+", done.stdout)[0]
    finally:
        for child in running:
            if child.poll() is None:
                child.kill()
        subprocess.run(["./yicheng", "kafka", "stop"], cwd=checkout, env=environment, capture_output=True, check=False)


def test_the_short_commands_of_the_readme(checkout):
    for command in commands("What you see"):
        if command.startswith(("./yicheng policy", "./yicheng doctor")):
            done = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
