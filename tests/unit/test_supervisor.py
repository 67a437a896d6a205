"""What becomes of a process of ``up`` that has died."""

from types import SimpleNamespace

import pytest

from deploy.up.supervisor import Process
from streams.errors import YichengError


class Launched(Process):
    """One whose launches are counted."""

    def launch(self):
        self.wanted_port += 1


@pytest.mark.parametrize(("code", "again"), [(1, True), (-9, True), (2, False), (3, False)])
def test_only_what_may_go_on_is_started_again(code, again, tmp_path):
    """Exit codes 2 and 3 say that somebody must do something first: a loop of restarts would hide that."""
    log = tmp_path / "worker.log"
    log.write_text('{"event": "before"}\n{"event": "run ./yicheng topics rewind", "level": "error"}\n')
    process = Launched("worker-1", [], {}, log, 0, child=SimpleNamespace(poll=lambda: code, returncode=code))
    if again:
        process.launch_if_dead()
        assert process.wanted_port == process.restarts == 1
    else:
        with pytest.raises(YichengError, match=r"worker-1 cannot go on: run ./yicheng topics rewind"):
            process.launch_if_dead()
        assert process.wanted_port == 0
