"""The trainer: it learns, goes on exactly, survives faults and says what it reached."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_edsr import load_model, samples, save_model, upscale
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import CheckpointError, FileError, ModelError, TrainingError
from napari_edsr.events import ImageDone, StepDone, TrainPlanned, Validated, drain
from napari_edsr.files import ImageFile
from napari_edsr.metrics import psnr
from napari_edsr.team import Team
from napari_edsr.train_config import DataConfig, TrainConfig
from napari_edsr.train_result import save_trained
from napari_edsr.training import iter_train, train
from napari_edsr.training_data import Source
from napari_edsr.transfer import starting_network

TINY = EDSRConfig(n_resblocks=1, n_feats=8)


def config(**changes):
    values = {
        "network": TINY,
        "steps": 6,
        "batch": 2,
        "patch": 12,
        "rate": 1e-3,
        "validate_every": 3,
        "device": "cpu",
        "precision": "fp32",
    }
    return TrainConfig(**{**values, **changes})


def photo(**options):
    return Source("photo", lambda: ImageFile(samples.photo_hr(), "YXS"), **options)


PHOTO = photo(held_out=(0, 96, 0, 96))


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def measurements(job):
    """What a run that goes on to its end says of each measurement, and its result."""
    events = []
    result = drain(job, events.append)
    return [event for event in events if isinstance(event, Validated)], result


def assert_same(first, second):
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_events_come_in_order_and_the_loss_falls():
    run = iter_train(config(steps=60, validate_every=30, rate=3e-3, ema=0.9), [PHOTO])
    events = []
    result = drain(run, events.append)
    kinds = [type(event) for event in events if not isinstance(event, ImageDone)]
    assert kinds[0] is TrainPlanned
    assert kinds[1:] == ([StepDone] * 30 + [Validated]) * 2
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 2
    last = events[-1]
    assert (last.step, last.psnr, last.best) == (60, result.psnr, result.psnr)
    assert result.finished
    assert result.gain > 3


def test_what_is_reported_is_the_psnr_of_the_model():
    result = train(config(start="edsr-light-x2", network=None, steps=2), [PHOTO])
    truth = samples.photo_hr()[:96, :96]
    whole = upscale(_shrunk(samples.photo_hr()), "edsr-light-x2", normalize=(0, 255))
    rough = psnr(whole[:96, :96], truth, data_range=255, border=2)
    # the held-out part is upscaled by itself, so only its edges differ
    assert result.before == pytest.approx(rough, abs=0.1)
    assert result.psnr >= result.before > result.bicubic


def _shrunk(image):
    from napari_edsr.degradation import shrink
    from napari_edsr.train_config import Degradation

    return shrink(image, 2, Degradation())


def test_a_seed_makes_runs_identical_and_another_does_not():
    first, second = (train(config(), [PHOTO]) for _ in range(2))
    assert_same(weights(first.model), weights(second.model))
    other = train(config(seed=1), [PHOTO])
    assert not torch.equal(first.model.conv_first.weight, other.model.conv_first.weight)


def test_a_run_left_in_the_middle_goes_on_exactly(tmp_path):
    measured, whole = measurements(iter_train(config(), [PHOTO]))
    job = iter_train(config(), [PHOTO], folder=tmp_path)
    while not (isinstance(event := next(job), StepDone) and event.done == 4):
        pass
    job.close()
    resumed = []
    result = drain(iter_train(config(), [PHOTO], folder=tmp_path), resumed.append)
    planned = next(e for e in resumed if isinstance(e, TrainPlanned))
    assert planned.step == 4
    assert resumed[-1] == measured[-1]
    assert_same(weights(whole.model), weights(result.model))
    assert (result.psnr, result.before) == (whole.psnr, whole.before)
    again = train(config(), [PHOTO], folder=tmp_path)
    assert_same(weights(again.model), weights(result.model))


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_training import *
for event in iter_train(config(), [PHOTO], folder=Path(sys.argv[1])):
    print(type(event).__name__, getattr(event, "done", ""), flush=True)
"""


