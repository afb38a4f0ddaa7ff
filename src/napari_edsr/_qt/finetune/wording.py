"""What came of a run, in words."""

from __future__ import annotations

import math

from napari_edsr._qt.finetune.requests import FinetuneOutcome
from napari_edsr._qt.wording import model_label


def outcome_text(outcome: FinetuneOutcome) -> str:
    """What came of a run, honestly."""
    result, config = outcome.result, outcome.request.config
    base = model_label(config.start)
    if math.isnan(result.psnr):
        text = (
            f"{_ending(outcome)}: {config.name} is in the Upscale dock. There was nothing "
            "to measure it on, so it is not known whether it is better."
        )
    elif outcome.registered:
        text = (
            f"{_ending(outcome)}: {result.gain:+.2f} dB over {base} on what was kept "
            f"aside: {result.psnr:.2f} dB, before {result.before:.2f}, bicubic "
            f"{result.bicubic:.2f}. {config.name} is in the Upscale dock."
        )
        if result.psnr < result.bicubic:
            text += " It is still worse than bicubic; let it learn longer."
    else:
        text = (
            f"{_failing(outcome)}. The model you started from is unchanged and none was "
            "made; try more images, more steps, or a low-resolution side that is more "
            "like your images."
        )
    if result.skipped:
        text += (
            f" {result.skipped} steps were skipped, as their numbers were not finite."
        )
    return text


def _ending(outcome: FinetuneOutcome) -> str:
    result = outcome.result
    if result.finished:
        return "Done"
    return f"Stopped at step {result.step}"


def _failing(outcome: FinetuneOutcome) -> str:
    """That it did not help, with the change if it was measured."""
    change = outcome.result.reached - outcome.result.before
    if change > 0:
        return f"Fine-tuning gained too little to count ({change:+.3f} dB)"
    loss = f" ({change:+.2f} dB)" if math.isfinite(change) else ""
    return f"Fine-tuning did not help{loss}"
