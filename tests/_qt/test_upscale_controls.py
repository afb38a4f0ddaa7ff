"""What the dock says before a run, what it remembers, and how it can be operated."""

from __future__ import annotations

import re

import numpy as np
import pytest
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_edsr import zoo
from napari_edsr._qt import model_source, settings
from napari_edsr._qt.background import DevicesFound, SpeedFound
from napari_edsr._qt.layer_chooser import SELECTED
from napari_edsr._qt.upscale_widget import UpscaleWidget
from napari_edsr.errors import DownloadError
from napari_edsr.events import BytesDone

WAIT = 30_000


@pytest.fixture
def fresh(qtbot, viewer, errors_shown):
    """The dock as a new user finds it."""
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    return widget


def names(widget):
    layer_list = widget.controls.layer.list
    return [layer_list.itemText(i) for i in range(layer_list.count())]


# the layer


def test_without_an_image_it_says_what_to_do(fresh, viewer):
    viewer.add_labels(np.zeros((4, 4), int))
    viewer.add_points(np.zeros((1, 2)))

    assert names(fresh) == []
    assert not fresh.panel.upscale.isEnabled()
    assert not fresh.panel.preview.isEnabled()
    assert fresh.panel.reason.text() == (
        "Labels cannot be upscaled; open an image to begin."
    )


@pytest.mark.promise(
    "Choose a layer, press one button",
    "Open an image, or one of *File ▸ Open Sample ▸ napari-edsr*, and press "
    "**Upscale**.",
)
def test_one_press_is_enough_once_there_is_an_image(fresh, viewer, image):
    viewer.add_image(image)
    assert fresh.panel.upscale.isEnabled()
    assert fresh.panel.preview.isEnabled()
    assert fresh.panel.reason.isHidden()


def test_layer_list_follows_the_viewer(fresh, viewer, image):
    first = viewer.add_image(image, name="a")
    second = viewer.add_image(image, name="b")
    assert names(fresh) == ["a", "b"]
    assert fresh.layers() == [second]

    viewer.layers.selection = {first}
    assert fresh.layers() == [first]
    first.name = "renamed"
    assert names(fresh) == ["renamed", "b"]
    viewer.layers.move(0, 2)
    assert names(fresh) == ["b", "renamed"]
    viewer.layers.remove(first)
    assert names(fresh) == ["b"]
    assert fresh.layers() == [second]
    viewer.layers.clear()
    assert names(fresh) == []


def test_choice_stays_when_something_else_is_selected(fresh, viewer, image):
    first = viewer.add_image(image)
    viewer.add_image(image)
    viewer.layers.selection = {first}
    viewer.add_shapes()
    assert fresh.layers() == [first]


def test_a_layer_gets_data_with_other_axes(fresh, viewer, image):
    layer = viewer.add_image(image)
    for data, words in (
        (np.stack([image] * 3), "3 planes"),
        (image, "24 × 20, uint16"),
    ):
        layer.data = data
        assert words in fresh.controls.layer.caption.text()


def test_one_of_several_layers_stays_chosen_for_a_rectangle(fresh, viewer, image):
    chosen = [viewer.add_image(image) for _ in range(3)][:2]
    viewer.layers.selection = set(chosen)
    viewer.layers.selection = {viewer.add_shapes()}
    assert fresh.layers() == [chosen[1]]


def test_several_selected_layers_are_one_entry(fresh, viewer, image):
    layers = [viewer.add_image(image) for _ in range(3)]
    viewer.layers.selection = {layers[0], layers[1]}

    assert fresh.controls.layer.value() == SELECTED
    assert names(fresh)[0] == "2 selected layers"
    assert fresh.layers() == layers[:2]
    assert fresh.panel.estimate.text().startswith("2 layers, ")


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "words"),
    [
        ((20, 24), np.uint16, {}, "24 × 20, uint16"),
        ((20, 24, 3), np.uint8, {"rgb": True}, "24 × 20, RGB, uint8"),
        (
            (10, 20, 24),
            np.float32,
            {"scale": (1, 0.108, 0.108), "units": ("um",) * 3},
            "24 × 20, 10 planes, float32, 0.108 µm/px",
        ),
        (
            (2, 20, 24),
            np.uint16,
            {"axis_labels": ("c", "y", "x")},
            "24 × 20, 2 channels, uint16",
        ),
    ],
)
def test_it_shows_what_was_understood(fresh, viewer, shape, dtype, options, words):
    viewer.add_image(np.zeros(shape, dtype), **options)
    assert fresh.controls.layer.caption.text() == words


