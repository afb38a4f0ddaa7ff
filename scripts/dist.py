"""Builds sdist and wheel into ``dist/``, and tries each as a user would.

The wheel is built twice and must have one hash; both must hold the models and the
manifest, and run the demo from an empty environment, far from this folder. Beside them
stands a list of what they depend on, with licences (CycloneDX).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
LARGEST = 30_000_000  # bytes
#: One release of torch, as in the tests.
TORCH = (ROOT / "tests" / "torch.txt").read_text().strip()
NEEDED = (
    "napari_edsr/napari.yaml",
    "napari_edsr/models/CREDITS.md",
    *(f"napari_edsr/models/edsr_light_x{scale}.safetensors" for scale in (2, 3, 4)),
)


def main() -> None:
    """Build, check and try; ends with an error at the first thing that is wrong."""
    shutil.rmtree(DIST, ignore_errors=True)
    wheel, sdist = build(DIST)
    with tempfile.TemporaryDirectory() as folder:
        again, _ = build(Path(folder))
        expect(sha256(again) == sha256(wheel), "two builds of the wheel differ")
    for artefact in (wheel, sdist):
        check_contents(artefact)
        with tempfile.TemporaryDirectory() as folder:
            python = installed(artefact, Path(folder))
            run_demo(python, Path(folder))
            if artefact is wheel:
                write_bom(python)
        say(f"{artefact.name}: {size(artefact)}, sha256 {sha256(artefact)}")


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    run([sys.executable, "-m", "build", "--outdir", folder, ROOT])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def check_contents(artefact: Path) -> None:
    """Models and manifest are inside, and it is not too large."""
    names = list(names_in(artefact))
    for needed in NEEDED:
        found = any(name.endswith(needed) for name in names)
        expect(found, f"{artefact.name} lacks {needed}")
    expect(artefact.stat().st_size <= LARGEST, f"{artefact.name} is over 30 MB")


def names_in(artefact: Path) -> Iterable[str]:
    """Of its files."""
    if artefact.suffix == ".whl":
        with zipfile.ZipFile(artefact) as archive:
            return archive.namelist()
    with tarfile.open(artefact) as archive:
        return archive.getnames()


def installed(artefact: Path, folder: Path) -> Path:
    """The Python of a new environment that has nothing else."""
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    python = next(interpreters(environment))
    run([python, "-m", "pip", "install", "--quiet", artefact, TORCH])
    return python


def interpreters(environment: Path) -> Iterator[Path]:
    """Where an environment has its Python, by the system."""
    names = ("bin/python", "Scripts/python.exe")
    return (environment / name for name in names if (environment / name).exists())


def run_demo(python: Path, folder: Path) -> None:
    """Run the demo far from the repository."""
    pictures = folder / "pictures"
    run([python, "-m", "napari_edsr", "demo", "--output", pictures], cwd=folder)
    expect(any(pictures.glob("*.png")), "the demo made no pictures")


def write_bom(python: Path) -> None:
    """Write what the wheel depends on, and count the licences."""
    bom = DIST / "sbom.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", python]
    run([*command, "--output-reproducible", "--output-file", bom])
    components = json.loads(bom.read_text(encoding="utf-8"))["components"]
    unknown = sorted(each["name"] for each in components if not each.get("licenses"))
    say(f"{bom.name}: {len(components)} packages, without a licence: {unknown or 0}")


def run(command: Iterable[object], cwd: Path | None = None) -> None:
    """Run a program, whose failure is ours."""
    subprocess.run([*map(str, command)], cwd=cwd, check=True)


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def size(path: Path) -> str:
    """Of a file, in megabytes."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


def expect(true: bool, otherwise: str) -> None:
    """End here unless it is so."""
    if not true:
        raise SystemExit(f"dist: {otherwise}.")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"dist: {text}\n")


if __name__ == "__main__":
    main()
