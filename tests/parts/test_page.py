"""docs/PARTS.md: what it shows runs."""

import re
import subprocess
import sys
from pathlib import Path

from tests.test_docs import ROOT, environment


def test_the_python_of_the_page_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "PARTS.md").read_text("utf-8"), re.M | re.S)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tides ")
    assert "Spring tides come at new moon." in done.stdout
