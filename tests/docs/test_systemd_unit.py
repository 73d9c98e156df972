"""The unit of systemd that docs/deploy.md shows is one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("broken", [False, True])
def test_systemd_has_nothing_to_say_about_it(tmp_path, broken):
    (unit,) = re.findall(r"```ini\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    unit = unit.replace("%h/venv/bin/zdqn", f"{sys.executable} -m zdqn")
    if broken:
        unit = unit.replace("Restart=on-failure", "Restart=on-falure")
    path = tmp_path / "zdqn@.service"
    path.write_text(unit, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert bool(done.returncode or "Failed to parse" in done.stderr) == broken, done.stderr
