"""``napari-edsr models list | info | download | import | export``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.table import Column, Table

from napari_edsr import cache, zoo
from napari_edsr.cards import KEPT_SCORES
from napari_edsr.cli.parameters import FLAG, table_console
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ModelError, legible
from napari_edsr.zoo import ModelCard

if TYPE_CHECKING:
    from napari_edsr.model import EDSR, MDSR

SAFETENSORS = ".safetensors"
OWN_LAYOUT = "napari-edsr"
#: What ``--format`` may be, with the suffix of its files; weights have several.
FORMATS = {"weights": "", "onnx": ".onnx", "bioimageio": ".zip"}

app = typer.Typer(
    help="List, inspect, download, import and export models.",
    no_args_is_help=True,
    add_completion=False,
)

NameOrPath = Annotated[
    str,
    typer.Argument(
        metavar="NAME_OR_PATH", help="A name of 'models list', or a weights file."
    ),
]


@app.command("list")
def list_models() -> None:
    """List all models: built in, imported, and official ones to download."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("Name", "Scale", "Params", "Where", "Licence", "Set5 dB"):
        table.add_column(title, no_wrap=title == "Name")
    for card in zoo.list_cards():
        table.add_row(*_row(card))
    table_console().print(table, markup=False, highlight=False)


@app.command()
def info(name_or_path: NameOrPath) -> None:
    """Show what is known of a model; one not yet downloaded is not fetched."""
    card = zoo.find_card(name_or_path)
    known = card is not None and not Path(name_or_path).is_file()
    if card is not None and known and not zoo.is_available(card):
        rows = _card_rows(card)
    else:
        rows = _model_rows(_load(name_or_path), card if known else None)
    table = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for key, value in rows:
        if value:
            table.add_row(legible(key), legible(value))
    table_console().print(table, markup=False, highlight=False)


@app.command()
def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name of 'models list'.")
    ],
) -> None:
    """Download an official model; an interrupted download is taken up again."""
    path = run_with_progress(zoo.iter_download(name), f"Downloading {name}")
    typer.echo(f"{name}: {path}")


@app.command("import")
def import_model(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="An EDSR or MDSR weights file, or a BioImage.IO package.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call it; by default the file's name.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="How its tensors are named, if told wrongly.")
    ] = None,
    res_scale: Annotated[
        float | None, typer.Option(help="Factor on the residual branches.")
    ] = None,
    rgb_range: Annotated[
        float | None, typer.Option(help="Value of white it was trained for: 255 or 1.")
    ] = None,
    replace_existing: Annotated[
        bool,
        typer.Option(
            "--replace", metavar=FLAG, help="Replace an imported model of that name."
        ),
    ] = False,
) -> None:
    """Convert a weights file and keep it among the listed models."""
    from napari_edsr.checkpoints import load_model, save_model

    model = load_model(
        _file(path), layout=layout, res_scale=res_scale, rgb_range=rgb_range
    )
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")
    origin = model.provenance
    model.provenance = replace(origin, name=name, source=origin.source or path.name)
    target = zoo.import_target(name, replace_existing=replace_existing)
    with cache.writing():
        save_model(model, target)
    zoo.record_import(
        name,
        model.config,
        licence=origin.licence or "unknown",
        credit=origin.credit,
        source=model.provenance.source,
    )
    typer.echo(f"{name}: {_shape(model.config)}, read as {origin.layout}.")


@app.command()
def export(
    name_or_path: NameOrPath,
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The file to write.")
    ],
    layout: Annotated[
        str | None,
        typer.Option(
            help="For weights: napari-edsr, mmagic, edsr-pytorch or basicsr.",
            show_default="napari-edsr",
        ),
    ] = None,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="weights; onnx: a graph for any height and width; or bioimageio: a "
            "package of the BioImage Model Zoo.",
        ),
    ] = "weights",
    scale: Annotated[
        int | None,
        typer.Option(
            help="For onnx and bioimageio: 2, 3 or 4.",
            show_default="that of the model",
        ),
    ] = None,
) -> None:
    """Write a model to a file: ours, another package's, ONNX or for BioImage.IO."""
    _check_format(output, file_format, layout, scale)
    model = _load(name_or_path)
    if output.exists() and os.path.samefile(output, model.provenance.path):
        raise ModelError(
            f"{output} is the file the weights are read from; choose another."
        )
    if file_format == "onnx":
        _write_onnx(model, output, scale)
    elif file_format == "bioimageio":
        _write_bioimageio(model, output, scale)
    else:
        _write_weights(model, output, layout or OWN_LAYOUT)


