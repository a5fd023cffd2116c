"""Time of a clip by stage."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import torch

from wave_search.models.wave import preprocess
from wave_search.models.wave.clips import PROMPTS
from wave_search.models.wave.sequences import (
    AudioFeatures,
    VisionFeatures,
    audio_sequence,
    audiovisual_sequence,
    video_sequence,
)
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wave_search.models.wave.embedder import WaveEmbedder
    from wave_search.types import Clip

_ROUNDS = 3


@torch.inference_mode()
def split(embedder: WaveEmbedder, clip: Clip, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Return the seconds of each stage of a video with audio, embedded as all three modalities, without overlap."""
    wave, config = embedder.wave, embedder.wave.config
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        times = []
        for _ in range(_ROUNDS):
            started = clock()
            result = work()
            if wave.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(clock() - started)
        seconds[stage] = median(times)
        return result

    patches = timed("cut into patches", lambda: preprocess.video_patches(config, clip.frames.pixels))
    pieces = timed("spectra", lambda: preprocess.audio_pieces(config, clip.waveform.samples))
    rows = timed("vision tower", lambda: wave.vision_features(patches))
    sound = timed("audio tower and BEATs", lambda: wave.audio_features(pieces))
    step_s = preprocess.seconds_per_grid(config, clip.frames.duration_s, len(clip.frames.pixels))
    vision, audio = VisionFeatures(rows, patches.grid_thw, step_s), AudioFeatures(sound)
    prompts = {modality: [embedder.tokenizer.encode(prompt)] for modality, prompt in PROMPTS.items()}
    built = {
        Modality.AUDIO: audio_sequence(config, prompts[Modality.AUDIO], audio),
        Modality.VIDEO: video_sequence(config, prompts[Modality.VIDEO], vision),
        Modality.AV: audiovisual_sequence(config, prompts[Modality.AV], vision, audio),
    }
    for modality, sequence in built.items():
        timed(f"decoder, {modality} ({len(sequence)} tokens)", lambda sequence=sequence: wave.embed_media([sequence]))
    whole = sum(seconds.values())
    return [{"stage": stage, "seconds": taken, "share": taken / whole} for stage, taken in seconds.items()]
