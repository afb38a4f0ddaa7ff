"""What only torch knows, asked for in the background: devices and how fast they are."""

from __future__ import annotations

import sys
from collections.abc import Collection, Generator
from contextlib import suppress
from dataclasses import dataclass

from qtpy.QtCore import QObject, QTimer, Signal

from napari_edsr._qt.garbage import old_objects
from napari_edsr._qt.worker import Job
from napari_edsr.errors import DeviceError

#: Milliseconds after the dock was shown; importing torch slows the viewer for seconds.
IDLE_BEFORE_TORCH = 1500
#: Milliseconds after the latest run.
MODEL_KEPT_FOR = 300_000


@dataclass(frozen=True)
class DevicesFound:
    """Devices torch can use here, and the one that ``auto`` takes.

    `fast_error` is MNN's in grey levels; None if that is not installed or not measured.
    """

    names: tuple[str, ...]
    auto: str
    fast_error: float | None = None


@dataclass(frozen=True)
class SpeedFound:
    """Operations a second of a device."""

    device: str
    flops_per_second: float


def iter_scout(
    known: Collection[str], measures: bool = True
) -> Generator[DevicesFound | SpeedFound, None, None]:
    """List devices, load the default model, and measure devices; the job of a worker.

    Parameters
    ----------
    known : collection of str
        Devices whose speed is known.
    measures : bool
        Whether speeds are of interest, and devices that work together.
    """
    from napari_edsr import device, fast, precision, zoo
    from napari_edsr.kept import kept_model

    names = device.list_choices() if measures else device.list_devices()
    auto = str(device.resolve_device("auto"))
    yield DevicesFound(tuple(names), auto)
    kept_model(zoo.default_model(2))
    if measures and fast.is_installed():
        with suppress(DeviceError):  # then it is not offered
            error = precision.fast_error(zoo.default_model(2), 2)
            yield DevicesFound(tuple(names), auto, error)
    for name in ({auto, "cpu"} - set(known)) if measures else ():
        yield SpeedFound(name, device.measure_speed(name))


class IdleModel(QTimer):
    """Forgets the model that is kept for the next run when none comes for a while."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setSingleShot(True)
        self.setInterval(MODEL_KEPT_FOR)
        self.timeout.connect(self.release)

    def release(self) -> None:
        """Forget it, if there was a run at all."""
        if "napari_edsr.kept" in sys.modules:
            from napari_edsr import kept

            kept.release()


class TorchScout(QObject):
    """Runs `iter_scout` once, some time after `start_when_idle` or at `start`."""

    devices_found = Signal(object)
    speed_found = Signal(object)

    def __init__(self, parent: QObject | None = None, *, measures: bool = True) -> None:
        super().__init__(parent)
        self._measures = measures
        self.known: Collection[str] = ()
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.start)

    @property
    def has_started(self) -> bool:
        """Whether torch has been asked for."""
        return self._job is not None

    def start_when_idle(self) -> None:
        """Start in `IDLE_BEFORE_TORCH` milliseconds, unless it has started already."""
        if not self.has_started:
            self._timer.start(IDLE_BEFORE_TORCH)

    def start(self) -> None:
        """Start now, once."""
        self._timer.stop()
        if not self.has_started:
            self._job = Job(iter_scout(self.known, self._measures), "", self)
            self._job.yielded.connect(self._on_event)
            # With torch there are half as many again, which the next job is to spare.
            self._job.ended.connect(old_objects.release)
            self._job.start()

    def stop(self) -> None:
        """Do not start, or end after the step at work."""
        self._timer.stop()
        if self._job is not None:
            self._job.stop()

    def _on_event(self, event: object) -> None:
        found = (
            self.devices_found if isinstance(event, DevicesFound) else self.speed_found
        )
        found.emit(event)
