"""Films for models of transformers without torchvision, which its own classes need: the same arithmetic in torch.

Frames are resized by the function of torch that torchvision calls as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import processing_utils
from transformers.feature_extraction_utils import BatchFeature
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.models.embedding_gemma2.configuration_embedding_gemma2 import EmbeddingGemma2Config
from transformers.models.embedding_gemma2.processing_embedding_gemma2 import get_aspect_ratio_preserving_size
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.utils import is_torchvision_available
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import make_batched_metadata, make_batched_videos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Option = Callable[[str], Any]


def register() -> None:
    """Let transformers find these classes by the names of its own, if it has no torchvision for those."""
    if not is_torchvision_available():
        # The base class needs no torchvision, but is looked up where it is only with one: in a module that is another
        # object than the package if parts of the package were imported before.
        for module in (transformers, processing_utils.transformers_module):
            module.VideoProcessorMixin = VideoProcessorMixin
        AutoVideoProcessor.register(EmbeddingGemma2Config, EmbeddingGemma2VideoProcessor, exist_ok=True)
        AutoVideoProcessor.register(Qwen2_5OmniThinkerConfig, Qwen2VLVideoProcessor, exist_ok=True)


def _resized(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize frames, (n, 3, height, width) of bytes."""
    if frames.shape[-2:] == (height, width):
        return frames
    return torch.nn.functional.interpolate(frames, (height, width), mode="bicubic", antialias=True)


def _scaled(frames: torch.Tensor, option: Option) -> torch.Tensor:
    """Return bytes as the numbers that a model takes."""
    scaled = frames * float(option("rescale_factor"))
    if not option("do_normalize"):
        return scaled
    mean, std = (torch.tensor(option(name))[:, None, None] for name in ("image_mean", "image_std"))
    return (scaled - mean) / std


class _FilmProcessor(VideoProcessorMixin):  # type: ignore[misc]
    """What the processors have in common. Frames have been chosen already, and are (n, height, width, 3) of bytes."""

    do_normalize = True

    def preprocess(
        self,
        videos: Sequence[NDArray[np.uint8]] | Sequence[Sequence[NDArray[np.uint8]]],
        video_metadata: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> BatchFeature:
        """Return the inputs of a model. Options replace the attributes of the same names."""

        def option(name: str) -> Any:
            return options.get(name, getattr(self, name))

        arrays = make_batched_videos(videos)
        films = [torch.tensor(video).permute(0, 3, 1, 2).contiguous() for video in arrays]
        made = BatchFeature(self._arrays(films, option), tensor_type=options.get("return_tensors"))
        made["video_metadata"] = make_batched_metadata(arrays, video_metadata)
        return made

    def _arrays(self, films: Sequence[torch.Tensor], option: Option) -> dict[str, Any]:
        raise NotImplementedError


class EmbeddingGemma2VideoProcessor(_FilmProcessor):
    """Each frame as patches, padded to the most of them, with the places of the patches."""

    model_input_names = ("pixel_values_videos", "video_position_ids", "num_frames_per_video")
    image_mean = (0.0, 0.0, 0.0)
    image_std = (1.0, 1.0, 1.0)
    patch_size = 16
    max_soft_tokens = 70
    pooling_kernel_size = 3
    fps = 1
    max_frames = 32
    add_timestamps = False

    def _arrays(self, films: Sequence[torch.Tensor], option: Option) -> dict[str, Any]:
        side, pool = option("patch_size"), option("pooling_kernel_size")
        most = option("max_soft_tokens") * pool**2
        patches, places, tokens = [], [], []
        for film in films:
            height, width = get_aspect_ratio_preserving_size(*film.shape[-2:], side, most, pool)
            rows, columns = height // side, width // side
            frames = _scaled(_resized(film, height, width), option)
            cut = frames.reshape(-1, 3, rows, side, columns, side).permute(0, 2, 4, 3, 5, 1)
            grid = torch.stack([torch.arange(columns).repeat(rows), torch.arange(rows).repeat_interleave(columns)], -1)
            missing = (0, 0, 0, most - rows * columns)
            patches.append(torch.nn.functional.pad(cut.reshape(len(frames), rows * columns, -1), missing))
            places.append(torch.nn.functional.pad(grid, missing, value=-1).expand(len(frames), -1, -1))
            tokens.append(rows * columns // pool**2)
        return {
            "pixel_values_videos": torch.cat(patches),
            "video_position_ids": torch.cat(places),
            "num_frames_per_video": [len(film) for film in films],
            "num_soft_tokens_per_video": tokens,
        }


class Qwen2VLVideoProcessor(_FilmProcessor):
    """Blocks of frames as patches, in the order in which the model merges them."""

    model_input_names = ("pixel_values_videos", "video_grid_thw")
    size = {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}  # noqa: RUF012 - as of transformers
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    patch_size = 14
    temporal_patch_size = 2
    merge_size = 2
    max_frames = 768

    def __init__(self, **options: Any) -> None:
        names = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}  # as older files call them
        given = {new: options.pop(old) for old, new in names.items() if options.get(old) is not None}
        super().__init__(**{**options, "size": {**(options.get("size") or self.size), **given}})

    def _arrays(self, films: Sequence[torch.Tensor], option: Option) -> dict[str, Any]:
        side, merge, block = option("patch_size"), option("merge_size"), option("temporal_patch_size")
        least, most = option("size")["shortest_edge"], option("size")["longest_edge"]
        patches, grids = [], []
        for film in films:
            height, width = smart_resize(*film.shape[-2:], factor=side * merge, min_pixels=least, max_pixels=most)
            frames = _scaled(_resized(film, height, width), option)
            frames = torch.cat([frames, frames[-1:].expand(-len(frames) % block, -1, -1, -1)])
            grid = (len(frames) // block, height // side, width // side)
            cut = frames.reshape(grid[0], block, 3, grid[1] // merge, merge, side, grid[2] // merge, merge, side)
            patches.append(cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(grid[0] * grid[1] * grid[2], -1))
            grids.append(grid)
        return {"pixel_values_videos": torch.cat(patches), "video_grid_thw": torch.tensor(grids)}
