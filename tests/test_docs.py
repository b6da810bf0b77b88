"""The documents say what the code does: generated pages are fresh, nothing is missing, links lead on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inference.api.metrics import ApiMetrics
from ops.calibration.metrics import CalibrationMetrics
from ops.cli.main import simpersona
from ops.documents.pages import DOCS, PAGES
from ops.drift.exporter import DriftMetrics
from streams.metrics import WorkerMetrics
from streams.sinks.metrics import SinkMetrics

ROOT = DOCS.parent
WRITTEN = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
ADRS = sorted((DOCS / "adr").glob("0*.md"))
ADR_INDEX = DOCS / "adr" / "README.md"
# In pieces, since this file is searched as well.
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(a + b)
        for a, b in [
            ("pypi.", "org"),
            ("pythonhosted.", "org"),
            ("download.", "pytorch.org"),
            ("pypi.", "nvidia.com"),
            ("repo1.", "maven.org"),
            ("repo.", "maven.apache.org"),
            ("registry.", "npmjs"),
            ("conda.", "anaconda.org"),
            ("index.", "docker.io"),
            ("docker.", "io/"),
            ("nvcr.", "io"),
        ]
    )
)
INDEX_OPTION = re.compile(r"(?m)^\s*(--extra-index-url|--index-url|--find-links|-i) ")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


REGISTRIES = [
    made.registry
    for made in (
        WorkerMetrics(),
        ApiMetrics(),
        CalibrationMetrics(),
        DriftMetrics(),
        SinkMetrics("webhook"),
    )
]
METRICS = [family for registry in REGISTRIES for family in registry.collect()]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_what_the_code_makes(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # click wraps at the terminal's width
    assert (DOCS / page).read_text() == PAGES[page](), "run `make docs`"


def commands(group: click.Group, path: str = "simpersona") -> Iterator[str]:
    for called in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), called)
        assert command is not None
        yield f"{path} {called}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {called}")


def test_every_command_is_documented() -> None:
    headings = re.findall(r"(?m)^## (.+)$", (DOCS / "commands.md").read_text())
    assert set(commands(simpersona)) <= set(headings)


def test_every_command_that_the_documents_name_exists() -> None:
    known = set(commands(simpersona))
    for page in WRITTEN:
        for said in re.findall(r"(?m)(?:^|`)(simpersona [a-z][a-z-]*)\b", page.read_text()):
            assert said in known, f"{name(page)} names `{said}`"


def test_every_metric_is_in_the_runbook() -> None:
    runbook = (DOCS / "runbook.md").read_text()
    for family in METRICS:
        counted = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{counted}`" in runbook, f"{counted} is not explained in docs/runbook.md"


def test_the_runbook_names_no_metric_that_is_not_there() -> None:
    known = {family.name for family in METRICS}
    for said in re.findall(r"`(simpersona_\w+)", (DOCS / "runbook.md").read_text()):
        assert said.removesuffix("_total") in known


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name(page)} links to {link}"


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_tables_have_rows_of_one_width(page: Path) -> None:
    """A | that is not escaped parts a cell in two."""
    width = 0
    for line in page.read_text().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in (0, cells), f"{name(page)}: {line}"
        width = cells


@pytest.mark.parametrize("adr", ADRS, ids=name)
def test_a_decision_has_its_parts(adr: Path) -> None:
    text = adr.read_text()
    number = int(adr.name[:4])
    assert text.startswith(f"# {number}. "), "title and file name differ"
    for heading in ("Context", "Decision", "Consequences"):
        assert f"\n## {heading}\n" in text


def test_a_number_names_one_decision() -> None:
    numbers = [adr.name[:4] for adr in ADRS]
    assert len(set(numbers)) == len(numbers)


def test_the_index_has_each_decision_once_by_its_title() -> None:
    listed = re.findall(r"(?m)^\| \[(\d+)\]\(([^)]+)\) \| (.+) \|$", ADR_INDEX.read_text())
    titles = {adr.name: adr.read_text().splitlines()[0].removeprefix("# ") for adr in ADRS}
    assert sorted(target for _, target, _ in listed) == sorted(titles)
    for number, target, title in listed:
        assert titles[target] == f"{number}. {title}"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / path for path in listed.stdout.decode().split("\0") if path]


def text_of(path: Path) -> str:
    """The file as text; nothing for binary files and those deleted since."""
    try:
        return path.read_text()
    except (UnicodeDecodeError, FileNotFoundError):
        return ""


def test_no_file_names_a_package_registry() -> None:
    for path in tracked():
        text = text_of(path)
        if path.name != "docker-compose.yml":  # the names of images may hold theirs
            assert not REGISTRY_HOSTS.search(text), name(path)
        assert path.suffix != ".txt" or not INDEX_OPTION.search(text), name(path)


def test_every_decision_that_the_code_names_is_written() -> None:
    written = {adr.name[:4] for adr in ADRS}
    for path in tracked():
        if path.suffix in (".py", ".toml", ".md", ""):
            for number in re.findall(r"docs/adr/(\d{4})", text_of(path)):
                assert number in written, f"{name(path)} names decision {number}"
