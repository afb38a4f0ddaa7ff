"""BioImage.IO packages: the network in one, without running or unpacking any of it.

Two members are read, the description as plain values and the weights as any weights
file is; code and TorchScript, which come with them, are not looked at.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from napari_edsr.errors import CheckpointError, EDSRWarning, legible
from napari_edsr.safe_loading import (
    LARGEST,
    WeightsFile,
    damaged,
    parse_weights,
    read_bytes,
)

#: Key under ``config`` where we say the same as in a file of ours.
OWN_KEY = "napari_edsr"

_DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
_LONGEST = 1 << 18  # bytes of a description; usual ones have a hundredth
_DENSEST = 20  # bytes that come out of one; weights do not shrink to a half
#: Ranges are ours to choose; what else is done to an image belongs to the network.
_HARMLESS = {"ensure_dtype", "scale_linear", "scale_range", "clip"}


@dataclass(frozen=True)
class Package:
    """What a package says of its network.

    Attributes
    ----------
    place : Path
        Of the weights: the package's path and their name in it.
    about : mapping of str to str
        ``name``, ``licence``, ``credit`` and ``source``, as far as they are told.
    settings : mapping of str to float or None
        ``res_scale`` and ``rgb_range``, which the tensors do not tell.
    """

    place: Path
    about: Mapping[str, str]
    settings: Mapping[str, float | None]


def read_network_file(path: Path) -> tuple[WeightsFile, Package | None]:
    """Read a weights file, or the weights in a BioImage.IO package.

    Parameters
    ----------
    path : Path
        The kind is told from the content.

    Returns
    -------
    WeightsFile
        Its sha256 is that of the whole file, its metadata in a package of ours what a
        weights file of ours would have.
    Package or None
        What the description says, if it is a package.

    Raises
    ------
    CheckpointError
        If the file is damaged, unsafe, or a package without such weights.
    """
    data = read_bytes(path)
    archive = _archive(data)
    name = _description_name(archive) if archive else None
    if archive is None or name is None:
        return parse_weights(path, data), None
    file, package = _read(path, archive, name)
    return replace(file, sha256=hashlib.sha256(data).hexdigest()), package


def _archive(data: bytes) -> zipfile.ZipFile | None:
    """None for other files, and for a damaged archive, which torch's reader reports."""
    try:
        return zipfile.ZipFile(io.BytesIO(data)) if data.startswith(b"PK") else None
    except Exception:  # a flipped byte can surface as nearly any type
        return None


def _description_name(archive: zipfile.ZipFile) -> str | None:
    names = archive.namelist()
    named = (name for name in names if name.endswith(_DESCRIPTIONS) and "/" not in name)
    return next((name for name in _DESCRIPTIONS if name in names), next(named, None))


def _read(
    path: Path, archive: zipfile.ZipFile, name: str
) -> tuple[WeightsFile, Package]:
    _check_names(path, archive)
    content = _parsed(path, _member(path, archive, name, _LONGEST))
    entry = _weights_entry(path, content)
    source = _source(path, archive, entry)
    place = path / source
    data = _member(path, archive, source)
    _check_sha256(place, data, entry)
    _warn_of_preparation(path, content)
    own = _dig(content, "config", OWN_KEY)
    texts = {str(key): _text(value) for key, value in own.items()}
    file = parse_weights(place, data)
    file = replace(file, metadata=texts or file.metadata)
    return file, Package(place, _about(content), _settings(entry))


def _check_names(path: Path, archive: zipfile.ZipFile) -> None:
    """Nothing is unpacked, but whoever made such a package meant harm."""
    for name in archive.namelist():
        if _leads_out(name):
            raise CheckpointError(
                f"{path} was refused because a file in it is called {legible(name)!r:.80}, "
                "which leads out of the package; get it from another source."
            )


def _leads_out(name: str) -> bool:
    windows = PureWindowsPath(name)
    rooted = PurePosixPath(name).is_absolute() or windows.drive or windows.root
    return bool(rooted) or ".." in windows.parts


