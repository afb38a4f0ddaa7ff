"""The parts of the benchmark that can be right or wrong without a clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from benchmarks.engines import problem, report, run, worker
from benchmarks.engines.catalogue import (
    CHOP,
    EAGER,
    ENGINES,
    IN_FP32,
    OPENVINO,
    OURS,
    OURS_FAST,
    PEAK,
)
from benchmarks.engines.engine import Job, NotMeasured
from benchmarks.engines.in_torch import ours
from benchmarks.engines.ncnn_files import ncnn_files
from benchmarks.engines.networks import (
    Broadcast,
    Original,
    chopped,
    copy_weights,
    weights_of,
)
from benchmarks.engines.results import Results, best
from napari_edsr import load_model

SIZE = (2, 32)
MACHINE = {
    "cpu": "Some CPU (cpu family 1)",
    "capability": "AVX2",
    "cores": 2,
    "memory": 8 * 2**30,
    "system": "Linux x86_64",
    "python": "3.11.0",
    "torch": "2.13.0",
    "device": "cpu",
    "threads": 2,
}


def measured(engine, seconds, **changes):
    row = {"engine": engine, "scale": 2, "side": 32, "version": "1", "first": 9.0}
    figures = {"seconds": seconds, "memory": 5e6, "error": 0.01, "differing": 0.001}
    return {**row, **figures, **changes}


def peak(flops=100e9):
    return {"engine": PEAK, "scale": 2, "side": 32, "version": "", "flops": flops}


@pytest.fixture(scope="module")
def truth():
    return problem.reference(2, 48)


@pytest.mark.parametrize(("kind", "white"), [(Original, 1), (Broadcast, 255)])
def test_rebuilt_networks_are_ours_with_the_same_weights(kind, white, truth):
    model = problem.trained(2)
    network = copy_weights(kind(model.config), weights_of(model)).double()
    x = problem.planes(problem.picture(48)).double()
    with torch.inference_mode():
        y = network(x / white) * white
    # What is left is the mean colour, which others round to float32.
    np.testing.assert_allclose(y[0].permute(1, 2, 0), truth, atol=2e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_widened_network_computes_what_the_light_one_does(scale):
    wide, light = problem.trained(scale), load_model(f"edsr-light-x{scale}")
    x = problem.planes(problem.picture(24)) / 255
    with torch.inference_mode():
        torch.testing.assert_close(wide(x), light.eval()(x), atol=1e-5, rtol=0)
    assert wide.config.n_feats == 64


def test_our_engine_gives_the_reference(truth):
    image = problem.picture(48)
    engine = ours(Job(OURS, 2, 48, "cpu", 2, Path()))
    found = problem.deviation(engine.levels(image), engine.run(image), truth)
    assert found["error"] < 2e-3
    assert found["differing"] < 1e-3


def test_quarters_are_the_whole_but_near_their_seams(rng):
    conv = torch.nn.Conv2d(3, 12, 5, padding=2)
    network = torch.nn.Sequential(conv, torch.nn.PixelShuffle(2))
    x = torch.from_numpy(rng.random((1, 3, 61, 74), np.float32))
    with torch.inference_mode():
        whole = network(x)
        # The convolution sees 2 pixels; of odd sides a quarter takes one less than said.
        for shave, smallest in ((3, 10**6), (4, 900)):
            y = chopped(network, 2, shave=shave, smallest=smallest)(x)
            torch.testing.assert_close(y, whole)
        seam = chopped(network, 2, shave=1, smallest=10**6)(x) - whole
    rows, columns = seam[0].abs().amax(0).gt(1e-5).nonzero(as_tuple=True)
    assert len(rows)
    assert (((rows - 60.5).abs() < 4) | ((columns - 73.5).abs() < 4)).all()


def test_quarters_are_cut_until_they_are_small():
    seen = []

    def network(x):
        seen.append(tuple(x.shape[2:]))
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = torch.rand(1, 3, 64, 80)
    y = chopped(network, 2, shave=4, smallest=600)(x)
    assert seen == [(22, 26)] * 16
    torch.testing.assert_close(y, x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_large_pictures_are_compared_in_the_middle():
    truth = np.full((4, 6, 3), 100.0)
    values = np.full((10, 6, 3), 255, np.float32)
    values[3:7] = 100.25
    result = np.full((10, 6, 3), 100, np.uint8)
    result[3, 0, 0] = 101
    found = problem.deviation(values, result, truth)
    assert found == {"error": 0.25, "differing": 1 / 72}


def test_ncnn_gets_a_layer_for_each_line_and_all_the_weights():
    model = problem.trained(4)
    text, weights = ncnn_files(model)
    magic, counts, *layers = text.strip().split("\n")
    assert magic == "7767517"
    assert int(counts.split()[0]) == len(layers)
    outputs = [w for line in layers for w in _outputs(line.split())]
    assert len(outputs) == int(counts.split()[1]) == len(set(outputs))
    assert (outputs[0], outputs[-1]) == ("x", "y")
    convs = sum(line.startswith("Convolution") for line in layers)
    shifts = 2 * (9 + 3)
    parameters = sum(p.numel() for p in model.parameters()) + shifts
    assert len(weights) == 4 * (parameters + convs)


def _outputs(words):
    inputs, outputs = int(words[2]), int(words[3])
    return words[4 + inputs : 4 + inputs + outputs]


def test_the_table_has_ratios_shares_and_reasons(tmp_path):
    rows = [
        peak(),
        measured(EAGER, [4.0, 2.0, 2.0]),
        measured(OURS, [1.0, 0.5, 2.0]),
        measured("MNN", [0.0314159], error=30.0),
        {"engine": "ncnn", "scale": 2, "side": 32, "version": "", "failed": "Gone."},
    ]
    results = Results(tmp_path / "a.json", MACHINE, rows)
    _, _, mnn, mine, eager, failed, *_ = report.table(results, SIZE)
    assert "**the result is wrong**" in mnn
    assert "| 0.0314 (0.0314–0.0314) |" in mnn
    cells = [cell.strip() for cell in mine.strip("|").split("|")]
    assert cells[:5] == ["**napari-edsr**", "1", "1.00 (0.50–2.00)", "9.00", "2.00"]
    rate = 2.745e12 / 1e6 * 32**2 / 1e9  # of the baseline in a second, GFLOP/s
    assert cells[5:7] == [f"{rate:.0f}", f"{rate:.0f}%"]
    assert cells[7:10] == ["5 MB", "0.01", "0.10%"]
    assert "| 2.00 (2.00–4.00) |" in eager
    assert failed.endswith("| Gone. |")


def test_the_page_is_written_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"Above.\n\n{report.BEGIN}\nold\n{report.END}\n\nBelow.\n")
    results = Results(tmp_path / "a.json", MACHINE, [measured(OURS, [1.0])])
    report.write(page, results, "picture.png")
    text = page.read_text()
    assert text.startswith("Above.")
    assert text.endswith("Below.\n")
    assert "old" not in text
    assert "Some CPU" in text
    report.write(page, results, "picture.png")
    assert page.read_text() == text
    page.unlink()
    report.write(page, results, "")
    assert "Some CPU" in page.read_text()


def test_a_process_that_dies_says_so(tmp_path):
    gone = Job(PEAK, 2, 32, "cpu", 1, tmp_path / "missing")  # nowhere for its log
    with pytest.raises(NotMeasured, match="crashed with the exit code 1"):
        worker.in_own_process("first", gone)


def test_a_process_tells_what_went_wrong_in_it(tmp_path):
    unknown = Job("nothing", 2, 32, "cpu", 1, tmp_path)
    with pytest.raises(NotMeasured, match="KeyError: 'nothing'"):
        worker.in_own_process("first", unknown)


class FakeWorker:
    """Answers as a worker does; keeps what it was asked."""

    asked: list[tuple[str, str]] = []

    def __init__(self, job):
        self.job = job

    def ask(self, what):
        self.asked.append((self.job.engine, what))
        if what == "ready":
            return {}
        if self.job.engine == "MNN":
            raise NotMeasured("It crashed.")
        if self.job.engine == PEAK:
            return {"flops": 1e9}
        if what == "error":
            return {"error": 0.0, "differing": 0.0}
        return {"seconds": 1.0, "memory": 1, "note": ""}

    def held(self):
        return 0

    def close(self):
        self.asked.append((self.job.engine, "close"))


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "Worker", FakeWorker)
    monkeypatch.setattr(run, "in_own_process", lambda what, job: None)
    monkeypatch.setattr(FakeWorker, "asked", [])
    return run.Settings("cpu", 2, 2, tmp_path, (OURS, EAGER, "MNN"))


def test_engines_take_turns_and_a_crash_is_a_row(fake, tmp_path):
    results = Results(tmp_path / "a.json", MACHINE)
    run.measure(SIZE, fake, results, lambda text: None)
    first = FakeWorker.asked.index((PEAK, "first"))
    ready = [(name, "ready") for name in (PEAK, OURS, EAGER, "MNN")]
    assert FakeWorker.asked[:first] == ready  # no other imports while one is timed
    timed = [name for name, what in FakeWorker.asked if what == "again"]
    assert timed == [PEAK, OURS, EAGER] * 2
    kept = {row["engine"]: row for row in Results.resume(results.path, MACHINE).rows}
    assert kept[OURS]["seconds"] == [1.0, 1.0]
    assert kept["MNN"]["failed"] == "It crashed."
    begun = {n for n, what in FakeWorker.asked if what == "first"}
    assert {n for n, what in FakeWorker.asked if what == "close"} == begun


def test_what_is_measured_is_not_measured_again(fake, tmp_path):
    results = Results(tmp_path / "a.json", MACHINE)
    run.measure(SIZE, fake, results, lambda text: None)
    for row in results.rows:
        if row["engine"] == EAGER:  # interrupted after the first of two calls
            row["seconds"] = [5.0]
            del row["error"]
    results.save()
    FakeWorker.asked.clear()
    again = Results.resume(results.path, MACHINE)
    run.measure(SIZE, fake, again, lambda text: None)
    assert {name for name, _ in FakeWorker.asked} == {PEAK, EAGER}
    (row,) = [row for row in again.rows if row["engine"] == EAGER]
    assert row["seconds"] == [5.0, 1.0]


def test_figures_of_another_machine_are_not_mixed_in(tmp_path):
    path = tmp_path / "a.json"
    Results(path, MACHINE, [measured(OURS, [1.0])]).save()
    assert Results.resume(path, MACHINE).rows
    assert not Results.resume(path, {**MACHINE, "threads": 4}).rows


def test_an_engine_too_large_for_the_memory_is_not_begun(fake, tmp_path):
    small = measured(EAGER, [1.0], side=16, memory=10**13)
    results = Results(tmp_path / "a.json", MACHINE, [small])
    run.measure(SIZE, fake, results, lambda text: None)
    (row,) = [row for row in results.of(SIZE) if row["engine"] == EAGER]
    assert row["failed"].startswith("It would need about 40000.0 GB, over 70 %")
    assert (EAGER, "first") not in FakeWorker.asked


def test_engines_that_do_not_fit_side_by_side_are_measured_in_groups(fake, tmp_path):
    assert list(run.groups({"a": 3.0, "b": 4.0, "c": 9.0, "d": 1.0}, room=7.0)) == [
        ["a", "b"],
        ["c"],  # which will say that it does not fit at all
        ["d"],
    ]
    assert list(run.groups({}, room=7.0)) == []
    huge = psutil.virtual_memory().available
    rows = [measured(name, [1.0], side=16, memory=huge / 9) for name in fake.engines]
    results = Results(tmp_path / "a.json", MACHINE, rows)
    run.measure(SIZE, fake, results, lambda text: None)
    firsts = [name for name, what in FakeWorker.asked if what == "first"]
    assert firsts == [PEAK, OURS, PEAK, EAGER, PEAK, "MNN"]
    ours, eager = (
        r["seconds"] for r in results.of(SIZE) if r["engine"] in (OURS, EAGER)
    )
    assert ours == eager == [1.0, 1.0]


def test_memory_is_foreseen_from_results_of_another_scale(tmp_path):
    rows = [measured(EAGER, [1.0], scale=2, side=48, memory=10.0)]
    results = Results(tmp_path / "a.json", MACHINE, rows)
    assert results.expected_memory(EAGER, (3, 64)) == 40.0
    assert results.expected_memory(EAGER, (2, 48)) == 0.0
    assert results.expected_memory(OURS, (3, 64)) == 0.0


def test_large_pictures_are_for_the_two_best_peers():
    rows = [
        measured("MNN", [1.0]),
        measured("OpenVINO, default", [0.5], error=2.0),
        measured("ncnn", [2.0]),
        measured("ONNX Runtime", [3.0]),
    ]
    assert best(rows, ENGINES) == ["MNN", "ncnn"]


def test_our_own_use_of_mnn_is_not_a_peer(tmp_path):
    results = Results(tmp_path / "r.json", MACHINE)
    names = [OURS_FAST, "MNN", "ncnn", "ONNX Runtime", EAGER, OURS, CHOP]
    results.rows = [
        measured(name, [float(number + 1)], side=512)
        for number, name in enumerate(names)
    ]
    settings = run.Settings("cpu", 2, 5, tmp_path, tuple(ENGINES))
    chosen = run.engines_for((2, 1024), settings, results)
    assert set(chosen) == {OURS, OURS_FAST, EAGER, CHOP, "MNN", "ncnn"}


def test_a_short_run_measures_the_same_network_elsewhere_at_one_size(tmp_path):
    results = Results(tmp_path / "f.json", MACHINE)
    short = run.Settings("cpu", 2, 5, tmp_path, tuple(ENGINES), full=False)
    small, large = (run.engines_for(size, short, results) for size in run.SHORT)
    once = {"EDSR-PyTorch, channels_last", "mmagic, BasicSR", "torchsr", "super-image"}
    assert set(small) - set(large) == once
    full = run.Settings("cpu", 2, 5, tmp_path, tuple(ENGINES))
    assert run.engines_for(run.SHORT[1], full, results) == small


@pytest.mark.parametrize(
    ("note", "again"), [(IN_FP32, False), ("computed in bf16", True)]
)
def test_a_short_run_measures_fp32_in_openvino_once(tmp_path, note, again):
    results = Results(tmp_path / "f.json", MACHINE)
    results.row(OPENVINO, run.SHORT[0])["note"] = note
    short = run.Settings("cpu", 2, 5, tmp_path, tuple(ENGINES), full=False)
    assert (OPENVINO in run.engines_for(run.SHORT[1], short, results)) is again


@pytest.mark.parametrize(("first", "count"), [(5, 5), (20.5, 3), (61, 2)])
def test_long_calls_are_timed_less_often(first, count):
    assert run.repeats_of(first, 5) == count
    assert run.repeats_of(first, 1) == 1


def test_ratios_are_told_beside_those_of_the_run_before(tmp_path):
    results = Results(tmp_path / "r.json", MACHINE)
    results.rows = [measured(OURS, [1.0, 2.0, 3.0]), measured(EAGER, [4.0])]
    results.rows.append(measured(OURS, [1.0], side=64))  # without the other
    ratios = results.ratios(OURS, EAGER)
    assert ratios == {SIZE: 2.0}
    (line,) = report.changes({SIZE: 2.5}, ratios)
    assert "2.00 times as fast" in line
    assert line.endswith("-20% against 2.50 before")
    (line,) = report.changes({}, ratios)
    assert "before" not in line
