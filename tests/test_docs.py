"""The pages say what is so: their links, commands, snippets, figures and pictures."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import cli_reference
import numpy as np
import pages
import pytest
import site_hooks
import tutorial_figures
import yaml
from PIL import Image

import napari_edsr
from napari_edsr.train_config import TrainConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
TOP = ("README.md", *site_hooks.TOP_PAGES)
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in TOP)]
#: Options in the pages that belong to other programs.
OTHERS = {
    *("--extra-index-url", "--find-links", "--force-reinstall", "--group"),
    *("--gres", "--index-url", "--lr", "--no-index", "--nthreads", "--upgrade"),
    *("--wheel-dir", "--help", "--version", "--full", "--device"),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


every_page = pytest.mark.parametrize("path", PAGES, ids=name_of)


def leaves(nav):
    """The pages of a tree of menus."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [leaf for part in inner for leaf in leaves(part)]


def test_the_menu_has_every_page_once():
    there = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(leaves(SITE["nav"])) == sorted(
        [*there, *site_hooks.TOP_PAGES.values()]
    )


@pytest.mark.promise(
    "**Documentation:** [install](docs/install.md)",
    "[CITATION](CITATION.cff) says how to cite it.",
    "See [CONTRIBUTING](CONTRIBUTING.md), [SECURITY](SECURITY.md) and "
    "[CHANGELOG](CHANGELOG.md).",
)
@every_page
def test_links_lead_to_files(path):
    prose = re.sub(r"^```.*?^```$", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:|#", link):
            target = path.parent / link.partition("#")[0]
            assert target.exists(), link


def test_links_of_the_repository_become_those_of_the_site():
    def relinked(link, origin, page):
        return site_hooks.relinked(f"[x]({link})", origin, page)[4:-1]

    cards = "docs/models/index.md", "models/index.md"
    blob = f"{site_hooks.REPOSITORY}/blob/main"
    assert relinked("edsr-light-x2.md", *cards) == "edsr-light-x2.md"
    assert relinked("../large.md#on-a-cluster", *cards) == "../large.md#on-a-cluster"
    assert relinked("../../CHANGELOG.md", *cards) == "../changelog.md"
    assert relinked("../../pyproject.toml", *cards) == f"{blob}/pyproject.toml"
    assert relinked("../pages.py", *cards) == f"{blob}/docs/pages.py"
    script = "simulate_stack.py"  # which readers download
    assert relinked(script, "docs/tutorials/x.md", "tutorials/x.md") == script
    top = "CONTRIBUTING.md", "contributing.md"
    assert relinked("docs/performance.md", *top) == "performance.md"
    for link in ("https://napari.org", "#here", "../nothing.md"):
        assert relinked(link, *cards) == link


# what readers type


def spoken(path: Path) -> list[str]:
    """Our commands in a page, those in running text included."""
    found = pages.blocks(text_of(path))
    lines = [c for b in found if b.kind == "sh" for c in pages.command_lines(b.text)]
    inline = re.findall(r"`(napari-edsr [^`\n]+)`", text_of(path))
    return [line for line in [*lines, *inline] if line.startswith("napari-edsr ")]


def options_of(command) -> set[str]:
    return {name for p in command.params for name in [*p.opts, *p.secondary_opts]}


@every_page
def test_commands_and_their_options_exist(path):
    known = cli_reference.commands()
    groups = {name.split()[0] for name in known if " " in name}
    for line in spoken(path):
        words = shlex.split(line)[1:]
        name = " ".join(words[: 2 if words[0] in groups else 1])
        if words[0].startswith("-") or name in groups:
            continue
        assert name in known, line
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= options_of(known[name]) | {"--help"}, line


@every_page
def test_options_in_running_text_exist(path):
    known = set().union(*map(options_of, cli_reference.commands().values()))
    for option in re.findall(r"`(--[a-z-]+)", text_of(path)):
        assert option in known | OTHERS, option


def test_the_reference_of_the_command_line_is_up_to_date():
    assert text_of(cli_reference.PAGE) == cli_reference.page_text()


def test_the_reference_has_every_public_name_once():
    texts = [text_of(path) for path in (DOCS / "reference").glob("*.md")]
    named = re.findall(r"^::: (\S+)$", "\n".join(texts), re.MULTILINE)
    own = [n.removeprefix("napari_edsr.") for n in named if n.count(".") == 1]
    modules = {"errors", "events"}
    assert sorted(set(own) - modules) == sorted(
        set(napari_edsr.__all__) - {"__version__"}
    )
    assert len(named) == len(set(named))
    for name in named:
        module, _, attribute = name.rpartition(".")
        if attribute in modules:
            importlib.import_module(name)
        else:
            assert hasattr(importlib.import_module(module), attribute), name


@every_page
def test_snippets_compile_and_import_what_is_there(path):
    for block in pages.blocks(text_of(path)):
        if block.kind != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            own = isinstance(node, ast.ImportFrom) and str(node.module)
            if own and own.split(".")[0] == "napari_edsr":
                module = importlib.import_module(own)
                for alias in node.names:
                    assert hasattr(module, alias.name), alias.name


@pytest.mark.parametrize("path", [ROOT / "README.md", DOCS / "tutorials/finetune.md"])
def test_configurations_can_be_read(path):
    texts = [b.text for b in pages.blocks(text_of(path)) if b.kind == "yaml"]
    assert texts
    for text in texts:
        assert TrainConfig.from_dict(yaml.safe_load(text)).steps > 0


@pytest.mark.parametrize(
    "name",
    [
        "howto/python.md",
        pytest.param("tutorials/evaluate.md", marks=pytest.mark.slow),
        pytest.param("tutorials/command-line.md", marks=pytest.mark.slow),
    ],
)
def test_a_page_runs_as_it_stands(name, tmp_path):
    pages.run_page(DOCS / name, tmp_path)
    assert any(tmp_path.iterdir())


def test_a_command_of_a_page_that_fails_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nnapari-edsr models info nothing # there\n```\n")
    with pytest.raises(
        pages.subprocess.CalledProcessError, match="models info nothing"
    ):
        pages.run_page(page, tmp_path)


# what readers are shown


@pytest.mark.slow
def test_the_tutorial_for_microscopy_gives_what_it_shows(tmp_path):
    page = text_of(tutorial_figures.PAGE)
    printed = tutorial_figures.follow(tmp_path)
    found = tutorial_figures.numbers(printed)
    shown = tutorial_figures.numbers(tutorial_figures.shown(page))
    assert len(shown) == 3 * 5 + 3 * 5
    np.testing.assert_allclose(found, shown, atol=0.11)
    drawn, kept = (
        np.asarray(Image.open(picture).convert("L"), dtype=float)
        for picture in (tmp_path / "judged.png", tutorial_figures.PICTURE)
    )
    assert np.abs(drawn - kept).mean() < 1
    assert tutorial_figures.PICTURE.stat().st_size < 400_000
    (tmp_path / "truth.tif").unlink()  # which readers do not have of their own stacks
    first, _, _ = printed.partition("\n\n")
    assert tutorial_figures.judged(tmp_path).strip() == first


def test_the_tutorial_for_microscopy_states_the_photons_it_simulates():
    script = text_of(DOCS / "tutorials" / "simulate_stack.py")
    a, b, c = ast.literal_eval(re.search(r"^PHOTONS = (\(.*?\))", script, re.M)[1])
    assert f"{a}, {b} and {c}, frame by frame" in text_of(tutorial_figures.PAGE)


def test_the_gallery_has_every_picture():
    there = {path.name for path in (DOCS / "images").iterdir()}
    shown = set(re.findall(r"\(images/([^)]+)\)", text_of(DOCS / "gallery.md")))
    assert shown == there - {"performance.png"}


@pytest.mark.promise("BSD-3-Clause.", "[CITATION](CITATION.cff) says how to cite it.")
def test_the_citation_is_of_this_project():
    cited = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    assert cited["license"] == project["license"]
    assert cited["keywords"] == project["keywords"]


def test_the_first_picture_is_small():
    assert (DOCS / "images" / "before-after.png").stat().st_size < 200_000


@pytest.mark.promise(
    "the exact command for your system and GPU",
    "To use an NVIDIA GPU on Windows, install torch for CUDA first.",
)
def test_the_command_for_windows_is_that_of_the_program(monkeypatch):
    import torch

    from napari_edsr import device

    monkeypatch.setattr(device, "list_devices", lambda: ["cpu"])
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(device.shutil, "which", lambda name: "nvidia-smi")
    monkeypatch.setattr(device.sys, "platform", "win32")
    _, gpu = device.explain_devices()
    assert f"To use cuda: {gpu.advice}\n" in text_of(DOCS / "install.md")
    assert f"`{gpu.advice}`" in text_of(DOCS / "howto" / "gpu.md")
    plain = gpu.advice.replace("--force-reinstall ", "")
    assert f"| Windows | NVIDIA | `{plain}` |" in text_of(DOCS / "install.md")


def test_the_table_of_models_says_what_the_cards_say():
    from napari_edsr.cards import BUILT_IN

    table = text_of(DOCS / "models" / "index.md")
    for card in BUILT_IN:
        row = next(line for line in table.splitlines() if f"[{card.name}]" in line)
        for key, value in card.scores.items():
            if key.startswith("Set5"):
                assert f"{value:.2f}" in row, key