def _member(
    path: Path, archive: zipfile.ZipFile, name: str, limit: int = LARGEST
) -> bytes:
    about = archive.getinfo(name)
    limit = min(limit, max(_LONGEST, _DENSEST * about.compress_size))
    if about.file_size > limit:
        raise CheckpointError(
            f"{path} was refused because its {name} is far too large "
            f"({about.file_size:,} bytes); get it from another source."
        )
    try:
        return archive.read(name)
    except Exception as error:  # a flipped byte can surface as nearly any type
        raise damaged(path, error) from error


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    """The description as plain values; YAML's own objects are refused."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise damaged(path, f"its description is no YAML: {error}") from error
    kind = _text(_dig(content).get("type"))
    if kind != "model":
        raise CheckpointError(
            f"{path} is a package of the type {legible(kind)!r:.40}; choose one of a model."
        )
    return content


def _dig(content: object, *keys: str) -> Mapping[Any, Any]:
    """The mapping under some keys; empty where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else {}


def _text(value: object) -> str:
    """Empty for all but texts: a few lines of YAML can hold lists without end."""
    return value if isinstance(value, str) else ""


def _weights_entry(path: Path, content: Mapping[str, Any]) -> Mapping[Any, Any]:
    entry = _dig(content, "weights", "pytorch_state_dict")
    if not entry:
        kinds = ", ".join(legible(key) for key in _dig(content, "weights"))[:80]
        raise CheckpointError(
            f"{path} has no weights that can be read safely: it needs pytorch_state_dict, "
            f"but has {kinds or 'none'}; ask its authors for the state dict."
        )
    return entry


def _source(path: Path, archive: zipfile.ZipFile, entry: Mapping[Any, Any]) -> str:
    source = _text(entry.get("source")).removeprefix("./")
    if source in archive.namelist():
        return source
    raise CheckpointError(
        f"{path} does not hold its weights ({legible(source)!r:.80}); export or download "
        "the whole package."
    )


def _check_sha256(place: Path, data: bytes, entry: Mapping[Any, Any]) -> None:
    expected = _text(entry.get("sha256")).lower()
    if expected and expected != hashlib.sha256(data).hexdigest():
        raise damaged(place, "its sha256 is not the one described")


def _settings(entry: Mapping[Any, Any]) -> dict[str, float | None]:
    """As format 0.5 has them, or 0.4."""
    known = _dig(entry, "architecture", "kwargs") or _dig(entry, "kwargs")
    white = known.get("rgb_range", known.get("img_range"))  # EDSR-PyTorch, BasicSR
    return {"res_scale": _number(known.get("res_scale")), "rgb_range": _number(white)}


def _number(value: object) -> float | None:
    """Of a number, or of a text such as 1e-1, which YAML 1.1 takes for one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _about(content: Mapping[str, Any]) -> dict[str, str]:
    authors = content.get("authors")
    named = authors if isinstance(authors, list) else []
    people = [_text(_dig(author).get("name")) for author in named]
    told = {
        "name": _text(content.get("name")),
        "licence": _text(content.get("license")),
        "credit": ", ".join(filter(None, people)),
        "source": _text(content.get("id")) or _text(content.get("git_repo")),
    }
    return {key: value for key, value in told.items() if value}


def _warn_of_preparation(path: Path, content: Mapping[str, Any]) -> None:
    strange = sorted(set(_preparation(content)) - _HARMLESS)
    if strange:
        warnings.warn(
            f"{path.name} prepares its images by {', '.join(strange)}, which is not done "
            "here: compare a result with the sample in the package.",
            EDSRWarning,
            stacklevel=2,
        )


def _preparation(content: Mapping[str, Any]) -> Iterator[str]:
    """Names of what is done to images before the network, in either format."""
    inputs = content.get("inputs")
    first = _dig(inputs[0]) if isinstance(inputs, list) and inputs else {}
    steps = first.get("preprocessing")
    for step in steps if isinstance(steps, list) else []:
        known = _dig(step)
        yield legible(_text(known.get("id")) or _text(known.get("name")))[:40]