def _write_onnx(model: EDSR | MDSR, output: Path, scale: int | None) -> None:
    from napari_edsr.engines import checked_scale
    from napari_edsr.onnx_export import save_onnx

    factor = checked_scale(model.config, scale)
    save_onnx(model, output, factor)
    typer.echo(f"{output}: {_shape(model.config)}, x{factor}, written as ONNX.")


def _write_bioimageio(model: EDSR | MDSR, output: Path, scale: int | None) -> None:
    from napari_edsr.bioimageio import save_bioimageio
    from napari_edsr.engines import checked_scale

    factor = checked_scale(model.config, scale)
    save_bioimageio(model, output, factor)
    about = model.provenance
    if about.licence in ("", "unknown") or not about.credit:
        typer.echo(
            "Note: who made this model, or under which licence, is not known; add it to "
            "rdf.yaml before you pass the package on."
        )
    typer.echo(f"{output}: {_shape(model.config)}, x{factor}, written for BioImage.IO.")


def _write_weights(model: EDSR | MDSR, output: Path, layout: str) -> None:
    from napari_edsr.checkpoints import save_model

    save_model(model, output, layout=layout)
    if layout != OWN_LAYOUT and model.config.res_scale != 1:
        typer.echo(
            f"Note: {layout} files hold no res_scale; give {model.config.res_scale:g} "
            "again when loading it."
        )
    typer.echo(f"{output}: {_shape(model.config)}, written as {layout}.")


def _load(name_or_path: str) -> EDSR | MDSR:
    from napari_edsr.checkpoints import load_model

    return load_model(name_or_path)


def _file(path: Path) -> Path:
    """The path made absolute, so that it is never taken for a model's name."""
    return path.expanduser().absolute()


def _check_format(
    output: Path, file_format: str, layout: str | None, scale: int | None
) -> None:
    if file_format not in FORMATS:
        choices = ", ".join(FORMATS)
        raise ModelError(
            f"The format {file_format!r} is unknown; choose one of: {choices}."
        )
    suffix = FORMATS[file_format]
    if not suffix and scale is not None:
        raise ModelError("Weights hold all scales of a model; leave out --scale.")
    if suffix and layout is not None:
        raise ModelError(f"--layout is for weights; leave it out with {file_format}.")
    if not suffix:
        _check_suffix(output, layout or OWN_LAYOUT)
    elif output.suffix.lower() != suffix:
        raise ModelError(f"{output.name} must end in {suffix}.")


def _check_suffix(output: Path, layout: str) -> None:
    """A pickle must not be called safetensors, nor the other way round."""
    is_safetensors = output.suffix.lower() == SAFETENSORS
    if layout == OWN_LAYOUT and not is_safetensors:
        raise ModelError(
            f"{output.name} must end in {SAFETENSORS}; for a .pth file choose "
            "--layout mmagic, edsr-pytorch or basicsr."
        )
    if layout != OWN_LAYOUT and is_safetensors:
        raise ModelError(
            f"The layout {layout} is no {SAFETENSORS}; end the name in .pth."
        )


def _row(card: ModelCard) -> Iterable[str]:
    return (
        card.name,
        f"x{','.join(map(str, card.config.scales))}",
        f"{card.parameters / 1e6:.1f} M",
        _where(card),
        card.licence,
        _best_score(card),
    )


