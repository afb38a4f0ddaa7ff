"""Equal tiles in batches, as accelerators run them; here the CPU stands for one."""

from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
import torch

from napari_edsr import (
    accelerator,
    batches,
    drain,
    engines,
    iter_upscale,
    pipeline,
    plan,
    upscale,
)
from napari_edsr.accelerator import Lane, Recorded
from napari_edsr.canvas import Plane
from napari_edsr.device import resolve_devices
from napari_edsr.errors import DeviceError, EDSRWarning, ModelError
from napari_edsr.events import TileDone, UpscalePlanned
from napari_edsr.pipeline import Pipeline
from napari_edsr.tiling import plan_tiles

CPU = torch.device("cpu")
OPTIONS = {"normalize": (0, 200), "tile": 16, "precision": "fp32"}


@pytest.fixture
def accelerated(monkeypatch):
    """Let runs be cut for an accelerator, in batches of at most four tiles."""
    tiling = plan.plan_tiling

    def plan_for_cuda(*args, device, **options):
        return tiling(*args, device="cuda", **options)

    monkeypatch.setattr(engines, "plan_tiling", plan_for_cuda)
    monkeypatch.setattr(plan, "_LARGEST_BATCH", 4)


@pytest.fixture
def begun(accelerated, monkeypatch):
    """The batches that were begun, and `None` for each that landed."""
    seen = []
    begin, land = Pipeline.begin, pipeline.Flight.land

    def noted_begin(self, batch):
        seen.append(batch)
        return begin(self, batch)

    def noted_land(self):
        seen.append(None)
        return land(self)

    monkeypatch.setattr(Pipeline, "begin", noted_begin)
    monkeypatch.setattr(pipeline.Flight, "land", noted_land)
    return seen


def picture(rng, shape=(50, 70), dtype="u1"):
    return (rng.random(shape) * 200).astype(dtype)


def whole(image, model, **options):
    """By rows, which is exact."""
    return upscale(image, model, **{**OPTIONS, "tile": "rows", **options})


def assert_close(found, expected):
    """To within the rounding of one type."""
    assert found.dtype == expected.dtype
    difference = np.abs(found.astype("f8") - expected.astype("f8")).max()
    assert difference <= (1 if found.dtype.kind in "iu" else 200 * 1e-5)
    assert np.mean(found != expected) < 0.01 or found.dtype.kind == "f"


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "f2", "f4"])
def test_the_pixels_are_those_of_the_exact_run(dtype, accelerated, tiny_model, rng):
    image = (rng.random((50, 70)) * 120).astype(dtype)
    found = upscale(image, tiny_model(), **OPTIONS)
    exact = upscale(image, tiny_model(), **{**OPTIONS, "tile": "rows"})
    assert_close(found, exact)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 50, 3), "YXS"),
        ((40, 50, 4), "YXS"),
        ((3, 40, 30), "TYX"),
        ((2, 3, 20, 30), "CZYX"),
        ((2, 20, 30, 3), "ZYXS"),
        ((1, 1), "YX"),
        ((3, 90), "YX"),
    ],
)
@pytest.mark.parametrize("colors", [1, 3])
def test_every_kind_of_image(shape, axes, colors, accelerated, tiny_model, rng):
    image, model = picture(rng, shape), tiny_model(n_colors=colors)
    assert_close(
        upscale(image, model, axes=axes, **OPTIONS), whole(image, model, axes=axes)
    )


@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_preview_has_the_bits_of_the_run(dtype, scale, accelerated, tiny_model, rng):
    image, model = picture(rng, (4, 50, 70), dtype), tiny_model(scale)
    run = partial(upscale, image, model, axes="TYX", **OPTIONS)
    part = run(region={"T": (1, 2), "Y": (11, 31), "X": (60, 70)})
    y, x = slice(11 * scale, 31 * scale), slice(60 * scale, 70 * scale)
    np.testing.assert_array_equal(part, run()[1:2, y, x])


