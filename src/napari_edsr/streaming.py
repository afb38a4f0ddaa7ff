"""A network over an image from top to bottom, a band of rows at a time.

Each convolution keeps the last rows of its input for the band to come, so that nothing
is computed twice and nothing is approximated: what comes out is the untiled result,
and memory follows the width alone.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_edsr.convolution import Convolution
from napari_edsr.folding import RADIUS, fold
from napari_edsr.model import EDSR, MDSR, ResBlock, as_colors, like_given


class StreamedNetwork:
    """A network made ready to run band by band.

    Parameters
    ----------
    network : EDSR or MDSR
        In fp32, on its device and in channels_last.
    scale : int
        One of the network's.
    dtype : torch.dtype
        What the convolutions of the residual blocks compute in. What they are added
        to, and all before and after them, stays in fp32: errors would add up there.
    """

    def __init__(
        self, network: EDSR | MDSR, scale: int, dtype: torch.dtype = torch.float32
    ) -> None:
        self.network = network
        self.head = Convolution.of(network.conv_first)
        self.pre = [_Weights(block, dtype) for block in network.pre_blocks(scale)]
        self.body = [_Weights(block, dtype) for block in network.body]
        self.after = Convolution.of(network.conv_after_body)
        self.tail = FoldedTail(network, scale)

    def stream(self) -> RowStream:
        """Begin an image."""
        return RowStream(self)


class RowStream:
    """An image on its way through a network."""

    def __init__(self, ready: StreamedNetwork) -> None:
        scratch = _Scratch()
        blocks = [_Block(weights, scratch) for weights in ready.body]
        body = _Chain(*blocks, _Conv(ready.after, scratch))
        pre = [_Block(weights, scratch) for weights in ready.pre]
        head, tail = _Conv(ready.head, scratch), _Tail(ready.tail, scratch)
        self._network = ready.network
        self._begun = False
        self._chain = _Chain(head, *pre, _Skip(body), tail)

    def push(self, rows: Tensor, *, last: bool = False) -> Tensor | None:
        """Take the next rows of the image, and give the rows of the result that are done.

        Parameters
        ----------
        rows : Tensor, (1, C, h, W)
            Intensities, 0 black and 1 white, h at least 1. C is the network's number of
            colours, or 1: see `napari_edsr.model.upscale_batch`.
        last : bool
            Whether the image ends with them.

        Returns
        -------
        Tensor or None
            (1, C, scale * n, scale * W): the next n rows, each `scale` times as high.
            None while the first rows still wait for those below them.
        """
        x = self._network.enter(as_colors(rows, self._network.config.n_colors))
        whole = last and not self._begun
        self._begun = True
        y = self._chain.whole(x) if whole else self._chain.push(x, last)
        if y is None:
            return None
        return like_given(self._network.leave(y, rows.dtype), rows)


class FoldedTail:
    """The layers after the body, as one convolution and as they are for the edges.

    Parameters
    ----------
    network : EDSR or MDSR
    scale : int
    """

    def __init__(self, network: EDSR | MDSR, scale: int) -> None:
        like = network.conv_last.weight
        upsampler = network.upsampler(scale)
        layers = nn.Sequential(upsampler, network.conv_last)
        weight, bias = fold(layers, network.config.n_feats, scale)
        weight = weight.contiguous(memory_format=torch.channels_last)
        self.conv = Convolution(weight.to(like), bias.to(like))
        self.scale = scale
        self._steps = [
            (Convolution.of(step.upsample_conv), step.factor) for step in upsampler
        ]
        self._last = Convolution.of(network.conv_last)

    def layers(self, x: Tensor) -> Tensor:
        """All the layers, one after the other, each padding with zeros."""
        for conv, factor in self._steps:
            x = functional.pixel_shuffle(conv(x, rows=1), factor)
        return self._last(x, rows=1)

    def mend(
        self, y: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor
    ) -> None:
        """Put what the layers give along the edges of a whole image.

        The strips are the features that the edges depend on: `RADIUS` + 1 rows or columns.
        """
        s = self.scale
        y[..., :s], y[..., -s:] = (
            self.layers(left)[..., :s],
            self.layers(right)[..., -s:],
        )
        y[:, :, :s] = self.layers(top)[:, :, :s]
        y[:, :, -s:] = self.layers(bottom)[:, :, -s:]


class _Weights:
    """The two convolutions of a residual block; its factor is in the second."""

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, ResBlock)
        self.conv1 = Convolution.of(block.conv1).to(dtype)
        self.conv2 = Convolution.of(block.conv2, block.res_scale).to(dtype)


class _Stage(Protocol):
    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        """Take rows; give those that are finished, None if there are none yet."""

    def whole(self, x: Tensor) -> Tensor:
        """Take all rows at once, which spares the copies."""


class _Chain:
    def __init__(self, *stages: _Stage) -> None:
        self._stages = stages

    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        passed: Tensor | None = rows
        for stage in self._stages:
            if passed is None:
                return None
            passed = stage.push(passed, last)
        return passed

    def whole(self, x: Tensor) -> Tensor:
        for stage in self._stages:
            x = stage.whole(x)
        return x


class _Scratch:
    """Memory that the windows of a stream share, so that it stays in the caches.

    What is taken is overwritten after two more were: a residual block still needs its
    input while it fills the window of its second convolution, and the next block takes
    over its result from there.
    """

    def __init__(self) -> None:
        self._spans: deque[Tensor | None] = deque([None] * 3)

    def take(self, like: Tensor, rows: int) -> Tensor:
        """Uninitialised, in channels_last, of so many rows and else like another."""
        n, features, _, columns = like.shape
        size = n * features * rows * columns * like.itemsize
        span = self._spans.popleft()
        if span is None or span.numel() < size:
            span = like.new_empty(size, dtype=torch.uint8)
        self._spans.append(span)
        taken = span[:size].view(like.dtype).view(n, rows, columns, features)
        return taken.permute(0, 3, 1, 2)


class _Window:
    """Puts the rows above, of the push before or zeros, in front of the new ones."""

    def __init__(self, margin: int, scratch: _Scratch) -> None:
        self.margin = margin
        self._scratch = scratch
        self._kept: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        """Give rows with `margin` rows of context on both sides, to be overwritten."""
        above = self.margin if self._kept is None else self._kept.shape[2]
        end = above + rows.shape[2]
        joined = self._scratch.take(rows, end + self.margin * last)
        joined[:, :, :above] = 0 if self._kept is None else self._kept
        joined[:, :, above:end] = rows
        if last:
            joined[:, :, end:] = 0
            return joined
        self._keep(joined[:, :, -2 * self.margin :])
        return joined if end > 2 * self.margin else None

    def _keep(self, rows: Tensor) -> None:
        if self._kept is None or self._kept.shape != rows.shape:
            self._kept = rows.clone()
        else:  # small memory that is never given back does not scatter the large
            self._kept.copy_(rows)


class _Conv:
    def __init__(self, conv: Convolution, scratch: _Scratch) -> None:
        self._conv = conv
        self._window = _Window(conv.margin, scratch)

    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        x = self._window.push(rows, last)
        return None if x is None else self._conv(x)

    def whole(self, x: Tensor) -> Tensor:
        return self._conv(x, rows=self._conv.margin)


class _Block:
    """A residual block, whose input waits in the window of its first convolution."""

    def __init__(self, weights: _Weights, scratch: _Scratch) -> None:
        self._weights = weights
        self._margin = weights.conv1.margin
        self._window1 = _Window(self._margin, scratch)
        self._window2 = _Window(self._margin, scratch)

    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        x = self._window1.push(rows, last)
        if x is None:
            return None
        h = self._window2.push(self._weights.conv1(x, relu=True), last)
        if h is None:
            return None
        end = x.shape[2] - self._margin * (1 if last else 2)
        start = end - (h.shape[2] - 2 * self._margin)
        return self._weights.conv2.add_to(x[:, :, start:end], h)

    def whole(self, x: Tensor) -> Tensor:
        h = self._weights.conv1(x, relu=True, rows=self._margin)
        return x + self._weights.conv2(h, rows=self._margin)


class _Skip:
    """Adds what went in to what comes out, which is some rows later."""

    def __init__(self, stage: _Stage) -> None:
        self._stage = stage
        self._waiting: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        before = [] if self._waiting is None else [self._waiting]
        waiting = torch.cat([*before, rows], 2)
        y = self._stage.push(rows, last)
        done = 0 if y is None else y.shape[2]
        self._waiting = waiting[:, :, done:]
        return None if y is None else y.add_(waiting[:, :, :done])

    def whole(self, x: Tensor) -> Tensor:
        return self._stage.whole(x).add_(x)


class _Tail:
    def __init__(self, tail: FoldedTail, scratch: _Scratch) -> None:
        self._tail = tail
        self._window = _Window(RADIUS, scratch)
        self._done = 0

    def push(self, rows: Tensor, last: bool) -> Tensor | None:
        x = self._window.push(rows, last)
        if x is None:
            return None
        y = functional.pixel_shuffle(self._tail.conv(x), self._tail.scale)
        above = max(0, RADIUS - self._done)  # rows of zeros that are not the image's
        inside = x[:, :, above : x.shape[2] - (RADIUS if last else 0)]
        self._mend_sides(y, inside, RADIUS - above)
        self._mend_ends(y, inside, last)
        self._done += x.shape[2] - 2 * RADIUS
        return y

    def whole(self, x: Tensor) -> Tensor:
        y = functional.pixel_shuffle(self._tail.conv(x, rows=RADIUS), self._tail.scale)
        n = RADIUS + 1
        self._tail.mend(y, x[:, :, :n], x[:, :, -n:], x[..., :n], x[..., -n:])
        return y

    def _mend_sides(self, y: Tensor, x: Tensor, skip: int) -> None:
        """Put what the layers give along the left and right edge."""
        s = self._tail.scale
        rows = slice(skip * s, skip * s + y.shape[2])
        y[..., :s] = self._tail.layers(x[..., : RADIUS + 1])[:, :, rows, :s]
        y[..., -s:] = self._tail.layers(x[..., -RADIUS - 1 :])[:, :, rows, -s:]

    def _mend_ends(self, y: Tensor, x: Tensor, last: bool) -> None:
        """Put what the layers give along the top and bottom edge."""
        s = self._tail.scale
        if self._done == 0:
            y[:, :, :s] = self._tail.layers(x[:, :, : RADIUS + 1])[:, :, :s]
        if last:
            y[:, :, -s:] = self._tail.layers(x[:, :, -RADIUS - 1 :])[:, :, -s:]
