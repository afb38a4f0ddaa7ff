"""The cards, and the hash of every file before its use."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from napari_edsr import cards, zoo
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import DownloadError, EDSRWarning, ModelError

OFFICIAL = {
    "snu/edsr_baseline_x2": (1_369_859, 5_490_680),
    "snu/edsr_baseline_x3": (1_554_499, 6_229_240),
    "snu/edsr_baseline_x4": (1_517_571, 6_081_831),
    "snu/mdsr_baseline": (3_227_203, 12_924_933),
    "snu/edsr_x2": (40_729_603, None),
    "snu/edsr_x3": (43_680_003, None),
    "snu/edsr_x4": (43_089_923, None),
    "snu/mdsr": (7_953_987, None),
    "openmmlab/edsr_x2c64b16": (1_369_859, None),
    "openmmlab/edsr_x3c64b16": (1_554_499, None),
    "openmmlab/edsr_x4c64b16": (1_517_571, None),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_cards_agree_with_what_was_published(name):
    card = zoo.get_card(name)
    assert (card.parameters, card.bytes) == OFFICIAL[name]
    digits = card.filename.rpartition("-")[2].partition(".")[0]
    assert card.sha256.startswith(digits)
    assert len(card.sha256) in (8, 64)
    assert card.url.endswith(f"/{card.filename}")
    assert card.config.rgb_range == (255 if name.startswith("snu/") else 1)
    assert card.config.res_scale == (0.1 if card.config.n_feats == 256 else 1)
    assert not zoo.is_available(card)


def test_built_in_models_come_first_and_official_ones_last():
    names = [card.name for card in zoo.list_cards()]
    light = [f"edsr-light-x{scale}" for scale in (2, 3, 4)]
    assert names == [*light, "edsr-light-x2-microscopy", *OFFICIAL]


@pytest.mark.promise(
    "Small networks are built in: nothing is downloaded to begin with.",
    "Light networks of 16 blocks and 32 features",
)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_default_models_are_built_in_and_intact(scale):
    card = zoo.get_card(zoo.default_model(scale))
    path = zoo.fetch(card.name)
    assert card.config == EDSRConfig.light(scale)
    assert path.stat().st_size == card.bytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card.sha256
    assert card.scores["Set5 PSNR Y"] > card.scores["Set5 PSNR Y, bicubic"] + 2


def test_no_default_model_for_other_scales():
    with pytest.raises(ModelError, match="Scale 8 is not available"):
        zoo.default_model(8)


def test_an_unknown_name_brings_similar_ones():
    with pytest.raises(ModelError, match="did you mean snu/edsr_baseline_x2"):
        zoo.get_card("snu/edsr-baseline-x2")
    with pytest.raises(ModelError, match="'napari-edsr models list' shows them all"):
        zoo.fetch("¿?")


@pytest.mark.promise("nothing is downloaded to begin with")
def test_a_built_in_model_needs_no_download():
    job = zoo.iter_download("edsr-light-x3")
    with pytest.raises(StopIteration) as end:
        next(job)
    assert end.value.value == zoo.fetch("edsr-light-x3")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's models that may be damaged."""
    models = Path(cards.__file__).parent / "models"
    shutil.copytree(models, tmp_path / "models")
    monkeypatch.setattr(cards, "__file__", str(tmp_path / "cards.py"))
    return tmp_path / "models"


@pytest.mark.fault(
    "Weights files: one bit of a built-in model flipped",
    "It is recognised before each use; the error says to install again.",
)
def test_one_flipped_bit_in_a_built_in_file_is_found(installed):
    path = zoo.fetch("edsr-light-x2")
    assert path == installed / "edsr_light_x2.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DownloadError, match="damaged .*install napari-edsr again"):
        zoo.fetch("edsr-light-x2")
    assert path.read_bytes() == content


@pytest.mark.fault(
    "Weights files: a built-in model missing", "The error says to install again."
)
def test_a_missing_built_in_file_is_named(installed):
    (installed / "edsr_light_x2.safetensors").unlink()
    with pytest.raises(
        DownloadError, match="cannot be read .*install napari-edsr again"
    ):
        zoo.fetch("edsr-light-x2")


def add(name: str, content: bytes = b"weights", **about: str) -> zoo.ModelCard:
    zoo.import_target(name).write_bytes(content)
    return zoo.record_import(name, EDSRConfig.light(3), **about)


def test_an_imported_model_is_listed_between_the_others(own_cache):
    card = add("mine", licence="MIT", credit="me", source="mine.pth")
    assert zoo.list_cards()[4] == card == zoo.get_card("mine")
    assert (card.kind, card.title, card.licence) == ("imported", "mine", "MIT")
    assert (card.credit, card.source) == ("me", "mine.pth")
    assert card.config == EDSRConfig.light(3)
    assert zoo.is_available(card)
    assert zoo.fetch("mine") == own_cache / "imported" / "mine.safetensors"


@pytest.mark.fault(
    "Weights files: one bit of an imported model flipped",
    "It is recognised before each use; the error says to import it again.",
)
def test_one_flipped_bit_in_an_imported_file_is_found():
    add("mine").path.write_bytes(b"weighty")
    with pytest.raises(DownloadError, match="damaged .*import it again"):
        zoo.fetch("mine")


