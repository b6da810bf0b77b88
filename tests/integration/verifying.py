"""`simpersona verify` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.rig import Rig


def verify(rig: Rig, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and report of the command."""
    ran = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "verify", "--json", *options],
        env=rig.environment(rig.settings),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.stdout or ran.returncode, ran.stderr
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {"error": ran.stderr}
