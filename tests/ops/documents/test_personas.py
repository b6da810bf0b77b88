"""`simpersona personas` and `simpersona sample`, from the command line on a bundle with a catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from feature_store.errors import SimpersonaError
from feature_store.online.encoding import Progress
from feature_store.online.fence import Checkpoint, Windows
from feature_store.online.rows import OnlineRows
from inference.bundles.bundle import Bundle
from inference.bundles.catalogue import Catalogue, encode_catalogue
from inference.bundles.publish import seal_bundle
from inference.bundles.reference import Reference, reference_to_json
from inference.counts.profile import FEATURE, Counts, empty_profile, pack_profile
from inference.counts.windows import StoreWindow, WindowSettings
from inference.errors import CatalogueError, ProfileError, SamplingError
from ops.cli.encoder.personas import personas
from ops.cli.encoder.sample import sample
from ops.documents.personas import personas_page
from ops.stack.valkey import Valkey
from tests.inference.made_bundles import make_bundle, model_bytes, stage_bundle
from tests.strategies import START, event
from tests.training.publishing.test_catalogue import quantizer
from tests.training.types.test_types import CELL_OF_CODE, CODES_EACH, planted
from training.publishing.catalogue import make_catalogue
from training.types.types import group_codes


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    data, codes = planted(3000)
    codes = np.where(codes % CODES_EACH == CODES_EACH - 1, codes - 1, codes)  # eight codes without buyers
    groups = group_codes(data, np.arange(len(codes)), codes, CELL_OF_CODE)
    buyers, stores = data.buyers, np.array([store for store, _ in data.buyers])
    vectors, codes = data.vectors[:3000], codes[:3000]
    history = [
        event(event_id=str(i), store=store, buyer=buyer, type="search", timestamp=START + i)
        for i, (store, buyer) in enumerate(buyers)
    ]
    distance = np.zeros(len(codes), np.float32)
    made = make_catalogue(buyers, vectors, codes, distance, quantizer(), groups, [history])
    by_store = {store: counted(codes[stores == store]) for store in ("a", "b")}
    by_store["a"] = counted(codes[(stores == "a") & (codes < 2 * CODES_EACH)])  # store a: lookers alone
    folder = tmp_path_factory.mktemp("catalogue")
    staging = stage_bundle(folder / "staging", model_bytes())
    (staging / "catalogue.json").write_bytes(encode_catalogue(made))
    reference = Reference(by_store["a"] + by_store["b"], by_store, {})
    (staging / "reference.json").write_text(json.dumps(reference_to_json(reference, {})))
    return seal_bundle(
        staging, folder / "bundle", codebook_version="2026-11-24.1", sources=[], seed=0, command="tests"
    )


def counted(codes: np.ndarray) -> Counts:
    counts = empty_profile()
    counts[FEATURE["codes"].cells] = np.bincount(codes, minlength=256)
    return counts


def run(command: object, *arguments: object) -> Result:
    result = CliRunner().invoke(
        command,  # type: ignore[arg-type]
        [str(argument) for argument in arguments],
        catch_exceptions=False,
        env={"COLUMNS": "80"},
    )
    assert result.exit_code == 0, result.output
    return result


def test_all_types_in_80_columns(bundle: Bundle) -> None:
    said = run(personas, "--bundle", bundle.folder).stdout
    for kind in bundle.catalogue.types:
        assert kind.name in said
    assert "of the training buyers" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_store_beside_all(bundle: Bundle) -> None:
    said = run(personas, "--bundle", bundle.folder, "--store", "a")
    report = json.loads(
        run(personas, "--bundle", bundle.folder, "--store", "a", "--type", "one-visit-buyer", "--json").stdout
    )
    buyer = bundle.catalogue.require_type("one-visit-buyer")
    assert report["store"]["share"] < buyer.share / 2, "buyers are rare in store a"
    assert "of this store" in said.stdout
    whole = json.loads(run(personas, "--bundle", bundle.folder, "--store", "a", "--json").stdout)
    assert sum(whole["store"]["codes"]) == pytest.approx(1, abs=1e-3)
    assert len(whole["codes"]) == 256


def test_a_type_and_a_code(bundle: Bundle) -> None:
    said = run(personas, "--bundle", bundle.folder, "--type", "new-carter", "--store", "b").stdout
    assert "New carter (new-carter)" in said
    assert "On their first visit they have put something into a cart" in said
    assert "of the store's" in said
    said = run(personas, "--bundle", bundle.folder, "--code", 65).stdout
    assert "<|persona_65|>  new-carter" in said
    assert "A buy" in said
    assert "A typical session:  search" in said
    assert max(map(len, said.splitlines())) <= 80
    report = json.loads(run(personas, "--bundle", bundle.folder, "--code", 65, "--json").stdout)
    assert report["funnel"]["C"][0] == 1.0
    assert report["codebook_version"] == "2026-11-24.1"


def test_a_code_that_nobody_has(bundle: Bundle) -> None:
    said = run(personas, "--bundle", bundle.folder, "--code", 255).stdout
    assert "No training buyer has it" in said


def test_what_is_not_there_is_said_in_one_line(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no type 'ghost'; it has .*new-carter"):
        run(personas, "--bundle", bundle.folder, "--type", "ghost")
    bare = make_bundle(tmp_path / "bare").folder
    with pytest.raises(CatalogueError, match="no card of code 3"):
        run(personas, "--bundle", bare, "--code", 3)
    with pytest.raises(ProfileError, match="holds no profile"):
        run(personas, "--bundle", bare, "--store", "a")
    both = CliRunner().invoke(personas, ["--type", "x", "--code", "1"])
    assert both.exit_code == 2
    with pytest.raises(SimpersonaError, match="no such folder"):
        run(personas, "--bundle", tmp_path / "nowhere")


def test_a_sample_repeats_and_is_one_token_a_line(bundle: Bundle) -> None:
    drawn = [run(sample, "--bundle", bundle.folder, "--store", "b", "-n", 40, "--seed", s) for s in (3, 3, 4)]
    lines = drawn[0].stdout.splitlines()
    assert len(lines) == 40
    assert all(line.startswith("<|persona_") for line in lines)
    assert drawn[0].stdout == drawn[1].stdout != drawn[2].stdout
    assert "buyers of this store" in drawn[0].stderr


def test_a_sample_of_types(bundle: Bundle) -> None:
    flags = ["--filter", "type=one-visit-buyer", "--filter", "type=new-carter", "--json"]
    report = json.loads(run(sample, "--bundle", bundle.folder, "--store", "b", "-n", 200, *flags).stdout)
    kinds = {bundle.catalogue.type_of(int(token[10:-2])) for token in report["tokens"]}
    assert {kind.name for kind in kinds if kind} == {"one-visit-buyer", "new-carter"}
    assert report["types"] == ["one-visit-buyer", "new-carter"]
    assert report["n"] == len(report["tokens"]) == 200


def test_an_unknown_store_is_drawn_from_all_and_says_so(bundle: Bundle) -> None:
    report = json.loads(run(sample, "--bundle", bundle.folder, "--store", "new", "--json").stdout)
    assert (report["buyers"], report["pooled_share"]) == (0, 1.0)
    assert "no buyer of this store was counted" in report["note"]


def test_bad_filters(bundle: Bundle) -> None:
    with pytest.raises(CatalogueError, match="no type 'ghost'"):
        run(sample, "--bundle", bundle.folder, "--store", "a", "--filter", "type=ghost")
    for text in ("buyer", "kind=buyer", "type="):
        refused = CliRunner().invoke(sample, ["--store", "a", "--filter", text])
        assert refused.exit_code == 2
        assert "write type=NAME" in refused.output


def test_a_bundle_with_nobody_counted(bundle: Bundle, tmp_path: Path) -> None:
    staging = stage_bundle(tmp_path / "staging", model_bytes())
    empty = Reference(empty_profile(), {}, {})
    (staging / "reference.json").write_text(json.dumps(reference_to_json(empty, {})))
    made = seal_bundle(staging, tmp_path / "b", codebook_version="1", sources=[], seed=0, command="tests")
    with pytest.raises(SamplingError, match="no buyer was counted yet"):
        run(sample, "--bundle", made.folder, "--store", "a")


def test_the_page_lists_every_type_with_its_codes(bundle: Bundle) -> None:
    page = personas_page(bundle)
    for kind in bundle.catalogue.types:
        assert f"\n## {kind.name}\n" in page
        assert f"](#{kind.name})" in page
    assert "`<\\|persona_" in page
    assert "1 that no training buyer has" in page


def test_a_bundle_without_types_has_a_page(bundle: Bundle) -> None:
    bare = msgspec.structs.replace(bundle, catalogue=Catalogue(types=()))
    assert "made without types" in personas_page(bare)


@pytest.mark.integration
def test_a_sample_of_live_traffic(
    bundle: Bundle, valkey: Valkey, topic_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPERSONA_HOME", str(tmp_path))
    monkeypatch.setenv("SIMPERSONA_STORE_URL", valkey.address)
    monkeypatch.setenv("SIMPERSONA_TOPIC", topic_name)
    flags = ["--bundle", bundle.folder, "--store", "b", "-n", 500, "--source", "live", "--json"]
    length = WindowSettings().length_ms
    rows = OnlineRows(valkey.address, topic_name)
    rows.claim_partition_count(2)
    rows.checkpoint(1, Checkpoint(Progress(1, length * 1000)), None)
    with pytest.raises(SamplingError, match="no buyer was counted yet"):
        run(sample, *flags)

    now = {"b": np.full(5000, 40), "other": np.full(90, 41)}
    before = {"b": np.full(9, 42)}
    versions = [(bundle.codebook_version, now), ("2020-01-01.1", before)]
    fields = {
        StoreWindow(version, store).to_field(): pack_profile(counted(codes))
        for version, stores in versions
        for store, codes in stores.items()
    }
    windows = Windows(length, 3600, {length * 1000: fields})
    rows.checkpoint(1, Checkpoint(Progress(2, length * 1000), windows=windows), Progress(1, length * 1000))
    rows.close()
    report = json.loads(run(sample, *flags).stdout)
    assert report["buyers"] == 5000, "another codebook's codes mean something else and do not count"
    assert set(report["tokens"]) <= {"<|persona_40|>", "<|persona_41|>"}
    assert report["tokens"].count("<|persona_40|>") > 450