def test_description_follows_the_data(fresh, viewer):
    layer = viewer.add_image(np.zeros((20, 24), np.uint8))
    layer.data = np.zeros((8, 9), np.uint16)
    assert fresh.controls.layer.caption.text() == "9 × 8, uint16"
    layer.scale = (2, 2)
    assert fresh.controls.layer.caption.text() == "9 × 8, uint16, pixel size 2"


# the estimate, and reasons why not


def test_estimate_follows_the_controls(fresh, viewer):
    viewer.add_image(np.zeros((10, 2048, 2048), np.uint16))
    fresh._on_speed(SpeedFound("cpu", 1e11))
    text = fresh.panel.estimate.text()
    assert text.startswith("4096 × 4096 × 10, uint16, 336 MB – about ")
    assert text.endswith("of memory, on CPU")

    fresh.controls.region.all_planes.click()
    assert fresh.panel.estimate.text().startswith("4096 × 4096 × 1, uint16, 34 MB")
    fresh.controls.scale.button(4).click()
    assert fresh.panel.estimate.text().startswith("8192 × 8192 × 1, uint16, 134 MB")


def test_no_time_is_given_while_the_speed_is_unknown(fresh, viewer, image):
    viewer.add_image(image)
    assert "about" not in fresh.panel.estimate.text()


@pytest.mark.promise("averages eight flips and turns: eight times the work")
def test_self_ensemble_takes_eight_times_as_long(fresh, viewer):
    viewer.add_image(np.zeros((512, 512), np.uint8))
    fresh._on_speed(SpeedFound("cpu", 1e9))
    times = []
    for _ in range(2):
        times.append(
            float(re.search(r"about ([\d.]+) min", fresh.panel.estimate.text())[1])
        )
        fresh.controls.quality.ensemble.click()
    assert times[1] == pytest.approx(8 * times[0], rel=0.2)


def test_speed_is_learned_from_a_run_and_kept(widget, viewer, image):
    from napari_edsr._qt import planning

    viewer.add_image(image)
    (request,) = planning.plan(viewer, widget.layers(), widget.controls.choices())
    model = widget.controls.models.value()
    flop = planning.foresee(request, model, "cpu", {}).flop

    about = {"config": model.config.to_dict()}
    done = {"device": "cpu", "seconds": 2.0, "flop": flop, "model": about}
    widget._on_measured(request, done)

    assert UpscaleWidget(viewer)._speeds == {"cpu, 4 features": pytest.approx(flop / 2)}
    assert "about 2.0 s" in widget.panel.estimate.text()


@pytest.mark.parametrize(
    ("part", "prepare", "reason"),
    [
        ("rectangle", None, "Draw a rectangle in a Shapes layer first."),
        (
            "view",
            "3d",
            "The view shows no plane of the image; switch the viewer to 2D.",
        ),
        ("view", "beside", "The view shows nothing of cells; move it there."),
        (
            "rectangle",
            "far",
            "The rectangle holds no pixel of cells; move it there or enlarge it.",
        ),
    ],
)
def test_reasons_about_the_region(fresh, viewer, part, prepare, reason):
    layer = viewer.add_image(np.zeros((3, 40, 50), np.uint8), name="cells")
    if prepare == "3d":
        viewer.dims.ndisplay = 3
    if prepare == "beside":
        layer.corner_pixels = np.array([[0, 39, 0], [0, 39, 49]])
    if prepare == "far":
        viewer.add_shapes(np.array([[70, 70], [70, 90], [90, 90], [90, 70]]))

    fresh.controls.region.part.button(part).click()

    assert fresh.panel.reason.text() == reason
    assert not fresh.panel.upscale.isEnabled()