@pytest.mark.promise(
    "An interrupted run, or one that `--minutes` ended, goes on where it was"
)
@pytest.mark.fault(
    "Stopping: training killed",
    "Started again, it goes on to exactly the same weights; nothing is left behind.",
)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
@pytest.mark.parametrize("last", ["StepDone 2", "Validated", "StepDone 5"])
def test_a_killed_run_goes_on_to_the_same_end(tmp_path, last):
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run"), here]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith(last):
                process.kill()
    left = tmp_path / "run" / "state.safetensors"
    left.parent.mkdir(exist_ok=True)
    (left.parent / ".0123.partial.safetensors").touch()  # had it been killed in saving
    assert left.exists() == (last != "StepDone 2")
    result = train(config(), [PHOTO], folder=tmp_path / "run")
    assert_same(weights(train(config(), [PHOTO]).model), weights(result.model))
    assert [path.name for path in left.parent.iterdir()] == [left.name]


@pytest.mark.parametrize("last", [StepDone, ImageDone])
def test_a_validation_that_was_broken_off_is_made_up_for(tmp_path, last):
    settings = config(validate_every=100)
    job = iter_train(settings, [PHOTO], folder=tmp_path)
    done, event = 0, None
    while not (done == 6 and isinstance(event, last)):
        event = next(job)
        done = event.done if isinstance(event, StepDone) else done
    job.close()
    made_up, resumed = measurements(iter_train(settings, [PHOTO], folder=tmp_path))
    measured, whole = measurements(iter_train(settings, [PHOTO]))
    assert made_up == measured
    assert (resumed.best_step, resumed.psnr) == (whole.best_step, whole.psnr)
    assert_same(weights(whole.model), weights(resumed.model))


@pytest.mark.fault(
    "Stopping: training interrupted within a step", "Half a step is never saved."
)
def test_an_interrupt_within_a_step_does_not_save_half_of_it(tmp_path, monkeypatch):
    from torch.optim.swa_utils import AveragedModel

    genuine, calls = AveragedModel.update_parameters, []

    def interrupted(self, model):
        calls.append(model)
        if len(calls) == 5:
            raise KeyboardInterrupt
        genuine(self, model)

    monkeypatch.setattr(AveragedModel, "update_parameters", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config(), [PHOTO], folder=tmp_path)
    result = train(config(), [PHOTO], folder=tmp_path)
    assert_same(weights(train(config(), [PHOTO]).model), weights(result.model))


@pytest.mark.fault(
    "Weights files: training state damaged, or of another run",
    "An error names it; it is left alone.",
)
def test_a_saved_run_is_not_mixed_with_another(tmp_path):
    train(config(), [PHOTO], folder=tmp_path)
    with pytest.raises(TrainingError, match=r"other settings \(rate, seed\)"):
        train(config(rate=1e-4, seed=3), [PHOTO], folder=tmp_path)
    state = tmp_path / "state.safetensors"
    data = bytearray(state.read_bytes())
    save_model(starting_network(config()), state)
    with pytest.raises(TrainingError, match="no saved training run"):
        train(config(), [PHOTO], folder=tmp_path)
    state.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=f"damaged; delete {tmp_path} to start"):
        train(config(), [PHOTO], folder=tmp_path)


class First(Team):
    """The first process, which notes what it tells the others."""

    said: list  # of each test

    def agreed(self, value):
        self.said.append(copy.deepcopy(value))
        return value


class Second(Team):
    """Another process, which hears the first."""

    rank, said = 1, []

    def agreed(self, value):
        return self.said.pop(0)


def test_others_go_on_from_the_state_that_only_the_first_can_see(tmp_path, monkeypatch):
    train(config(), [PHOTO], folder=tmp_path / "seen", seconds=0.0)
    First.said = Second.said = []
    results = []
    for member, folder in ((First, "seen"), (Second, "unseen")):
        monkeypatch.setattr(
            "napari_edsr.training.assemble", lambda device, m=member, **_: m(device)
        )
        results.append(
            measurements(iter_train(config(), [PHOTO], folder=tmp_path / folder))
        )
    assert results[0][0] == results[1][0]
    assert_same(weights(results[0][1].model), weights(results[1][1].model))
    assert Second.said == []
    assert not (tmp_path / "unseen").exists()


