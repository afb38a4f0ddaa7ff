"""Two processes that torchrun starts train what a single one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_training import PHOTO, config, train

pytest.importorskip("lightning_fabric")

PATH = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])

RUN = """
import sys
from pathlib import Path
from test_training import PHOTO, config, iter_train, drain
from napari_edsr.train_config import Degradation

recipe = Degradation(photons=200.0)
settings = config(batch=4, steps=5, validate_every=5, degradation=recipe)
drain(iter_train(settings, [PHOTO], folder=Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    for processes in (1, 2):
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *(
                "--nproc-per-node",
                str(processes),
                str(script),
                str(tmp_path / str(processes)),
            ),
        ]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": PATH, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    alone, together = (
        load_file(tmp_path / str(n) / "state.safetensors") for n in (1, 2)
    )
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        if name.startswith("network.") and value.dtype.is_floating_point:
            difference = (value - together[name]).abs().max()
            assert difference <= 1e-5 * value.abs().max(), name
    untrained = train(config(steps=1, rate=1e-12), [PHOTO]).model.conv_first.weight
    moved = (together["network.conv_first.weight"] - untrained).abs().max()
    assert moved > 1e-3


def test_a_batch_that_cannot_be_shared(monkeypatch):
    from napari_edsr.errors import TrainingError
    from napari_edsr.team import FabricTeam

    team = FabricTeam.__new__(FabricTeam)
    team.rank, team.size = 1, 3
    assert team.part(6) == slice(2, 4)
    with pytest.raises(TrainingError, match="multiple of 3"):
        team.part(16)