def test_rectangle_drawn_later_frees_the_button(fresh, viewer, image, qtbot):
    viewer.add_image(image)
    fresh.controls.region.part.button("rectangle").click()
    shapes = viewer.add_shapes()
    shapes.add_rectangles(np.array([[2, 2], [2, 9], [7, 9], [7, 2]]))
    qtbot.waitUntil(fresh.panel.upscale.isEnabled, timeout=WAIT)
    assert fresh.panel.estimate.text().startswith("16 × 12")
    shapes.data = [np.array([[2, 2], [2, 5], [4, 5], [4, 2]])]
    qtbot.waitUntil(lambda: fresh.panel.estimate.text().startswith("8 × 6"))
    shapes.data = []
    qtbot.waitUntil(lambda: not fresh.panel.upscale.isEnabled(), timeout=WAIT)
    assert fresh.panel.reason.text() == "Draw a rectangle in a Shapes layer first."


def test_preview_alone_may_be_impossible(fresh, viewer):
    viewer.add_image(np.zeros((3, 40, 50), np.uint8))
    viewer.dims.ndisplay = 3
    fresh._update()
    assert fresh.panel.upscale.isEnabled()
    assert not fresh.panel.preview.isEnabled()
    assert fresh.panel.reason.text().startswith("No preview: The view shows no plane")


def test_range_must_rise(fresh, viewer, image):
    viewer.add_image(image)
    fresh.controls.intensities.set_value("range", 10, 10)
    assert "must be above" in fresh.panel.reason.text()


def test_range_may_be_tiny(fresh, viewer, image):
    viewer.add_image(image.astype(np.float32) * 1e-10)
    fresh.controls.intensities.set_value("range", 0, 1e-6)
    assert fresh.controls.intensities.value() == (0, 1e-6)
    assert fresh.controls.intensities.high.text() == "0.000001"
    assert fresh.panel.upscale.isEnabled()


def test_numbers_have_the_digits_they_need(fresh):
    box = fresh.controls.intensities.high
    for value, text in ((65535.3, "65535.3"), (255, "255"), (1e-12, "0.000000000001")):
        box.setValue(value)
        assert (box.text(), box.value()) == (text, value)
    for value, stepped in ((0, "1"), (250, "260"), (0.02, "0.021")):
        box.setValue(value)
        box.stepUp()
        assert box.text() == stepped


def test_choice_of_planes_only_for_stacks(fresh, viewer):
    viewer.add_image(np.zeros((20, 24)))
    assert fresh.controls.region.all_planes.isHidden()
    viewer.add_image(np.zeros((3, 20, 24)))
    assert not fresh.controls.region.all_planes.isHidden()


def test_view_is_followed_once_it_rests(fresh, viewer, qtbot):
    layer = viewer.add_image(np.zeros((40, 50), np.uint8))
    fresh.controls.region.part.button("view").click()
    layer.corner_pixels = np.array([[0, 0], [9, 19]])

    viewer.scene.camera.zoom = 3

    qtbot.waitUntil(lambda: fresh.panel.estimate.text().startswith("40 × 20"))


# models


def model_titles(widget):
    models = widget.controls.models.list
    return [models.itemText(i) for i in range(models.count())]


def test_models_are_those_of_the_scale(fresh):
    for scale in (3, 4, 2):
        fresh.controls.scale.button(scale).click()
        choice = fresh.controls.models.value()
        assert choice.key == zoo.default_model(scale)
        assert scale in choice.config.scales
        assert model_titles(fresh)[0] == f"EDSR light ×{scale} – built in"
        assert model_titles(fresh)[-1] == "Choose file…"


def test_quality_of_the_model_is_shown(fresh):
    assert fresh.controls.models.caption.text() == "Set5, Y: 37.6 dB, bicubic 33.7 dB"