def test_a_run_can_be_moved_but_not_turned_into_another(tmp_path):
    def moved(folder, shape=TINY, **data):
        start = tmp_path / folder / "start.safetensors"
        start.parent.mkdir(exist_ok=True)
        save_model(starting_network(config(network=shape)), start)
        data = DataConfig(hr=(str(start.parent),), **data)
        return config(start=str(start), network=None, data=data)

    train(moved("a"), [PHOTO], folder=tmp_path, seconds=0.0)
    resumed = train(moved("b"), [PHOTO], folder=tmp_path)
    assert_same(weights(train(moved("a"), [PHOTO]).model), weights(resumed.model))
    with pytest.raises(TrainingError, match=r"other settings \(data\)"):
        train(moved("a", held_out=0.3), [PHOTO], folder=tmp_path)
    wider = EDSRConfig(n_resblocks=1, n_feats=16)
    with pytest.raises(TrainingError, match="a run of another network"):
        train(moved("c", wider), [PHOTO], folder=tmp_path)


def test_a_run_does_not_go_on_from_another_model(tmp_path, tiny_model):
    def started(seed):
        start = tmp_path / str(seed) / "start.safetensors"
        start.parent.mkdir()
        save_model(tiny_model(seed=seed), start)
        return config(start=str(start), network=None)

    train(started(1), [PHOTO], folder=tmp_path / "run", seconds=0.0)
    with pytest.raises(TrainingError, match="holds a run from another model;"):
        train(started(2), [PHOTO], folder=tmp_path / "run")


@pytest.mark.fault(
    "Disk: a second program trains in the folder of a run",
    "It is refused; the other goes on.",
)
def test_two_runs_do_not_share_a_folder(tmp_path):
    job = iter_train(config(), [PHOTO], folder=tmp_path / "run")
    next(event for event in job if isinstance(event, StepDone))
    with pytest.raises(FileError, match="Another program is training in .*run; wait"):
        train(config(), [PHOTO], folder=tmp_path / "run")
    job.close()
    resumed = train(config(), [PHOTO], folder=tmp_path / "run")
    assert_same(weights(train(config(), [PHOTO]).model), weights(resumed.model))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["state.safetensors"]
    iter_train(config(), [PHOTO], folder=tmp_path / "none").close()
    job = iter_train(config(), [PHOTO], folder=tmp_path / "none")
    next(job)
    job.close()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_truth_with_contrast_at_its_edge_alone_is_not_measured_on():
    stack = np.zeros((2, 96, 64), np.uint8)
    stack[0] = samples.microscopy_hr()[:96, :64]
    stack[1, -1, 5] = 1
    source = Source("a", lambda: ImageFile(stack, "ZYX"), held_out=0.25)
    result = train(config(network=replace(TINY, n_colors=1)), [source])
    assert len(result.kept) == 1
    assert math.isfinite(result.psnr) and math.isfinite(result.bicubic)


def test_a_run_of_before_there_was_a_setting_goes_on(tmp_path):
    train(config(), [PHOTO], folder=tmp_path, seconds=0.0)
    state = tmp_path / "state.safetensors"
    with safe_open(state, "pt") as file:
        texts = {key: json.loads(text) for key, text in file.metadata().items()}
    del texts["config"]["hold"], texts["config"]["data"]["held_out"]
    del texts["progress"]["loss_sum"], texts["progress"]["losses"]
    old = {key: json.dumps(text) for key, text in texts.items()}
    save_file(load_file(state), state, old)
    result = train(config(), [PHOTO], folder=tmp_path)
    assert_same(weights(train(config(), [PHOTO]).model), weights(result.model))


