"""Conversion of decoded video frames to upright RGB: orientation, tone mapping, deinterlacing."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PQ, _HLG = 16, 18
"""Transfer functions of HDR, as numbered by ITU-T H.273."""
_BT709_PRIMARIES = 1
_WHITE_NITS = 203.0
"""Luminance of white in HDR, of the brightest that is not a light or a reflection (ITU-R BT.2408)."""
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
_KNEE = 0.6
"""Linear light up to which tone mapping changes nothing; white becomes 0.85."""
_DISPLAY_GAMMA = 2.4
_MAX_PIXEL_ASPECT = 8.0
_HDR_PIXELS = 1280
"""Longer side, in pixels, of frames that are tone-mapped, which costs time for each pixel."""
_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    dtype=np.float32,
)
"""Linear RGB with the primaries of BT.2020 to those of BT.709 (ITU-R BT.2087)."""
_LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)


class Orientation(NamedTuple):
    """How to make a frame upright: first transpose it, then mirror it."""

    transposed: bool
    mirrored_x: bool
    mirrored_y: bool

    @property
    def is_rotation(self) -> bool:
        """Whether it is a turn by a multiple of 90 degrees, without mirroring."""
        return not self.transposed ^ self.mirrored_x ^ self.mirrored_y


UPRIGHT = Orientation(False, False, False)


def orientation(frame: Any) -> Orientation:
    """Return the orientation of a frame according to its display matrix; other angles are rounded to right ones."""
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT
    # A point (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def pixel_aspect(stream: Any) -> float:
    """Return the width of a stream's pixels divided by their height; 1.0 if it declares none, or an absurd one."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / _MAX_PIXEL_ASPECT <= ratio <= _MAX_PIXEL_ASPECT else 1.0


def shown_size(frame: Any, stream: Any) -> tuple[int, int]:
    """Return the width and height at which a frame is shown, in square pixels, upright."""
    width = max(1, round(frame.width * pixel_aspect(stream)))
    return (frame.height, width) if orientation(frame).transposed else (width, frame.height)


def is_plain(frame: Any, stream: Any, *, turned: bool) -> bool:
    """Return whether the stored pixels of a frame are those to show: or, if `turned` is allowed, when turned."""
    turn = orientation(frame)
    upright = turn == UPRIGHT or (turned and turn.is_rotation)
    return upright and pixel_aspect(stream) == 1 and not frame.interlaced_frame and not is_hdr(frame)


def is_hdr(frame: Any) -> bool:
    """Return whether a frame is of high dynamic range: PQ (HDR10) or HLG."""
    return frame.color_trc in (_PQ, _HLG)


def to_rgb(frame: Any) -> NDArray[np.uint8]:
    """Convert a frame to what a player shows, in pixels as they are stored.

    HDR is tone-mapped, and scaled down to 1280 pixels; of interlaced frames only every second line is used.

    Returns:
        (height, width, 3) RGB, upright.
    """
    pixels: NDArray[np.uint8] = _tone_mapped(frame) if is_hdr(frame) else frame.to_ndarray(format="rgb24")
    if frame.interlaced_frame:
        pixels = _of_one_field(pixels)
    turn = orientation(frame)
    if turn.transposed:
        pixels = pixels.swapaxes(0, 1)
    if turn.mirrored_x:
        pixels = pixels[:, ::-1]
    if turn.mirrored_y:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _of_one_field(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace every second line, which shows another moment, by the mean of its neighbours."""
    above = pixels[0:-1:2].astype(np.uint16)
    below = np.concatenate([above[1:], pixels[-1:] if len(pixels) % 2 else above[-1:]])
    progressive = pixels.copy()
    progressive[1::2] = (above + below) // 2
    return progressive


def _tone_mapped(frame: Any) -> NDArray[np.uint8]:
    """Convert an HDR frame to the range of ordinary video: the same up to mid-tones, highlights compressed."""
    shrink = max(1.0, max(frame.width, frame.height) / _HDR_PIXELS)
    size = {"width": max(1, round(frame.width / shrink)), "height": max(1, round(frame.height / shrink))}
    coded = frame.reformat(format="rgb48le", interpolation="AREA", **size).to_ndarray()
    light = _light(frame.color_trc)[coded]
    if frame.color_trc == _HLG:
        scene = np.maximum(light @ _LUMA_BT2020, 1e-6)[..., None]
        light *= scene ** np.float32(_HLG_GAMMA - 1) * np.float32(_HLG_PEAK_NITS / _WHITE_NITS)
    if frame.color_primaries != _BT709_PRIMARIES:
        light = np.maximum(light @ _TO_BT709.T, 0)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    over = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    shown = light / brightest * (np.minimum(brightest, _KNEE) + (1 - _KNEE) * (1 - np.exp(-over)))
    pixels: NDArray[np.uint8] = np.rint(255 * shown ** np.float32(1 / _DISPLAY_GAMMA)).clip(0, 255).astype(np.uint8)
    return pixels


@functools.cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Return the light of each coded value: (65536,), 1.0 being white for PQ and the peak for HLG (ITU-R BT.2100)."""
    coded = np.arange(65536) / 65535
    if transfer == _HLG:
        light = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        return light.astype(np.float32)
    root = coded ** (1 / 78.84375)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return (light * 10_000 / _WHITE_NITS).astype(np.float32)