def test_model_of_the_same_kind_is_kept_over_scales(fresh):
    fresh.controls.models.set_value("snu/edsr_baseline_x2")
    fresh.controls.scale.button(4).click()
    assert fresh.controls.models.value().key == "snu/edsr_baseline_x4"


def test_model_must_be_downloaded_first(fresh, viewer, image):
    viewer.add_image(image)
    fresh.controls.models.set_value("snu/edsr_baseline_x2")

    assert (
        fresh.panel.reason.text()
        == "Download the model first, or choose a built-in one."
    )
    assert not fresh.controls.models.download.isHidden()
    assert "download 5.5 MB" in fresh.controls.models.list.currentText()


class Transfer:
    def __init__(self, monkeypatch, error=None):
        import threading

        self.gate, self.error, self.closed = threading.Semaphore(0), error, False
        monkeypatch.setattr(model_source.zoo, "iter_download", self.run)

    def run(self, card):
        try:
            for done in range(0, 1001, 100):
                yield BytesDone(done * 1000, 1_000_000)
                assert self.gate.acquire(timeout=20)
            if self.error:
                raise self.error
            card.path.parent.mkdir(parents=True, exist_ok=True)
            card.path.write_bytes(b"weights")
            return card.path
        finally:
            self.closed = True

    def let_on(self, steps=1):
        for _ in range(steps):
            self.gate.release()


def test_download_shows_progress_and_frees_the_button(
    fresh, viewer, image, qtbot, monkeypatch
):
    viewer.add_image(image)
    transfer = Transfer(monkeypatch)
    models = fresh.controls.models
    models.set_value("snu/edsr_baseline_x2")

    models.download.click()
    transfer.let_on(5)
    qtbot.waitUntil(lambda: models.bar.value() == 500)
    assert models.download.text() == "Stop"
    transfer.let_on(6)
    qtbot.waitUntil(lambda: models.bar.isHidden(), timeout=WAIT)

    assert models.value().key == "snu/edsr_baseline_x2"
    assert models.download.isHidden()
    assert fresh.panel.upscale.isEnabled()


@pytest.mark.fault(
    "Stopping: a download stopped in the dock",
    "It stops within a piece and can be started again.",
)
def test_download_can_be_stopped(fresh, qtbot, monkeypatch):
    transfer = Transfer(monkeypatch)
    models = fresh.controls.models
    models.set_value("snu/edsr_baseline_x2")
    models.download.click()
    transfer.let_on(2)
    qtbot.waitUntil(lambda: models.bar.value() == 200)

    models.download.click()
    transfer.let_on()
    qtbot.waitUntil(lambda: models.bar.isHidden(), timeout=WAIT)

    assert transfer.closed
    assert models.download.text() == "Download 5.5 MB"


@pytest.mark.fault(
    "Network: a download that fails in the dock",
    "The dock says why until something else works.",
)
def test_failed_download_says_so(fresh, qtbot, monkeypatch, errors_shown):
    transfer = Transfer(monkeypatch, DownloadError("The server is silent; try again."))
    models = fresh.controls.models
    models.set_value("snu/edsr_baseline_x2")
    models.download.click()
    transfer.let_on(99)
    qtbot.waitUntil(
        lambda: errors_shown == ["The server is silent; try again."], timeout=WAIT
    )
    qtbot.waitUntil(lambda: models.bar.isHidden(), timeout=WAIT)


def choose_file(widget, monkeypatch, path):
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_args, **_options: (str(path), "")
    )
    models = widget.controls.models.list
    models.setCurrentIndex(models.count() - 1)


def test_weights_file_is_recognised_and_chosen(
    fresh, viewer, image, qtbot, monkeypatch, model_file, run
):
    viewer.add_image(image, name="a")
    path = model_file(2).key
    with qtbot.waitSignal(fresh.model_source.recognised, timeout=WAIT):
        choose_file(fresh, monkeypatch, path)

    assert fresh.controls.models.value().key == path
    assert fresh.controls.models.caption.text() == "1 block of 4 features"
    run(fresh)
    assert viewer.layers[-1].name == "a ×2 (tiny_x2)"