def test_batches_are_equal_and_overlap(begun, tiny_model, rng):
    upscale(picture(rng, (3, 50, 70)), tiny_model(), axes="TYX", **OPTIONS)
    given = [batch for batch in begun if batch is not None]
    assert {batch.values.shape for batch in given} == {(4, 29, 30, 1)}
    assert [len(batch.crops) for batch in given] == [4] * (3 * 20 // 4)
    assert [batch is None for batch in begun[:5]] == [False, False, True, False, True]
    assert begun.count(None) == len(given)


def test_integers_travel_in_their_own_type(accelerated, tiny_model, rng, monkeypatch):
    sent, fetched = set(), set()
    send, fetch = Lane.send, Lane.fetch

    def noted_send(self, array):
        sent.add(array.dtype.str)
        return send(self, array)

    def noted_fetch(self, values):
        fetched.update(each.dtype for each in values)
        return fetch(self, values)

    monkeypatch.setattr(Lane, "send", noted_send)
    monkeypatch.setattr(Lane, "fetch", noted_fetch)
    upscale(picture(rng, dtype=">u2"), tiny_model(), **OPTIONS)
    assert sent == {"<u2", "<f4"}  # the limits are floats
    assert fetched == {torch.uint16, torch.bool}


def test_metal_is_not_sent_unsigned_words():
    sent = {
        (device, code): accelerator.takes(torch.device(device), np.dtype(code))
        for device in ("cuda", "mps")
        for code in ("u1", ">i2", ">u2", "u4", "f2", "f4")
    }
    assert [key for key, takes in sent.items() if takes] == [
        ("cuda", "u1"),
        ("cuda", ">i2"),
        ("cuda", ">u2"),
        ("mps", "u1"),
        ("mps", ">i2"),
    ]


def test_an_image_smaller_than_a_batch_is_not_filled_up(begun, tiny_model, rng):
    upscale(picture(rng, (16, 16)), tiny_model(), **OPTIONS)
    assert begun[0].values.shape == (1, 16, 16, 1)


@pytest.mark.promise(
    "With several GPUs `--device cuda:0,cuda:1` shares the work between them."
)
def test_several_devices_take_turns(begun, tiny_model, rng, monkeypatch):
    image = picture(rng)
    expected = upscale(image, tiny_model(), **OPTIONS)
    begun.clear()
    turns = []
    begin = Pipeline.begin

    def noted(self, batch):
        turns.append(self)
        return begin(self, batch)

    monkeypatch.setattr(Pipeline, "begin", noted)
    monkeypatch.setattr(engines, "resolve_devices", lambda name: [CPU, CPU])
    result = drain(iter_upscale(image, tiny_model(), **OPTIONS))
    np.testing.assert_array_equal(result.image, expected)
    assert result.metadata["device"] == "cpu,cpu"
    first, second = turns[:2]
    assert first is not second
    assert turns[2:4] == [first, second]
    landed = [batch is None for batch in begun[:6]]
    assert landed == [False, False, False, False, True, False]


def test_an_ensemble_runs_on_one_device(tiny_model, rng, monkeypatch):
    monkeypatch.setattr(engines, "resolve_devices", lambda name: [CPU, CPU])
    with pytest.warns(EDSRWarning, match="Only cpu is used for rows and for an"):
        upscale(picture(rng, (9, 9)), tiny_model(), self_ensemble=True)


def test_what_overflows_in_half_is_redone(accelerated, tiny_model, rng):
    model = tiny_model(n_colors=1)
    model.conv_first.weight.mul_(1e6)
    model.conv_last.weight.mul_(1e-6)
    image = picture(rng)
    image[:, :30] = 0  # where nothing overflows
    fp16 = {**OPTIONS, "precision": "fp16"}
    result = drain(iter_upscale(image, model, **fp16))
    assert 0 < result.metadata["tiles_redone_in_fp32"] < result.metadata["tiles"]
    assert_close(result.image, whole(image, model))


@pytest.mark.fault(
    "Weights files: a network that gives no numbers",
    "An error says to check range and weights.",
)
def test_a_network_that_gives_no_numbers_is_an_error(accelerated, tiny_model, rng):
    model = tiny_model()
    model.conv_last.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        upscale(picture(rng), model, **OPTIONS)


def test_nan_in_the_image_comes_back(accelerated, tiny_model, rng):
    image = picture(rng, dtype="f4")
    image[20:22, 33] = np.nan
    with pytest.warns(EDSRWarning, match="NaN"):
        found = upscale(image, tiny_model(), **OPTIONS)
    assert np.argwhere(np.isnan(found)).min(0).tolist() == [40, 66]
    assert np.isnan(found).sum() == 2 * 4


@pytest.mark.fault(
    "Devices: memory runs out",
    "Smaller tiles finish the run; the pixels are the same, and each is written once.",
)
@pytest.mark.filterwarnings("ignore:Memory ran out")
@pytest.mark.parametrize("failing", [{2}, {2, 3}, {2, 3, 4}])
def test_when_memory_runs_out(failing, accelerated, tiny_model, rng, monkeypatch):
    """First fewer tiles at a time, then smaller ones; each is written once."""
    monkeypatch.setattr(plan, "_SMALLEST_TILE", 16)
    monkeypatch.setattr(plan, "_LARGEST_TILE", {"accelerator": 32})
    image, begin, calls = picture(rng, (120, 90)), Pipeline.begin, []

    def fails(self, batch):
        calls.append(batch)
        if len(calls) in failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return begin(self, batch)

    monkeypatch.setattr(Pipeline, "begin", fails)
    events = iter_upscale(image, tiny_model(), **{**OPTIONS, "tile": "auto"})
    seen = []
    result = drain(events, seen.append)
    assert_close(result.image, whole(image, tiny_model()))
    planned = [event for event in seen if isinstance(event, UpscalePlanned)]
    assert len(planned) == 1 + len(failing)
    written = [event.region for event in seen if isinstance(event, TileDone)]
    pixels = sum((y.stop - y.start) * (x.stop - x.start) for y, x in written)
    assert pixels == result.image.size
    halved = any("halved" in note for note in result.metadata["notes"])
    assert halved == (len(failing) == 3)  # after batches of 4, 2 and 1


@pytest.mark.filterwarnings("ignore:Memory ran out")
@pytest.mark.parametrize("start", [21, 22, 23, 43, 44, 45])
def test_smaller_tiles_of_an_image_on_disk(
    start, accelerated, tiny_model, rng, monkeypatch
):
    """They lie in what is read of a plane for a preview, of later planes as well."""
    monkeypatch.setattr(plan, "_SMALLEST_TILE", 16)
    monkeypatch.setattr(plan, "_LARGEST_TILE", {"accelerator": 32})
    image, begin, calls = picture(rng, (3, 65, 40)), Pipeline.begin, []

    def fails(self, batch):
        calls.append(batch)
        if len(calls) < 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return begin(self, batch)

    options = {**OPTIONS, "axes": "ZYX", "region": {"Y": (start, 65)}}
    expected = whole(image, tiny_model(), **options)
    monkeypatch.setattr(Pipeline, "begin", fails)
    lazy = da.from_array(image, chunks=7)
    with dask.config.set(scheduler="synchronous"):
        found = upscale(lazy, tiny_model(), **{**options, "tile": "auto"})
    assert_close(found, expected)


@pytest.mark.fault(
    "Devices: memory runs out",
    "Smaller tiles finish the run; the pixels are the same, and each is written once.",
)
@pytest.mark.filterwarnings("ignore:Memory ran out")
def test_a_tile_that_could_not_be_written_is_not_lost(
    accelerated, tiny_model, rng, monkeypatch
):
    image, write, calls = picture(rng), Plane.write, []

    def fails(self, tile, outputs):
        calls.append(tile)
        if len(calls) == 3:
            raise MemoryError
        return write(self, tile, outputs)

    expected = whole(image, tiny_model())
    monkeypatch.setattr(Plane, "write", fails)
    assert_close(upscale(image, tiny_model(), **OPTIONS), expected)


@pytest.mark.parametrize("limits", [(0, 1e39), (7, 7 + 1e-9)])
def test_ranges_that_float32_cannot_hold(limits, accelerated, tiny_model, rng):
    options = {"normalize": limits}
    image = picture(rng)
    found = upscale(image, tiny_model(), **{**OPTIONS, **options})
    expected = whole(image, tiny_model(), **options)
    np.testing.assert_allclose(found, expected, atol=1)


def test_channels_of_which_one_is_flat(accelerated, tiny_model, rng):
    image = picture(rng, (4, 40, 30), "u2")
    image[2] = 7
    options = {"axes": "CYX", "normalize": "percentile"}
    found = upscale(image, tiny_model(), **{**OPTIONS, **options})
    assert_close(found, whole(image, tiny_model(), **options))
    assert (found[2] == 7).all()


@pytest.mark.fault(
    "Devices: memory never suffices",
    "An error says to take smaller tiles, to close programs or to take another device.",
)
@pytest.mark.filterwarnings("ignore:Memory ran out")
def test_a_tile_of_ones_own_that_does_not_fit(
    accelerated, tiny_model, rng, monkeypatch
):
    def fails(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Pipeline, "begin", fails)
    with pytest.raises(DeviceError, match="ran out with tiles of 16 px; choose a"):
        upscale(picture(rng), tiny_model(), **OPTIONS)


def test_closing_ends_the_run_and_lets_go(begun, tiny_model, rng, monkeypatch):
    closed = []
    close = batches.BatchedRun.close

    def noted(self):
        close(self)
        closed.append(self.engine._networks)

    monkeypatch.setattr(batches.BatchedRun, "close", noted)
    events = iter_upscale(picture(rng), tiny_model(), **OPTIONS)
    for event in events:
        if isinstance(event, TileDone):
            break
    count = len(begun)
    events.close()
    assert len(begun) == count
    assert closed == [{}]


@pytest.mark.parametrize(
    ("shape", "tile", "halo"),
    [((50, 70), 16, 10), ((9, 200), 64, 30), ((100, 3), 7, 9)],
)
def test_equal_tiles_cover_the_plane_with_their_halo(shape, tile, halo):
    tiles = plan_tiles(shape, tile=tile, halo=halo, equal=True)
    plain = plan_tiles(shape, tile=tile, halo=halo)
    assert [(t.y0, t.y1, t.x0, t.x1) for t in tiles] == [
        (t.y0, t.y1, t.x0, t.x1) for t in plain
    ]
    sizes = {tuple(part.stop - part.start for part in t.source) for t in tiles}
    assert len(sizes) == 1
    for equal, least in zip(tiles, plain, strict=True):
        for more, part, length in zip(equal.source, least.source, shape, strict=True):
            assert 0 <= more.start <= part.start
            assert part.stop <= more.stop <= length


def test_devices_that_share_the_work(monkeypatch):
    gpus = ["cpu", "cuda:0", "cuda:1"]
    monkeypatch.setattr("napari_edsr.device.list_devices", lambda: gpus)
    assert resolve_devices("cuda:0, cuda:1") == [
        torch.device(name) for name in gpus[1:]
    ]
    assert resolve_devices("auto") == [torch.device("cuda:0")]
    for names in ("cuda:0,cpu", "cuda:0,cuda", "cpu,cpu"):
        with pytest.raises(DeviceError, match="cannot share the work"):
            resolve_devices(names)


class _OnCuda:
    """As much of a tensor on a GPU as `Recorded` looks at."""

    device = torch.device("cuda")

    def __init__(self, side):
        self.shape = torch.Size((1, 1, side, side))


@pytest.mark.parametrize("works", [True, False])
def test_a_graph_is_recorded_for_many_calls_of_a_shape(works, monkeypatch):
    recorded = []

    def record(function, x):
        recorded.append(x.shape)
        return (lambda x: "replayed") if works else None

    monkeypatch.setattr(accelerator, "_record", record)
    run = Recorded(lambda x: "run")
    results = [run(_OnCuda(side)) for side in (8, 8, 4, 8, 8, 4, 8)]
    then = "replayed" if works else "run"
    assert results == ["run"] * 4 + [then, "run", then]
    assert recorded == [(1, 1, 8, 8)]


def test_on_a_cpu_there_are_no_graphs(monkeypatch):
    monkeypatch.setattr(accelerator, "_record", lambda *_: pytest.fail("recorded"))
    run = Recorded(torch.neg)
    assert [run(torch.ones(1)).item() for _ in range(9)] == [-1.0] * 9
