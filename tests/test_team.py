"""Two processes that torchrun starts train what a single one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training import PHOTO, config, train

from napari_edsr.errors import TrainingError
from napari_edsr.team import FabricTeam
from napari_edsr.train_config import Degradation

pytest.importorskip("lightning_fabric")

PATH = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

#: As on machines that share no folder: what each process has is its own.
RUN = """
import os, sys
from pathlib import Path
from test_team import PHOTO, settings, train

folder = Path(sys.argv[1]) / os.environ["RANK"]
seconds = float(sys.argv[2]) if sys.argv[2:] else None
train(settings(), [PHOTO], folder=folder, seconds=seconds)
"""


def settings():
    recipe = Degradation(photons=200.0)
    return config(batch=4, steps=5, validate_every=5, degradation=recipe)


def run_two(*arguments):
    """Two processes under torchrun, which may wait long for each other's start."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--rdzv-conf", "read_timeout=600,keep_alive_max_attempt=60"),
        *("--nproc-per-node", "2"),
        *map(str, arguments),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_processes_agree_with_one_also_when_they_go_on(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    run_two(script, tmp_path, 0)  # a single step
    assert list(tmp_path.glob("?/*")) == [tmp_path / "0" / "state.safetensors"]
    run_two(script, tmp_path)
    train(settings(), [PHOTO], folder=tmp_path / "alone")
    alone, together = (
        load_file(tmp_path / folder / "state.safetensors") for folder in ("alone", "0")
    )
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        if name.startswith("network.") and value.dtype.is_floating_point:
            difference = (value - together[name]).abs().max()
            assert difference <= 1e-5 * value.abs().max(), name
    untrained = train(config(steps=1, rate=1e-12), [PHOTO]).model.conv_first.weight
    moved = (together["network.conv_first.weight"] - untrained).abs().max()
    assert moved > 1e-3


def test_a_batch_that_cannot_be_shared():
    team = FabricTeam.__new__(FabricTeam)
    team.rank, team.size = 1, 3
    assert team.part(6) == slice(2, 4)
    with pytest.raises(TrainingError, match="multiple of 3"):
        team.part(16)


def test_a_process_leaves_the_others_however_the_run_ends(monkeypatch):
    calls = []

    class Fabric:
        def barrier(self):
            calls.append("waits")

    team = FabricTeam.__new__(FabricTeam)
    team._fabric = Fabric()
    monkeypatch.setattr(
        torch.distributed, "destroy_process_group", lambda: calls.append("leaves")
    )
    with team:
        calls.append("trains")
    with pytest.raises(TrainingError), team:
        raise TrainingError("The gradients were not finite.")
    assert calls == ["trains", "waits", "leaves", "leaves"]