def test_weights_file_of_another_scale_brings_its_scale(
    fresh, qtbot, monkeypatch, model_file
):
    with qtbot.waitSignal(fresh.model_source.recognised, timeout=WAIT):
        choose_file(fresh, monkeypatch, model_file(3).key)
    assert fresh.controls.choices().scale == 3
    assert fresh.controls.choices().model.key == model_file(3).key


@pytest.mark.fault(
    "Weights files: a file without weights chosen in the dock",
    "The dock says so and keeps the model it had.",
)
def test_no_weights_in_the_file(fresh, qtbot, monkeypatch, tmp_path, errors_shown):
    path = tmp_path / "note.pth"
    path.write_text("not weights")
    choose_file(fresh, monkeypatch, path)
    qtbot.waitUntil(lambda: len(errors_shown) == 1, timeout=WAIT)
    assert fresh.controls.models.value().key == "edsr-light-x2"


def test_thinking_better_of_a_file_changes_nothing(fresh, monkeypatch):
    choose_file(fresh, monkeypatch, "")
    assert fresh.controls.models.value().key == "edsr-light-x2"


# devices


def test_devices_start_with_auto_and_cpu_and_are_completed(fresh):
    devices = fresh.controls.speed.device
    assert [devices.itemData(i) for i in range(devices.count())] == ["auto", "cpu"]

    fresh._on_devices(DevicesFound(("cpu", "cuda:0"), "cuda:0"))

    entries = [
        (devices.itemText(i), devices.itemData(i)) for i in range(devices.count())
    ]
    assert entries == [
        ("auto: GPU (cuda:0)", "auto"),
        ("CPU", "cpu"),
        ("GPU (cuda:0)", "cuda:0"),
    ]
    assert fresh.controls.speed.actual_device == "cuda:0"


def test_scout_tells_devices_and_speed(fresh, qtbot, viewer, image):
    from napari_edsr.device import list_devices

    viewer.add_image(image)
    with qtbot.waitSignal(fresh.scout.speed_found, timeout=WAIT):
        fresh.scout.start()
    devices = fresh.controls.speed.device
    found = [devices.itemData(i) for i in range(devices.count())]
    assert found == ["auto", *list_devices(), "mnn"]
    assert "under a second" in fresh.panel.estimate.text()
    assert fresh._speeds["cpu"] > 1e6


# memory


def test_choices_are_remembered(fresh, viewer, qtbot):
    controls = fresh.controls
    controls.scale.button(4).click()
    controls.models.set_value("snu/edsr_baseline_x4")
    controls.speed.tile.setValue(96)
    controls.speed.device.set_value("cpu")
    controls.speed.precision.set_value("bf16")
    controls.intensities.set_value("range", 5.5, 900)
    controls.quality.uncertainty.click()
    controls.region.part.button("view").click()
    controls.region.all_planes.click()
    controls.sections["quality"].toggleButton().click()
    expected = controls.settings()

    from napari.settings import get_plugin_settings

    saved = get_plugin_settings("napari-edsr").config_path.read_text()
    other = UpscaleWidget(viewer)
    qtbot.addWidget(other)

    assert other.controls.settings() == expected
    assert other.controls.open_sections() == "quality"
    for text in ("scale: 4", "tile: 96", "precision: bf16", "range_high: 900.0"):
        assert text in saved


def test_remembered_device_is_chosen_once_it_is_known(fresh, viewer, qtbot):
    settings.save(device="cuda:1")
    other = UpscaleWidget(viewer)
    qtbot.addWidget(other)
    assert other.controls.speed.value()["device"] == "auto"
    other._on_devices(DevicesFound(("cpu", "cuda:0", "cuda:1"), "cuda:0"))
    assert other.controls.speed.value()["device"] == "cuda:1"


def test_remembered_weights_file_comes_back(viewer, qtbot, model_file):
    settings.save(model=model_file(2).key)
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    with qtbot.waitSignal(widget.model_source.recognised, timeout=WAIT):
        widget._on_devices(DevicesFound(("cpu",), "cpu"))
    assert widget.controls.models.value().key == model_file(2).key


