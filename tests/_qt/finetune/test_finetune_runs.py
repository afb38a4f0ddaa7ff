"""What a press of Start, Stop and the like leads to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from qtpy.QtCore import QCoreApplication
from safetensors import safe_open

from napari_edsr import cli, load_model, zoo
from napari_edsr._qt.finetune.requests import register
from napari_edsr._qt.finetune.wording import outcome_text
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr._qt.upscale_widget import UpscaleWidget
from napari_edsr.files import ImageFile, write_image
from napari_edsr.train_config import load_config
from napari_edsr.train_state import alone_in
from napari_edsr.training import iter_train
from napari_edsr.training import train as run_headless
from napari_edsr.transfer import blended, starting_network

WAIT = 60_000


def weights(name):
    return load_model(str(name)).state_dict()


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key


def names(chooser):
    return [chooser.list.itemData(i) for i in range(chooser.list.count())]


@pytest.mark.promise(
    "A second dock fine-tunes a model on your own layers, on a CPU as well",
    "Tick the sharp layers to learn from",
    "What did best becomes a new model in the Upscale dock",
)
def test_a_run_makes_a_model_that_upscale_offers_at_once(
    dock, viewer, train, photo, qtbot
):
    upscale = UpscaleWidget(viewer)
    qtbot.addWidget(upscale)
    viewer.add_image(photo, name="cells")
    base = Path(dock.controls.models.value().key)
    before = hashlib.sha256(base.read_bytes()).hexdigest()

    outcome = train(dock)

    assert outcome.registered and outcome.result.gain > 0
    assert "cells-x2" in names(upscale.controls.models)
    assert hashlib.sha256(base.read_bytes()).hexdigest() == before
    card = zoo.get_card("cells-x2")
    assert card.scores["PSNR kept aside"] == outcome.result.psnr
    assert card.scores["PSNR kept aside, before"] == outcome.result.before
    with safe_open(zoo.fetch("cells-x2"), "pt") as file:
        training = json.loads(file.metadata()["provenance"])["extra"]["training"]
    assert training["psnr"] == pytest.approx(outcome.result.psnr, abs=1e-4)
    assert training["psnr_before"] == pytest.approx(outcome.result.before, abs=1e-4)
    assert f"{outcome.result.gain:+.2f} dB over" in dock.panel.outcome.text()
    assert not dock.panel.use.isHidden()


def test_use_chooses_the_new_model_in_the_upscale_dock(
    make_dock, viewer, train, photo, qtbot
):
    upscale = UpscaleWidget(viewer)
    qtbot.addWidget(upscale)
    dock = make_dock(3)
    dock.controls.training.steps.setValue(30)
    viewer.add_image(photo, name="cells")
    assert train(dock).registered

    dock.panel.use.click()

    assert upscale.controls.scale.value() == 3
    assert upscale.controls.models.value().key == "cells-x3"
    assert "dB" in upscale.controls.models.caption.text()


@pytest.mark.promise(
    "teaches a model what your camera and optics do",
    "say how their low-resolution side comes about, and press **Start**",
)
def test_the_dock_trains_what_the_trainer_does(dock, viewer, train, photo):
    viewer.add_image(photo, name="cells")
    dock.controls.degradation.blur.setValue(1.0)
    dock.controls.degradation.photons.setValue(300)
    dock.controls.training.steps.setValue(30)
    request = dock.request()

    outcome = train(dock)

    same = run_headless(request.config, request.sources())
    assert_same_weights(outcome.result.model.state_dict(), same.model.state_dict())
    assert_same_weights(weights("cells-x2"), same.model.state_dict())
    assert outcome.result.psnr == same.psnr


@pytest.mark.promise(
    "the run as a configuration, to repeat it with `napari-edsr train`"
)
@pytest.mark.parametrize("kept", ["share", "rectangle"])
def test_saved_yaml_repeats_the_run_on_the_command_line(
    dock, viewer, train, photo, tmp_path, monkeypatch, qtbot, kept
):
    viewer.add_image(
        photo.astype(np.uint16) * 90, name="cells", scale=(0.2, 0.2), units="um"
    )
    viewer.add_image(photo[:, ::-1], name="more")
    if kept == "rectangle":
        viewer.add_shapes([[[2, 2], [2, 9.8], [8, 9.8], [8, 2]]], name="aside")
        dock.controls.kept.part.button("rectangle").click()
    for row in range(2):
        dock.controls.teach.list.item(row).setCheckState(_checked())
    outcome = train(dock)
    path = tmp_path / "run.yaml"
    monkeypatch.setattr(
        "napari_edsr._qt.saving.QFileDialog.getSaveFileName",
        lambda *_: (str(path), ""),
    )

    dock.panel.yaml.click()
    qtbot.waitUntil(
        lambda: path.exists() and not dock.side_jobs.is_running, timeout=WAIT
    )

    config = load_config(path)
    assert bool(config.data.windows) is (kept == "rectangle")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", str(path), "--out", str(tmp_path / "again")])
    assert stopped.value.code == 0
    repeated = tmp_path / "again" / f"{config.name}.safetensors"
    assert_same_weights(weights(repeated), outcome.result.model.state_dict())


def _checked():
    from qtpy.QtCore import Qt

    return Qt.CheckState.Checked


@pytest.mark.promise(
    "shows on a part kept aside whether it helps",
    "a rectangle that is never trained on, but measured",
)
def test_kept_rectangle_is_shown_where_it_lies(dock, viewer, train, photo):
    source = viewer.add_image(photo, name="cells", scale=(0.5, 0.5), translate=(3, 4))
    corners = [
        source.data_to_world(p) for p in ((9.6, 20), (9.6, 51), (31, 51), (31, 20))
    ]
    viewer.add_shapes([np.array(corners)], name="aside")
    viewer.layers.selection = {source}
    dock.controls.kept.part.button("rectangle").click()
    (lesson,) = dock.request().lessons

    outcome = train(dock)

    assert lesson.held_out == (10, 32, 20, 52)
    before, now = viewer.layers[-2:]
    assert [before.name, now.name] == [
        "cells kept aside, before",
        "cells kept aside, now",
    ]
    for layer in (before, now):
        assert layer.data.shape == (22, 32) and layer.data.dtype == np.uint8
        np.testing.assert_allclose(
            layer.data_to_world((0, 0)), source.data_to_world((10, 20))
        )
        np.testing.assert_allclose(layer.scale, source.scale)
        assert layer.contrast_limits == source.contrast_limits
    assert outcome.result.step == 6
    assert (before.data != now.data).any()
    assert before.metadata[METADATA_KEY]["preview"] is True
    again = train(dock)
    assert again.result.finished
    assert [layer.name for layer in viewer.layers].count("cells kept aside, now") == 1


@pytest.mark.promise("the part itself is redrawn as it gets better")
def test_shown_pixels_are_those_of_the_model(dock, viewer, train, photo, qtbot):
    viewer.add_image(photo, name="cells")

    outcome = train(dock)

    (pair,) = outcome.result.kept
    from napari_edsr import upscale

    expected = upscale(
        pair.lr[2], outcome.result.model, scale=2, axes="CYX", normalize=pair.limits
    )
    qtbot.waitUntil(lambda: not dock.blender.is_running, timeout=WAIT)
    np.testing.assert_array_equal(viewer.layers[-1].data, expected[0])
    base = starting_network(outcome.request.config).eval()
    start = upscale(pair.lr[2], base, scale=2, axes="CYX", normalize=pair.limits)
    np.testing.assert_array_equal(viewer.layers[-2].data, start[0])
    np.testing.assert_array_equal(pair.hr[0], photo[:, -10:])


@pytest.mark.promise(
    "shows on a part kept aside whether it helps",
    "if nothing did better than the model you started from, the dock says so "
    "and makes none",
)
def test_it_says_plainly_when_it_did_not_help(dock, viewer, train, photo):
    viewer.add_image(photo, name="cells")
    dock.controls.models.list.set_value("edsr-light-x2")
    dock.controls.training.rate.setValue(100)
    dock.controls.training.steps.setValue(2)
    dock.controls.training.every.setValue(1)
    dock.controls.name.setText("second")

    outcome = train(dock)

    assert not outcome.registered
    text = dock.panel.outcome.text()
    loss = outcome.result.reached - outcome.result.before
    assert loss < 0
    assert text.startswith(f"Fine-tuning did not help ({loss:+.2f} dB).")
    assert "The model you started from is unchanged" in text
    assert zoo.find_card("second") is None
    assert dock.panel.use.isHidden() and dock.panel.blend.isHidden()
    psnr = outcome.result.before + 0.003
    better = replace(outcome.result, psnr=psnr, reached=psnr)
    text = outcome_text(replace(outcome, result=better))
    assert text.startswith("Fine-tuning gained too little to count (+0.003 dB).")


def test_nothing_kept_aside_is_said(dock, viewer, train, photo):
    viewer.add_image(photo, name="cells")
    dock.controls.kept.share.setValue(0)

    outcome = train(dock)

    assert outcome.registered
    assert "There was nothing to measure it on" in dock.panel.outcome.text()
    assert zoo.get_card("cells-x2").scores == {}


@pytest.mark.promise("a run can wait")
def test_pause_and_go_on(dock, viewer, photo, qtbot):
    viewer.add_image(photo, name="cells")
    seen = []
    dock.session.stepped.connect(lambda event: seen.append(event.done))
    with qtbot.waitSignal(dock.session.stepped, timeout=WAIT):
        dock.panel.start.click()
    dock.panel.pause.click()

    assert dock.session.is_paused
    assert dock.panel.progress.status.text() == "Paused."
    assert "Res" in dock.panel.pause.text()
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        dock.panel.pause.click()
        assert dock.panel.progress.status.text() == "Going on…"
    assert seen == list(range(1, 7))


@pytest.mark.promise("a run can wait, end early, and be taken up again")
@pytest.mark.fault(
    "Stopping: training stopped in the dock",
    "The best weights are kept; resumed, it ends as in one go.",
)
def test_stop_keeps_the_best_and_resume_ends_as_an_uninterrupted_run(
    dock, viewer, photo, qtbot, train
):
    viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(9)
    request = dock.request()
    dock.panel.start.click()
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        with qtbot.waitSignal(dock.session.validated, timeout=WAIT):
            pass
        dock.panel.progress.cancel.click()

    stopped = dock.session.outcome
    assert 0 < stopped.result.step < 9
    assert stopped.registered
    assert dock.panel.outcome.text().startswith(
        f"Stopped at step {stopped.result.step}"
    )
    assert not dock.panel.pause.isHidden() and "Res" in dock.panel.pause.text()

    resumed = train(dock, dock.panel.pause)

    straight = run_headless(request.config, request.sources())
    assert resumed.result.finished
    assert resumed.result.psnr == pytest.approx(straight.psnr, abs=1e-9)
    assert_same_weights(weights("cells-x2"), resumed.result.model.state_dict())
    assert dock.panel.pause.isHidden()
    assert not request.folder.exists()


def test_going_on_replaces_no_model_that_came_meanwhile(
    dock, viewer, photo, qtbot, train, monkeypatch
):
    viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(9)
    monkeypatch.setattr("napari_edsr.train_result._TELLING", 100.0)
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        with qtbot.waitSignal(dock.session.validated, timeout=WAIT):
            dock.panel.start.click()
        dock.panel.progress.cancel.click()
    stopped = dock.session.outcome
    assert not stopped.registered
    register(stopped.result, stopped.request.config, "cells-x2", blend="another's")
    path = zoo.get_card("cells-x2").path
    theirs = path.read_bytes()
    monkeypatch.setattr("napari_edsr.train_result._TELLING", -100.0)

    train(dock, dock.panel.pause)

    assert "'cells-x2' is taken" in dock.errors_shown[-1]
    assert path.read_bytes() == theirs


@pytest.mark.fault(
    "Layers and docks: napari closed mid-training",
    "The best weights that were measured are a model the next time.",
)
def test_closing_napari_keeps_the_best(dock, viewer, photo, qtbot):
    viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(100_000)
    planned, best = [], []
    dock.session.planned.connect(planned.append)
    dock.session.validated.connect(best.append)

    def is_better(event):
        return event.psnr > planned[0].before + 0.01

    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        with qtbot.waitSignal(
            dock.session.validated, timeout=WAIT, check_params_cb=is_better
        ):
            dock.panel.start.click()
        QCoreApplication.instance().aboutToQuit.emit()

    told = load_model("cells-x2").provenance.extra["training"]
    assert told["psnr"] == pytest.approx(max(event.psnr for event in best), abs=1e-3)
    assert told["psnr"] > told["psnr_before"]


@pytest.mark.fault(
    "Stopping: numbers that are not finite after a run has gained something",
    "It stops, saying to lower the rate; the best weights that were measured are a model.",
)
def test_a_run_that_diverges_keeps_the_best(dock, viewer, photo, qtbot, monkeypatch):
    upscale = UpscaleWidget(viewer)
    qtbot.addWidget(upscale)
    viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(100_000)
    planned, best, genuine = [], [], torch.nn.functional.l1_loss
    dock.session.planned.connect(planned.append)

    def note(event):
        if event.psnr > planned[0].before + 0.01:
            best.append(event.psnr)

    def loss(output, target):
        return genuine(output, target) * (float("nan") if best else 1)

    dock.session.validated.connect(note)
    monkeypatch.setattr(torch.nn.functional, "l1_loss", loss)
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        dock.panel.start.click()

    assert "lower the learning rate" in dock.errors_shown[-1]
    assert "is in the Upscale dock: cells-x2." in dock.errors_shown[-1]
    assert "cells-x2" in names(upscale.controls.models)
    told = load_model("cells-x2").provenance.extra["training"]
    assert told["psnr"] == pytest.approx(best[-1], abs=1e-3)


def test_a_run_of_another_napari_is_left_alone(dock, viewer, photo, train):
    viewer.add_image(photo, name="cells")
    folder = dock.request().folder
    folder.mkdir(parents=True)
    (folder / "state.safetensors").write_text("theirs")
    with alone_in(folder):
        train(dock)
    assert "Another program is training in" in dock.errors_shown[-1]
    assert (folder / "state.safetensors").read_text() == "theirs"


def test_stop_while_paused_and_while_preparing(dock, viewer, photo, qtbot):
    viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(500)
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        dock.panel.start.click()
        dock.panel.progress.cancel.click()
    assert dock.session.outcome is None
    assert dock.panel.outcome.text() == "Stopped; nothing was learned yet."
    with qtbot.waitSignal(dock.session.stepped, timeout=WAIT):
        dock.panel.start.click()
    dock.panel.pause.click()
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        dock.panel.progress.cancel.click()
    assert dock.session.outcome.result.step < 500


@pytest.mark.promise("Grey layers get a network of one channel.")
@pytest.mark.parametrize(
    ("shape", "rgb", "colours"), [((64, 96), False, 1), ((48, 48, 3), True, 3)]
)
def test_grey_layers_get_a_network_of_one_channel(
    dock, viewer, train, rng, shape, rgb, colours
):
    viewer.add_image(rng.integers(0, 255, shape, np.uint8), rgb=rgb, name="cells")

    outcome = train(dock)

    assert outcome.result.model.config.n_colors == colours


def test_the_channel_can_stay(dock, viewer, train, photo):
    viewer.add_image(photo, name="cells")
    dock.controls.training.grey.setChecked(False)

    assert train(dock).result.model.config.n_colors == 3


def test_image_smaller_than_the_patch(dock, viewer, train, photo):
    viewer.add_image(photo[:20, :30], name="small")
    dock.controls.training.patch.setValue(64)

    outcome = train(dock)

    assert outcome.result.step == 6


@pytest.mark.parametrize("label", ["z", "c"])
def test_stack_and_channels(dock, viewer, train, rng, label):
    stack = (rng.random((3, 24, 30)) * [[[900]], [[4000]], [[60]]]).astype(np.uint16)
    viewer.add_image(stack, name="stack", axis_labels=(label, "y", "x"))

    outcome = train(dock)

    kept = outcome.result.kept
    assert [pair.place for pair in kept] == [(0,), (1,), (2,)]
    assert len({pair.limits for pair in kept}) == (3 if label == "c" else 1)
    assert viewer.layers[-1].data.shape == (3, 24, 2)
    assert viewer.layers[-1].data.any(axis=(1, 2)).all()


@pytest.mark.promise(
    "learns from the very layer you want to upscale, if there is nothing sharper"
)
def test_adapt_learns_from_the_selected_layer_alone(dock, viewer, train, photo):
    viewer.add_image(photo, name="other")
    chosen = viewer.add_image(photo[::-1], name="mine")
    dock.controls.teach.list.item(0).setCheckState(_checked())
    viewer.layers.selection = {chosen}

    outcome = train(dock, dock.panel.adapt)

    assert [lesson.hr.name for lesson in outcome.request.lessons] == ["mine"]
    assert outcome.request.config.name == "mine-x2"


@pytest.mark.promise("or real images of the same field, found by their position")
def test_real_pairs_found_by_position(dock, viewer, train, photo):
    from napari_edsr.resampling import imresize

    low = imresize(photo, [32, 48])
    hr = viewer.add_image(photo, name="sharp", scale=(0.5, 0.5))
    viewer.add_image(low[2:], name="coarse", scale=(1, 1), translate=(2.25, 0.25))
    viewer.layers.selection = {hr}
    dock.controls.side.kind.button("real").click()
    (lesson,) = dock.request().lessons

    outcome = train(dock)

    np.testing.assert_array_equal(lesson.hr.read().data, photo[4:])
    np.testing.assert_array_equal(lesson.lr.read().data, low[2:])
    assert outcome.result.step == 6
    assert outcome.request.config.degradation.blur == 0
    np.testing.assert_allclose(
        viewer.layers[-1].data_to_world((0, 0)), hr.data_to_world((4, 86))
    )


def test_images_of_one_name_in_two_folders(dock, viewer, train, photo, tmp_path):
    for folder, image in (("day1", photo), ("day2", photo[:48, :64])):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "001.png", ImageFile(image, "YX"))
        dock.controls.teach.add_folder(str(tmp_path / folder))

    outcome = train(dock)

    assert dock.errors_shown == []
    assert [pair.name for pair in outcome.result.kept] == [
        "day1/001.png",
        "day2/001.png",
    ]
    assert {layer.name.partition(" ")[0] for layer in viewer.layers} == {"day1/001.png"}


@pytest.mark.promise("layers, folders, or both")
def test_folder_of_images(dock, viewer, train, photo, tmp_path):
    from PIL import Image

    for number in range(2):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    dock.controls.teach.add_folder(str(tmp_path))

    outcome = train(dock)

    assert "2 images in a folder" in dock.controls.teach.caption.text()
    assert outcome.registered
    assert [layer.name for layer in viewer.layers] == [
        "0.png kept aside, truth",
        "0.png kept aside, before",
        "0.png kept aside, now",
    ]
    np.testing.assert_array_equal(viewer.layers[0].data, photo[:, -10:])


@pytest.mark.promise("the low-resolution images as layers")
def test_what_the_network_will_see(dock, viewer, photo, qtbot):
    from napari_edsr.degradation import shrink
    from napari_edsr.train_config import Degradation

    source = viewer.add_image(photo, name="cells", scale=(0.5, 0.5))
    dock.controls.degradation.blur.setValue(1.5)

    dock.controls.see.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=WAIT)

    seen = viewer.layers["cells as the network sees it"]
    np.testing.assert_array_equal(seen.data, shrink(photo, 2, Degradation(blur=1.5)))
    np.testing.assert_allclose(
        seen.data_to_world((0, 0)), source.data_to_world((0.5, 0.5))
    )
    assert list(viewer.layers.selection) == [source]
    qtbot.waitUntil(lambda: not dock.side_jobs.is_running, timeout=WAIT)
    dock.controls.degradation.photons.setValue(50)
    dock.controls.see.click()
    qtbot.waitUntil(lambda: not dock.side_jobs.is_running, timeout=WAIT)
    assert len(viewer.layers) == 2
    assert (viewer.layers[1].data != seen.data).mean() > 0.5


@pytest.mark.promise(
    "mixes the weights from before and after, and shows what that gives"
)
def test_blend_lies_between_and_can_be_kept(dock, viewer, train, photo, qtbot):
    viewer.add_image(photo, name="cells")
    outcome = train(dock)
    result, config = outcome.result, outcome.request.config
    said = dock.blender.said
    base = starting_network(config)

    for share, expected in ((0, result.before), (100, result.psnr)):
        with qtbot.waitSignal(
            said, timeout=WAIT, check_params_cb=lambda text, _: "dB" in text
        ):
            dock.panel.blend.slider.setValue(50)
            dock.panel.blend.slider.setValue(share)
            dock.blender.mix(share / 100)
        assert f"{expected:.2f} dB" in dock.panel.blend.caption.text()
        assert not dock.panel.blend.keep.isEnabled()
        qtbot.waitUntil(lambda: not dock.blender.is_running, timeout=WAIT)
    with qtbot.waitSignal(
        said, timeout=WAIT, check_params_cb=lambda text, _: "70%" in text
    ):
        dock.panel.blend.slider.setValue(70)
    qtbot.waitUntil(lambda: not dock.blender.is_running, timeout=WAIT)
    with qtbot.waitSignal(dock.blender.idle, timeout=WAIT):
        dock.panel.blend.keep.click()

    mixed = blended(base, result.model, 0.7)
    assert_same_weights(weights("cells-x2-70"), mixed.state_dict())
    assert dock.panel.blend.caption.text() == "Kept as cells-x2-70."


@pytest.mark.fault(
    "Devices: GPU memory runs out in training",
    "The dock says so, and the run can go on from its saved state.",
)
def test_out_of_memory_is_a_sentence_and_the_run_can_go_on(
    dock, viewer, train, photo, monkeypatch
):
    from napari_edsr import training

    viewer.add_image(photo, name="cells")
    real = training._Run._step
    monkeypatch.setattr(
        training._Run,
        "_step",
        lambda self, batch, step: (
            _out_of_memory() if step == 2 else real(self, batch, step)
        ),
    )

    outcome = train(dock)

    assert outcome is None
    assert "memory" in dock.panel.error.message.text()
    assert len(dock.errors_shown) == 1
    monkeypatch.setattr(training._Run, "_step", real)
    assert train(dock, dock.panel.pause).result.finished


def _out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate much")


def test_memory_is_given_back_after_the_run(dock, viewer, train, photo, monkeypatch):
    from napari_edsr import training

    released = []
    monkeypatch.setattr(training, "release_memory", released.append)
    viewer.add_image(photo, name="cells")

    train(dock)

    assert released == [torch.device("cpu")]


@pytest.mark.promise(
    "The curve shows the PSNR of what was kept aside beside two lines, "
    "bicubic interpolation and the model as it was"
)
def test_progress_ends_at_the_last_step(dock, viewer, train, photo):
    shares, curve = [], []
    dock.session.progressed.connect(lambda share, _: shares.append(share))
    dock.session.validated.connect(lambda event: curve.append((event.step, event.psnr)))
    viewer.add_image(photo, name="cells")

    outcome = train(dock)

    assert shares == pytest.approx([step / 6 for step in range(1, 7)])
    assert dock.panel.curve.psnr_points == [(0, outcome.result.before), *curve]
    assert len(dock.panel.curve.loss_points) == 6
    assert dock.panel.curve.lines == {
        "bicubic": outcome.result.bicubic,
        "before": outcome.result.before,
    }


def test_iter_train_says_where_each_measured_image_lies(tiny_model, tmp_path, photo):
    from napari_edsr import save_model
    from napari_edsr.events import ImageMeasured
    from napari_edsr.files import ImageFile
    from napari_edsr.train_config import TrainConfig
    from napari_edsr.training_data import Source

    start = save_model(tiny_model(), tmp_path / "start.safetensors")
    config = TrainConfig(start=str(start), steps=1, patch=8, batch=1, device="cpu")
    stack = np.stack([photo, photo[::-1]])
    source = Source("a", lambda: ImageFile(stack, "ZYX"), held_out=(11, 31, 0, 40))

    events = list(iter_train(config, [source]))

    measured = [event for event in events if isinstance(event, ImageMeasured)]
    assert [event.place for event in measured] == [(0,), (1,)] * 2
    for event in measured:
        assert event.corner == (12, 0)
        np.testing.assert_array_equal(event.truth[0], stack[event.place[0], 12:30, :40])
        assert event.upscaled.shape[1:] == (18, 40)


def test_identical_or_empty_parts_are_no_gain(dock, viewer, train, photo):
    half = photo.copy()
    half[:, 60:] = 30  # what is kept aside is empty: any network is perfect there
    viewer.add_image(half, name="cells")

    outcome = train(dock)

    assert outcome.result.kept == []
    assert np.isnan(outcome.result.psnr)
    assert "not known whether it is better" in dock.panel.outcome.text()


def test_file_of_a_layers_name(dock, viewer, train, photo, tmp_path):
    from PIL import Image

    Image.fromarray(photo[:40, :60]).save(tmp_path / "cells.png")
    viewer.add_image(photo, name="cells.png")
    dock.controls.teach.list.item(0).setCheckState(_checked())
    dock.controls.teach.add_folder(str(tmp_path))

    outcome = train(dock)

    names = [pair.name for pair in outcome.result.kept]
    assert names == ["cells.png", "cells.png (file)"]
    assert viewer.layers[-1].data.shape == (64, 10)


def test_rectangle_in_another_unit_of_length(dock, viewer, photo):
    viewer.add_image(photo, name="a", scale=(0.1, 0.1), units="um")
    viewer.add_image(photo, name="b", scale=(100, 100), units="nm")
    viewer.add_shapes(
        [np.array([[1.0, 2.0], [1.0, 4.95], [3.05, 4.95], [3.05, 2.0]])], units="um"
    )
    for row in range(2):
        dock.controls.teach.list.item(row).setCheckState(_checked())
    dock.controls.kept.part.button("rectangle").click()

    held_out = [lesson.held_out for lesson in dock.request().lessons]

    assert held_out == [(10, 31, 20, 50)] * 2


def test_network_of_several_scales(dock, viewer, train, photo, tiny_model, tmp_path):
    from napari_edsr import EDSRConfig, save_model
    from napari_edsr._qt.models import ModelChoice
    from napari_edsr.model import build_model

    config = EDSRConfig((2, 3, 4), n_resblocks=1, n_feats=4, multi_scale=True)
    path = save_model(build_model(config), tmp_path / "mdsr.safetensors")
    dock.controls.models.add_file(ModelChoice.of_file(path, config))
    dock.controls.scale.button(4).click()
    dock.controls.models.set_value(str(path))
    viewer.add_image(photo, name="cells")
    dock.controls.kept.share.setValue(30)

    assert dock.request().scale == 4
    outcome = train(dock)

    assert outcome.result.model.config.scales == (2, 3, 4)
    assert {next(iter(pair.lr)) for pair in outcome.result.kept} == {2, 3, 4}
    dock.controls.side.kind.button("real").click()
    assert "several scales" in dock.panel.reason.text()


def test_wide_numbers_keep_their_digits(dock, viewer, train, photo):
    low = photo.astype(np.float64) / 255
    viewer.add_image(low, name="near")
    near = train(dock)
    viewer.layers.clear()
    viewer.add_image(low + 1e8, name="far")
    far = train(dock)

    assert far.result.psnr == pytest.approx(near.result.psnr, abs=0.01)


def test_nothing_to_see_of_a_constant_image_is_said(dock, viewer, qtbot):
    viewer.add_image(np.full((32, 48), 7, np.uint16), name="flat")
    dock.controls.see.click()
    qtbot.waitUntil(lambda: not dock.side_jobs.is_running, timeout=WAIT)
    assert "add one with some contrast" in dock.errors_shown[-1]
    assert len(viewer.layers) == 1
