"""The ablations of the paper at a small scale.

They start from the stages `text`, `audio` and `vision` of a run, and train everything together for a few steps. Only
the differences are meaningful, not the absolute figures. Sounds are those of the held-out fold; videos are new scenes
in the styles of training.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from recipes.wave_nano.captions import scene_caption
from recipes.wave_nano.joint import AUDIO_TASKS, JointStage
from recipes.wave_nano.materials import Materials, prepare
from recipes.wave_nano.scenes import SIZES, Scene, random_scene
from recipes.wave_nano.stages import unaligned_model
from wave_search.evaluation.metrics import similarity_figures
from wave_search.finetune.distributed import ProcessGroup
from wave_search.finetune.loop import Progress, Schedule, run
from wave_search.models.wave.sequences import AudioFeatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recipes.wave_nano.config import TrainConfig
    from wave_search.models.wave.network import Wave
    from wave_search.models.wave.preprocess import AudioPiece

_SEEDS = (0, 1, 2)
_VIDEOS = 60
_PICTURE_TASKS = {"text_video": 1.0}
_BOTH_TASKS = {"text_audio": 0.5, "text_video": 0.5}


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table."""

    name: str
    tasks: Mapping[str, float]
    encoders: tuple[int, ...] = (0, 1)
    """Encoder whose token of each pair is used: 0 for the audio tower, 1 for the classifier of sounds."""
    all_layers: bool = True
    """Whether the fusion head uses more than the last layer."""


VARIANTS = (
    Variant("all layers, both encoders, sounds only", AUDIO_TASKS),
    Variant("last layer", AUDIO_TASKS, all_layers=False),
    Variant("audio tower alone", AUDIO_TASKS, encoders=(0,)),
    Variant("classifier of sounds alone", AUDIO_TASKS, encoders=(1,)),
    Variant("pictures only", _PICTURE_TASKS),
    Variant("sounds and pictures, as many steps of each", _BOTH_TASKS),
)


class Partial(JointStage):
    """Joint training without a part of the model."""

    def __init__(self, wave: Wave, materials: Materials, variant: Variant) -> None:
        super().__init__(wave, materials, variant.tasks)
        self._variant = variant
        if not variant.all_layers:
            weight, dim = cast("torch.Tensor", wave.classify_linear[0].weight), wave.config.hidden_size
            used = torch.arange(weight.shape[1]) >= weight.shape[1] - dim
            weight.data *= used
            weight.register_hook(lambda gradient: gradient * used)  # type: ignore[no-untyped-call]

    def _features(self, pieces: Sequence[AudioPiece]) -> list[AudioFeatures]:
        kept = list(self._variant.encoders)
        pairs = [audio.tokens.view(-1, 2, audio.tokens.shape[-1]) for audio in super()._features(pieces)]
        return [AudioFeatures(pair[:, kept].flatten(0, 1)) for pair in pairs]

    def validate(self) -> dict[str, float]:
        """Return the accuracy of text to audio, and hit@1 of text to video."""
        rng = np.random.default_rng(0)
        scenes: dict[Scene, None] = {}
        while len(scenes) < _VIDEOS:
            scenes[random_scene(rng, self._subjects)] = None
        pixels, labels = self._pictures.draw(rng, list(scenes), SIZES[0]), self._drawn_labels(rng, list(scenes), 2)
        videos = self._embed_videos(pixels, labels)
        texts = self._embed_texts([scene_caption(rng, scene) for scene in scenes])
        cosines = F.normalize(texts, dim=-1) @ F.normalize(videos, dim=-1).T
        hits = similarity_figures(cosines.float().numpy(), np.eye(_VIDEOS, dtype=bool))["hit@1"]
        return super().validate() | {"text_video_hit": float(hits.mean())}


def measure(config: TrainConfig, materials: Materials, variant: Variant, seed: int, steps: int) -> dict[str, float]:
    """Train one variant for some steps on each of its tasks, and compute its metrics."""
    torch.manual_seed(seed)
    stage = Partial(unaligned_model(config), materials, variant)
    total = steps * len(variant.tasks)
    schedule = Schedule(total, 8e-4, warm_up_steps=5, checkpoint_every=total, bfloat16=True)
    last: list[Progress] = []
    with tempfile.TemporaryDirectory() as directory:
        run(stage, schedule, Path(directory), seed, last.append, group=ProcessGroup("cpu"))
    return {name: last[-1].figures[name] for name in ("text_audio_accuracy", "text_video_hit")}


def row(name: str, figures: Sequence[Mapping[str, float]]) -> str:
    """Format a row of the table: mean and standard deviation over the seeds."""
    columns = [[each[key] for each in figures] for key in ("text_audio_accuracy", "text_video_hit")]
    cells = [f"{mean(values):.3f} +- {stdev(values):.3f}" for values in columns]
    return f"| {name} | {' | '.join(cells)} |"


def ablation_table(config: TrainConfig, steps: int) -> Iterator[str]:
    """Train each variant with each seed, and yield the rows of a Markdown table as they are completed.

    Args:
        config: of a run whose stages `text`, `audio` and `vision` are finished.
        steps: number of steps per task.
    """
    materials = prepare(config)
    yield "| variant | text to audio: accuracy | text to video: hit@1 of 60 |"
    yield "|---|---|---|"
    for variant in VARIANTS:
        yield row(variant.name, [measure(config, materials, variant, seed, steps) for seed in _SEEDS])
