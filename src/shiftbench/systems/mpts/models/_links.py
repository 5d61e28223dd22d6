"""Links between the linear layers of a network: nothing, patches of a map, or a map as one row.

A convolution is a linear layer of patches, so that all layers of a network are products of matrices. A link copies what
leaves one layer (n, rows, c) to where it enters the next (n, rows', d), `back` is its transpose, which sums over the
copies. Entries are copied as they are, so that what is done to each alone (ReLU) may come before or after.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Link(Protocol):
    """From one layer to the next; the first axis are tasks."""

    def forth(self, x: Floats) -> Floats:
        """Input of the next layer."""

    def back(self, x: Floats) -> Floats:
        """Gradient of what leaves the layer, from that of what enters the next."""

    def tensor(self, x: torch.Tensor) -> torch.Tensor:
        """Input of the next layer, with a gradient."""


class Direct:
    """The identity."""

    def forth(self, x: Floats) -> Floats:
        """The input itself."""
        return x

    def back(self, x: Floats) -> Floats:
        """The input itself."""
        return x

    def tensor(self, x: torch.Tensor) -> torch.Tensor:
        """The input itself."""
        return x


class Patches:
    """Patches of 3 x 3 places, two places apart, of maps that are 0 outside: a convolution of stride 2, padding 1.

    A map is side x side rows of c channels; a patch is one row of 9 c, channels innermost.
    """

    def __init__(self, side: int, channels: int) -> None:
        self.channels, self.places, self.out = channels, side * side, (side + 1) // 2
        at = 2 * np.arange(self.out)[:, None] + np.arange(3) - 1  # of each patch, three rows of the map
        rows, columns = at[:, None, :, None], at[None, :, None, :]
        inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
        self.index = np.where(inside, rows * side + columns, self.places).reshape(-1)
        copies = [np.flatnonzero(self.index == place) for place in range(self.places)]
        most = max(map(len, copies))
        self.copies = np.full((most, self.places), len(self.index))
        for place, positions in enumerate(copies):
            self.copies[: len(positions), place] = positions
        self.index_tensor = torch.from_numpy(self.index)

    def forth(self, x: Floats) -> Floats:
        """Patches (n, k * out * out, 9 c) of maps (n, k * side * side, c)."""
        maps = _pad(x.reshape(-1, self.places, self.channels))
        patches: Floats = maps.take(self.index, axis=1).reshape(len(x), -1, 9 * self.channels)
        return patches

    def back(self, x: Floats) -> Floats:
        """Maps, each place the sum over patches that it is in."""
        patches = _pad(x.reshape(-1, len(self.index), self.channels))
        maps: Floats = patches.take(self.copies[0], axis=1)
        for places in self.copies[1:]:
            maps += patches.take(places, axis=1)
        return maps.reshape(len(x), -1, self.channels)

    def tensor(self, x: torch.Tensor) -> torch.Tensor:
        """Patches, with a gradient."""
        maps = x.reshape(-1, self.places, self.channels)
        padded = torch.nn.functional.pad(maps, (0, 0, 0, 1))
        index = self.index_tensor.to(x.device)
        return padded.index_select(1, index).reshape(len(x), -1, 9 * self.channels)


class Flat:
    """Maps of `places` rows and c channels as one row."""

    def __init__(self, places: int, channels: int) -> None:
        self.places, self.channels = places, channels

    def forth(self, x: Floats) -> Floats:
        """Rows (n, k, places * c)."""
        return x.reshape(len(x), -1, self.places * self.channels)

    def back(self, x: Floats) -> Floats:
        """Maps (n, k * places, c)."""
        return x.reshape(len(x), -1, self.channels)

    def tensor(self, x: torch.Tensor) -> torch.Tensor:
        """Rows."""
        return x.reshape(len(x), -1, self.places * self.channels)


def _pad(maps: Floats) -> Floats:
    """Maps (m, places, c) with a further place of zeros, (m, places + 1, c)."""
    padded = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2]), maps.dtype)
    padded[:, :-1] = maps
    return padded