def _where(card: ModelCard) -> str:
    if card.kind == "built-in":
        return "built in"
    if zoo.is_available(card):
        return "on disk"
    lacking = "missing; import it again"
    return lacking if card.kind == "imported" else f"download {decimal(card.size)}"


def _best_score(card: ModelCard) -> str:
    for channel in ("Y", "RGB"):
        score = card.scores.get(f"Set5 PSNR {channel}")
        if score is not None:
            return f"{score:.2f} {channel}"
    return ""


def _scales(config: EDSRConfig) -> str:
    return ", ".join(f"x{scale}" for scale in config.scales)


def _shape(config: EDSRConfig) -> str:
    kind = "MDSR" if config.multi_scale else "EDSR"
    return f"{kind} {_scales(config)}, {config.n_resblocks} blocks of {config.n_feats} features"


def _config_rows(config: EDSRConfig) -> list[tuple[str, str]]:
    halo = ", ".join(f"{config.receptive_field(scale)} px" for scale in config.scales)
    return [
        ("Network", _shape(config)),
        ("Colours", str(config.n_colors)),
        ("res_scale", f"{config.res_scale:g}"),
        ("rgb_range", f"{config.rgb_range:g}"),
        ("Parameters", f"{zoo.count_parameters(config):,}"),
        ("Halo", f"{halo} of input a side"),
    ]


def _score_rows(scores: Any) -> list[tuple[str, str]]:
    if not isinstance(scores, Mapping):  # a stranger's file may say anything
        return []
    return [(name, _score(name, value)) for name, value in scores.items()]


def _score(name: str, value: Any) -> str:
    """Decibels as tables have them; SSIM, and whatever a file may say, as it is."""
    if "PSNR" in name and isinstance(value, Real):
        return f"{float(value):.2f}"
    return str(value)


def _tested(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores on benchmarks; those of its training are in the file itself."""
    return {k: v for k, v in scores.items() if k not in KEPT_SCORES}


def _training_rows(training: Any) -> list[tuple[str, str]]:
    """What training gained on the images kept aside, as its own files say it."""
    if not isinstance(training, Mapping):
        return [("training", str(training))]
    keys = ("psnr", "psnr_before", "psnr_bicubic")
    kept = dict(zip(KEPT_SCORES, map(training.get, keys), strict=True))
    rows = _score_rows({k: v for k, v in kept.items() if v is not None})
    return [("Training steps", str(training.get("steps", "unknown"))), *rows]


def _card_rows(card: ModelCard) -> list[tuple[str, str]]:
    return [
        ("Name", card.name),
        ("Title", card.title),
        *_config_rows(card.config),
        ("Size", decimal(card.size)),
        *_lacking_rows(card),
        ("sha256", card.sha256 if len(card.sha256) == 64 else f"{card.sha256}..."),
        ("Licence", card.licence),
        ("Credit", card.credit),
        *_score_rows(card.scores),
    ]


def _lacking_rows(card: ModelCard) -> list[tuple[str, str]]:
    if card.kind == "imported":
        return [("File", f"missing: {card.path}; import it again")]
    return [
        ("File", f"not here; 'napari-edsr models download {card.name}' fetches it"),
        ("Address", zoo.download_url(card)),
    ]


def _model_rows(model: EDSR | MDSR, card: ModelCard | None) -> list[tuple[str, str]]:
    about = model.provenance
    extra = dict(about.extra)
    title, scores = extra.pop("title", ""), extra.pop("scores", {})
    training = extra.pop("training", {})
    return [
        ("Name", about.name),
        ("Title", card.title if card else str(title)),
        *_config_rows(model.config),
        ("Size", decimal(Path(about.path).stat().st_size)),
        ("File", about.path),
        ("Layout", about.layout),
        ("sha256", about.sha256),
        ("Licence", about.licence or "unknown"),
        ("Credit", about.credit),
        ("Source", about.source),
        *_score_rows(_tested(card.scores) if card else scores),
        *(_training_rows(training) if training else ()),
        *((key, str(value)) for key, value in extra.items()),
    ]
