"""Random numbers, one stream a lane."""

from __future__ import annotations

import numba
import numpy as np

from envs.kernels import inline, kernel

# The increment and the mixing steps of splitmix64 (Steele 2014).
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)


@inline
def draw_next(state):
    """Returns a stream's next state, and its next number in [0, 1)."""
    state = state + _INCREMENT
    value = (state ^ (state >> _S30)) * _FIRST_FACTOR
    value = (value ^ (value >> _S27)) * _SECOND_FACTOR
    value = value ^ (value >> _S31)
    return state, (value >> _S11) * 2.0**-53


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    # Only plain NumPy tells that the products wrap around, as they are meant to.
    draw_next = np.errstate(over="ignore")(draw_next)


@kernel
def draw_uniforms(states, lanes, uniforms):
    """Draws the next numbers of some lanes' streams.

    Args:
        states: uint64 (n,), moved on.
        lanes: int64 (k,).
        uniforms: float64 (k, count), written: numbers in [0, 1).
    """
    for i in range(lanes.shape[0]):
        state = states[lanes[i]]
        for j in range(uniforms.shape[1]):
            state, uniforms[i, j] = draw_next(state)
        states[lanes[i]] = state


@kernel
def draw_tiles(uniforms, thresholds, tiles):
    """Draws random levels.

    Args:
        uniforms: float64 (k, 1 + cells) in [0, 1); the first of each level is not used here.
        thresholds: float64 (k, number of tiles), the running sums of each level's tile probabilities.
        tiles: uint8 (k, cells), written.
    """
    for i in range(tiles.shape[0]):
        for cell in range(tiles.shape[1]):
            uniform = uniforms[i, cell + 1]
            tile = 0
            for j in range(thresholds.shape[1] - 1):
                if uniform >= thresholds[i, j]:
                    tile += 1
            tiles[i, cell] = tile


@kernel
def draw_normals(uniforms, most, normals):
    """Turns uniform random numbers into standard normal ones, two into two (Box 1958).

    Args:
        uniforms: float64 (k, count) in [0, 1), count even.
        most: the greatest size that a normal number keeps.
        normals: float64 (k, count), written.
    """
    for i in range(uniforms.shape[0]):
        for j in range(0, uniforms.shape[1], 2):
            length = np.sqrt(-2.0 * np.log(1.0 - uniforms[i, j]))
            angle = 2.0 * np.pi * uniforms[i, j + 1]
            normals[i, j] = min(max(length * np.cos(angle), -most), most)
            normals[i, j + 1] = min(max(length * np.sin(angle), -most), most)