@pytest.mark.promise("the weights that do best on it are what is saved")
def test_the_best_weights_are_kept_and_not_the_last():
    settings = {"validate_every": 1, "rate": 0.03, "ema": 0.0, "steps": 8}
    found, result = measurements(iter_train(config(**settings), [PHOTO]))
    values = [event.psnr for event in found]
    assert max(values) > values[-1]
    assert result.psnr == max(values)
    assert found[values.index(result.psnr)].step == result.best_step


@pytest.mark.promise("the weights that do best on it are what is saved")
def test_a_run_that_can_be_sent_to_its_end_keeps_the_best():
    job = iter_train(config(steps=1000), [PHOTO])
    while not (isinstance(event := next(job), StepDone) and event.done == 4):
        pass
    found, value = [], True
    with pytest.raises(StopIteration) as stopped:
        while True:
            found.append(job.send(value))
            value = None
    result = stopped.value.value
    assert isinstance(found[-1], Validated)
    assert (result.step, result.finished) == (4, False)
    assert result.best_step in (0, 3, 4)


def test_time_runs_out(tmp_path):
    result = train(config(steps=1000), [PHOTO], folder=tmp_path, seconds=0.0)
    assert (result.step, result.finished) == (1, False)
    assert train(config(steps=1000), [PHOTO], folder=tmp_path, seconds=0.0).step == 2


def poison(monkeypatch, steps):
    """Make the loss of these steps, counted from 0, NaN."""
    import napari_edsr.training as module

    calls = iter(range(10**6))
    genuine = module.nn.functional.l1_loss

    def loss(output, target):
        value = genuine(output, target)
        return value * math.nan if next(calls) in steps else value

    monkeypatch.setattr(module.nn.functional, "l1_loss", loss)


def test_steps_that_are_not_finite_are_skipped_and_counted(monkeypatch):
    poison(monkeypatch, {1, 3})
    result = train(config(), [PHOTO])
    assert (result.skipped, result.step) == (2, 6)
    assert all(value.isfinite().all() for value in weights(result.model).values())


@pytest.mark.fault(
    "Weights files: training that diverges",
    "It stops, saying to lower the rate or to check the images.",
)
def test_a_run_that_stays_non_finite_stops_and_says_what_to_do(monkeypatch):
    poison(monkeypatch, range(5, 1000))
    with pytest.raises(
        TrainingError, match="20 times in a row.*lower the learning rate"
    ):
        train(config(steps=100), [PHOTO])


@pytest.mark.fault(
    "Weights files: training that diverges",
    "It stops, saying to lower the rate or to check the images.",
)
def test_a_network_that_cannot_be_measured_any_more_says_what_to_do():
    settings = config(rate=1e37, ema=0.0, validate_every=1)
    with pytest.raises(
        TrainingError, match="when it was measured at step 1; lower the learning rate"
    ):
        train(settings, [PHOTO])


def test_a_step_that_stops_the_run_is_counted_when_it_is_done(tmp_path, monkeypatch):
    poison(monkeypatch, range(5, 1000))
    settings, events = config(steps=100, validate_every=100), []
    for _ in range(2):
        with pytest.raises(TrainingError, match="20 times in a row"):
            drain(iter_train(settings, [PHOTO], folder=tmp_path), events.append)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.done for event in steps] == list(range(1, 44))
    assert [event.skipped for event in steps] == [max(0, n - 5) for n in range(1, 44)]


def test_x3_starts_from_x2_but_for_its_upsampler():
    base = load_model("edsr-light-x2")
    network = starting_network(
        config(start="edsr-light-x2", network=EDSRConfig.light(3))
    )
    fresh = starting_network(config(network=EDSRConfig.light(3)))
    taken, started, own = weights(base), weights(network), weights(fresh)
    for name, value in started.items():
        expected = own if name.startswith("upsample.") else taken
        assert torch.equal(value, expected[name]), name


