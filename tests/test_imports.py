"""Who may import whom, and that serving starts where torch is not installed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVING = (
    "streams.app",
    "inference.encoders.settings",
    "inference.api.app",
    "feature_store.online.feast.repo",
)
BLOCKED = ("torch", "transformers", "mlflow")
WITHOUT_FEAST = (
    "streams.app",
    "streams.sinks.runner",
    "inference.api.app",
    "ops.connection",
    "ops.store_mix",
)
"""What opens the store by its address: Feast is loaded by whoever reads through Feast."""

_IMPORT_WITHOUT = """
import importlib, sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
for module in {modules!r}:
    importlib.import_module(module)
{then}
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_rooms_import_in_one_direction() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_holds_about_a_dozen_files() -> None:
    rooms = ("feature_store", "inference", "streams", "training", "ops", "studies", "bench")
    folders = Counter(path.parent for room in rooms for path in (ROOT / room).rglob("*.py"))
    wide = {str(folder.relative_to(ROOT)): files for folder, files in folders.items() if files > 15}
    assert not wide, f"docs/adr/0041-sub-rooms.md: divide {wide}"


def test_serving_imports_without_the_training_packages() -> None:
    # Feast is imported when a feature store is opened, not before: import it the same way.
    then = "import feature_store.online.feast.light_import"
    run(_IMPORT_WITHOUT.format(blocked=BLOCKED, modules=SERVING, then=then))


def test_who_opens_the_store_by_its_address_does_not_load_feast() -> None:
    then = "from feature_store.online.rows import OnlineRows; OnlineRows('redis://127.0.0.1:1/0', 'clicks')"
    code = _IMPORT_WITHOUT.format(blocked=("feast",), modules=WITHOUT_FEAST, then=then)
    assert run(code + "print('feast' in sys.modules, 'typeguard' in sys.modules)").split() == [
        "False",
        "False",
    ]