@pytest.mark.fault(
    "Weights files: an imported model missing", "The error says to import it again."
)
def test_a_vanished_imported_file_is_named():
    add("mine").path.unlink()
    with pytest.raises(DownloadError, match="mine cannot be read .*import it again"):
        zoo.fetch("mine")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "x" * 101])
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(ModelError, match="is no model name"):
        zoo.import_target(name)


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced():
    add("mine")
    with pytest.raises(ModelError, match="'MINE' is taken by the imported model"):
        zoo.import_target("MINE")
    zoo.import_target("mine", replace_existing=True)
    with pytest.raises(ModelError, match="taken by the built-in model"):
        zoo.import_target("edsr-light-x2", replace_existing=True)


@pytest.mark.fault(
    "Settings: a model gets the name of one that the damaged record listed",
    "The file of that one is kept beside it, and a warning names it.",
)
def test_the_file_of_no_listed_model_is_not_replaced(own_cache):
    add("mine")
    (own_cache / "registry.json").write_text("{broken")
    with pytest.warns(EDSRWarning, match="damaged and ignored"):
        add("other", b"other")
    assert (own_cache / "registry.json.damaged").read_text() == "{broken"
    before = (own_cache / "imported" / "mine.safetensors").read_bytes()
    with pytest.warns(EDSRWarning, match="renamed to mine.safetensors.unlisted"):
        target = zoo.import_target("mine")
    assert not target.exists()
    assert (target.parent / "mine.safetensors.unlisted").read_bytes() == before


@pytest.mark.fault(
    "Settings: one entry of the model folder's record is damaged",
    "Only that model is hidden, and a warning names it.",
)
@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"sha256": 3, "config": {}},
        {"sha256": "0" * 64, "config": {"scales": [7]}},
        {"sha256": "0" * 64, "config": {"scales": [float("inf")]}},
        {"sha256": "0" * 64, "config": {"n_feats": "many"}},
        {"sha256": "short", "config": {}},
        {"sha256": "0" * 64, "config": {}, "scores": [1]},
        {"sha256": "0" * 64, "config": {}, "scores": {"PSNR": "high"}},
    ],
)
def test_a_damaged_entry_hides_only_its_own_model(own_cache, entry):
    add("good")
    path = own_cache / "registry.json"
    record = json.loads(path.read_text())
    record["imported"]["bad"] = entry
    path.write_text(json.dumps(record))
    with pytest.warns(EDSRWarning, match="'bad' is damaged; import it again"):
        names = [card.name for card in zoo.list_cards() if card.kind == "imported"]
    assert names == ["good"]


@pytest.mark.fault(
    "Weights files: a record that leads out of the model folder", "It is refused."
)
def test_a_recorded_name_can_not_lead_out_of_the_folder(own_cache):
    card = add("good")
    path = own_cache / "registry.json"
    record = json.loads(path.read_text())
    record["imported"]["../good"] = record["imported"]["good"]
    path.write_text(json.dumps(record))
    with pytest.warns(EDSRWarning, match="'../good' is damaged"):
        assert zoo.list_cards()[4:-11] == [card]


def test_importing_keeps_what_was_recorded_before(own_cache):
    add("one")
    add("two", b"other")
    assert {card.name for card in zoo.list_cards()} >= {"one", "two"}
    assert sorted(path.name for path in own_cache.iterdir() if path.is_file()) == [
        "registry.json",
        "registry.json.lock",
    ]


@pytest.mark.fault(
    "Disk: model folder that cannot be made or written",
    "An error names the folder and the setting for another.",
)
def test_a_cache_folder_that_can_not_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_EDSR_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="Cannot write.*set NAPARI_EDSR_CACHE"):
        zoo.import_target("mine")
    assert len(zoo.list_cards()) == 15


@pytest.mark.fault(
    "Disk: model folder that cannot be read",
    "A warning names it; built-in models work.",
)
def test_a_folder_that_can_not_be_looked_into_is_named(tmp_path, monkeypatch):
    # Too long a name: looking fails with an error even for root.
    monkeypatch.setenv("NAPARI_EDSR_CACHE", str(tmp_path / ("x" * 300)))
    with pytest.warns(EDSRWarning, match="cannot be read .*set NAPARI_EDSR_CACHE"):
        assert [zoo.is_available(card) for card in zoo.list_cards()] == (
            [True] * 4 + [False] * 11
        )
    with (
        pytest.warns(EDSRWarning, match="cannot be read"),
        pytest.raises(DownloadError, match="Cannot write.*set NAPARI_EDSR_CACHE"),
    ):
        zoo.fetch("snu/mdsr")


@pytest.mark.fault(
    "Disk: read-only model folder",
    "Files in it are used, and a warning says what was not recorded.",
)
def test_a_read_only_folder_still_serves_its_files(own_cache, monkeypatch):
    content = b"put here by an administrator"
    digits = hashlib.sha256(content).hexdigest()[:8]
    card = replace(zoo.get_card("snu/mdsr"), sha256=digits)
    (own_cache / card.filename).write_bytes(content)
    (own_cache / "registry.json.lock").mkdir()  # root may write anywhere, but not here
    with pytest.warns(EDSRWarning, match="hash was not recorded.*NAPARI_EDSR_CACHE"):
        assert zoo.fetch(card).read_bytes() == content