def test_grey_networks_come_from_colour_ones(rng):
    base = load_model("edsr-light-x2")
    grey = starting_network(
        config(start="edsr-light-x2", network=EDSRConfig.light(2, n_colors=1))
    )
    x = torch.from_numpy(rng.random((1, 1, 100, 100), dtype=np.float32))
    with torch.no_grad():
        expected = base(x.expand(-1, 3, -1, -1)).mean(1, keepdim=True)
        found = grey(x)
    inner = (..., slice(80, 120), slice(80, 120))
    assert (found[inner] - expected[inner]).abs().max() < 1e-5
    assert (found - expected).abs().max() < 0.05


@pytest.mark.promise("training begins with what the narrow model can do")
@pytest.mark.parametrize(
    "shape",
    [
        TINY,
        EDSRConfig((4,), n_resblocks=1, n_feats=8, res_scale=0.1),
        EDSRConfig.mdsr(1, n_feats=8),
    ],
)
def test_a_wider_network_starts_as_the_narrow_one_and_learns_with_all_of_it(
    tmp_path, rng, shape
):
    narrow = starting_network(config(network=shape))
    start = save_model(narrow, tmp_path / "narrow.safetensors")
    settings = config(start=str(start), network=replace(shape, n_feats=12), rate=1e-3)
    wide = starting_network(settings)
    x = torch.from_numpy(rng.random((1, 3, 20, 20), dtype=np.float32))
    with torch.no_grad():
        for scale in shape.scales:
            assert (wide(x, scale) - narrow(x, scale)).abs().max() < 1e-6
    before, trained = weights(wide), weights(train(settings, [PHOTO]).model)
    for name, value in wide.named_parameters():
        if name.startswith("body") and value.ndim == 4:
            moved = (before[name] != trained[name]).float()
            for new in moved[8:], moved[:, 8:]:  # all but what a ReLU shuts off
                assert new.mean() > 0.7, name


def test_a_wider_network_of_another_scale_has_a_fresh_upsampler():
    wide = EDSRConfig.baseline(2)
    same = weights(starting_network(config(start="edsr-light-x2", network=wide)))
    network = starting_network(
        config(start="edsr-light-x2", network=EDSRConfig.baseline(3))
    )
    fresh = weights(starting_network(config(network=EDSRConfig.baseline(3))))
    for name, value in weights(network).items():
        expected = fresh if name.startswith("upsample.") else same
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (EDSRConfig((2,), n_resblocks=8, n_feats=32), "n_resblocks 16, but .* have 8"),
        (
            EDSRConfig((2,), n_resblocks=16, n_feats=16),
            "n_feats 32, .* cannot have fewer",
        ),
        (EDSRConfig.light(2, n_colors=2), "2 colours cannot start from one of 3"),
    ],
)
def test_networks_that_can_not_be_taken_over(network, reason):
    with pytest.raises(TrainingError, match=reason):
        starting_network(config(start="edsr-light-x2", network=network))


def test_a_multi_scale_network_is_measured_at_every_scale():
    network = EDSRConfig.mdsr(1, n_feats=4)
    events = []
    result = drain(
        iter_train(config(network=network, steps=3), [photo(held_out=(0, 48, 0, 48))]),
        events.append,
    )
    assert math.isfinite(result.psnr)
    assert result.model.config.multi_scale


def test_validation_images_go_before_what_is_kept_aside():
    flat = Source(
        "other", lambda: ImageFile(samples.microscopy_hr(), "YX"), normalize="dtype"
    )
    result = train(config(), [PHOTO], validation=[flat])
    alone = train(config(), [photo()], validation=[flat])
    assert result.bicubic == alone.bicubic


def test_grey_and_colour_images_train_together():
    grey = Source("grey", lambda: ImageFile(samples.microscopy_hr(), "YX"))
    result = train(config(batch=8), [grey, PHOTO])
    assert result.step == 6


def test_folders_stay_private(tmp_path):
    start = tmp_path / "patient.safetensors"
    save_model(starting_network(config()), start)
    settings = config(start=str(start), network=None, steps=1)
    path = save_trained(train(settings, [PHOTO]), settings, tmp_path / "m.safetensors")
    assert str(tmp_path) not in json.dumps(load_model(path).provenance.extra)