@pytest.mark.fault(
    "Settings: what is remembered of speeds is damaged",
    "The dock opens and measures anew.",
)
@pytest.mark.parametrize("text", ["", "{", "[1]", '{"cpu": "fast"}', '{"cpu": null}'])
def test_broken_memory_of_speeds_is_forgotten(viewer, qtbot, text):
    settings.save("remembered", speeds=text)
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    assert widget._speeds == {}


@pytest.mark.fault(
    "Settings: napari does not know the plugin", "The docks open with the defaults."
)
def test_defaults_without_the_plugin_being_known(monkeypatch):
    expected = settings.load()
    monkeypatch.setattr(settings, "_PLUGIN", "not-installed")
    assert settings.load() == expected
    settings.save(scale=4)
    assert settings.load()["scale"] == 2


def test_nothing_is_pickled():
    from pathlib import Path

    import napari_edsr._qt as package

    for path in Path(package.__file__).parent.glob("*.py"):
        assert not re.search(r"\bpersist\b|pickle|magicgui", path.read_text())


# operation


def test_mnemonics_are_unique_and_leave_the_menus_theirs(fresh):
    texts = [
        w.text() for kind in (QPushButton, QCheckBox) for w in fresh.findChildren(kind)
    ]
    texts += [
        label.text()
        for label in fresh.findChildren(QLabel)
        if label.buddy() is not None
    ]
    letters = [m.lower() for text in texts for m in re.findall(r"&(\w)", text)]
    assert len(letters) == len(set(letters)) == 18
    menus, screenshots = set("fvlpwh"), set("sc")
    assert set(letters) & (menus | screenshots) == set()


def test_folded_sections_keep_tab_out_and_say_what_they_hold(fresh):
    section = fresh.controls.sections["speed"]
    fresh.controls.speed.tile.setValue(64)
    assert section.text() == "▸  Speed and memory:  auto, tile 64 px"
    assert section.content().isHidden()

    section.toggleButton().click()

    assert section.text() == "▾  Speed and memory"
    assert not section.content().isHidden()


def test_it_fits_a_narrow_dock_on_a_small_screen(fresh, viewer, image):
    viewer.add_image(image)
    fresh.resize(320, 600)
    assert fresh.minimumSizeHint().width() <= 320
    assert 320 <= fresh.sizeHint().width() <= 420
    assert fresh.sizeHint().height() <= 600
    assert isinstance(fresh.parent(), QWidget | None)


@pytest.mark.promise("The Upscale dock points to it when a layer is grey.")
def test_microscopy_model_is_suggested_for_grey_layers(make_widget, viewer, image, rng):
    widget = make_widget()
    models = widget.controls.models
    models.set_value("edsr-light-x2")
    viewer.add_image(image, name="cells")
    assert "trained on such images" in models.hint.text()

    models.take_hint.click()
    assert models.value().key == "edsr-light-x2-microscopy"
    assert models.hint.isHidden() and models.take_hint.isHidden()

    models.set_value("edsr-light-x2")
    viewer.add_image(rng.integers(0, 255, (20, 24, 3), np.uint8), rgb=True)
    assert models.hint.isHidden()
    viewer.layers.selection = {viewer.layers[0]}
    assert not models.hint.isHidden()
    widget.controls.scale.button(3).click()
    assert models.hint.isHidden()


@pytest.mark.promise("the Upscale dock lists it among the devices")
def test_mnn_is_offered_with_its_error_and_asked_for_by_its_name(fresh):
    fresh._on_devices(DevicesFound(("cpu",), "cpu", 0.0216))
    devices = fresh.controls.speed.device
    assert devices.itemText(devices.count() - 1) == "CPU with MNN, error 0.022"
    devices.set_value("mnn")
    assert fresh.controls.speed.value()["device"] == "mnn"
    assert fresh.controls.speed.actual_device == "mnn"