def test_nothing_to_measure_on_keeps_the_last_weights():
    events = []
    result = drain(iter_train(config(), [photo()]), events.append)
    assert math.isnan(result.psnr)
    assert result.best_step == 6
    (planned,) = (e for e in events if isinstance(e, TrainPlanned))
    assert any("nothing is measured" in note for note in planned.notes)


@pytest.mark.parametrize("kept", [(0, 32, 0, 64), (40, 41, 0, 64)])
def test_what_is_kept_aside_but_tells_nothing_is_not_called_nothing(kept):
    image = samples.microscopy_hr()[:96, :64].copy()
    image[:32] = 7
    source = Source("a", lambda: ImageFile(image, "YX"), held_out=kept)
    events = []
    result = drain(iter_train(config(steps=1), [source]), events.append)
    assert math.isnan(result.psnr)
    (planned,) = (e for e in events if isinstance(e, TrainPlanned))
    (note,) = planned.notes
    assert note.startswith("What is kept aside is of one intensity or too small")


@pytest.mark.fault(
    "Images: nothing but a constant image to learn from",
    "An error says to add one with contrast.",
)
@pytest.mark.parametrize(
    ("data", "axes"),
    [
        (np.full((32, 32), 3, "uint16"), "YX"),
        (np.full((32, 32), 7, "uint8"), "YX"),
        (np.full((32, 32, 3), (200, 0, 7), "uint8"), "YXS"),
    ],
)
def test_nothing_to_train_on(data, axes):
    flat = Source("flat", lambda: ImageFile(data, axes))
    with pytest.raises(TrainingError, match="no image to train on"):
        train(config(), [flat])


def test_neither_no_value_nor_no_model_is_anything_to_train_on():
    empty = Source("empty", lambda: ImageFile(np.full((32, 32), np.nan), "YX"))
    with pytest.raises(TrainingError, match="no image to train on"):
        train(config(), [empty])
    with pytest.raises(ModelError, match="no model called"):
        train(config(start="nothing"), [PHOTO])


def test_half_precision_trains_as_well_and_others_are_refused():
    result = train(config(precision="bf16", steps=40, rate=3e-3), [PHOTO])
    assert result.gain > 1
    with pytest.raises(TrainingError, match="fp32 or bf16, not 'fp16'"):
        train(config(precision="fp16"), [PHOTO])


def global_settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_grad_enabled(),
        torch.random.get_rng_state().tolist(),
    )


@pytest.fixture
def only_warned(request):
    """The caller's choice of deterministic kernels, with or without mere warnings."""
    torch.use_deterministic_algorithms(request.param, warn_only=request.param)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("only_warned", [False, True], indirect=True)
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.usefixtures("only_warned")
def test_global_settings_of_torch_are_left_alone(monkeypatch, deterministic):
    before, within = global_settings(), []
    genuine = torch.optim.Adam.step

    def step(self):
        within.append(global_settings())
        return genuine(self)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    train(config(deterministic=deterministic, steps=2), [PHOTO])
    assert global_settings() == before
    assert within == [(True, False, *before[2:]) if deterministic else before] * 2


def test_the_saved_model_says_how_it_was_trained(tmp_path):
    settings = config(name="mine", start="edsr-light-x2", network=None, steps=2)
    result = train(settings, [PHOTO])
    path = save_trained(result, settings, tmp_path / "mine.safetensors")
    found = load_model(path)
    assert_same(weights(found), weights(result.model))
    told = found.provenance.extra["training"]
    assert found.provenance.name == "mine"
    assert found.provenance.licence == "BSD-3-Clause"
    assert found.provenance.source.startswith("trained from edsr-light-x2")
    assert told["psnr_before"] == round(result.before, 4)
    assert told["config"]["rate"] == settings.rate
    assert str(tmp_path) not in json.dumps(told)


def test_the_state_holds_all_that_is_needed(tmp_path):
    train(config(ema=0.0), [PHOTO], folder=tmp_path)
    names = set(load_file(tmp_path / "state.safetensors"))
    assert {name.split(".")[0] for name in names} == {"network", "best", "adam"}
