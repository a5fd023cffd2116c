"""Decoded clips to vectors: the public face of the model."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from wave_search.errors import ModelError, UsageError
from wave_search.model import preprocess, sequences
from wave_search.model.batching import group_by_length
from wave_search.model.clips import check_clip, wanted_modalities
from wave_search.model.prompts import PROMPTS, prompt_of
from wave_search.model.sequences import AudioFeatures, TokenSequence, VisionFeatures
from wave_search.types import Modality, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.model.registry import Source
    from wave_search.model.tokenizer import TextTokenizer
    from wave_search.model.wave import Wave
    from wave_search.types import Clip, Frames, Waveform

_BATCH_TOKENS = 16_384
_WAITING_TOKENS = 4 * _BATCH_TOKENS
"""Sequences that wait for others of their length. More of them pad less, and take memory."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One vector to be computed."""

    clip: int
    modality: Modality
    sequence: TokenSequence


class WaveEmbedder:
    """Embeds text, images, sound and video with a WAVE model. See `wave_search.types.Embedder`.

    May be called from several threads; the calls run one after the other.
    """

    def __init__(
        self,
        wave: Wave,
        tokenizer: TextTokenizer,
        source: Source,
        positions: str = "sequential",
        quantization: str | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            wave: the model, with its weights.
            tokenizer: of the same checkpoint.
            source: where they are from.
            positions: how audio-visual positions are counted: "sequential" or "aligned".
            quantization: of the decoder. Part of the revision, because the vectors are others.
        """
        self._wave = wave
        self._tokenizer = tokenizer
        self._lock = Lock()
        self._spec = ModelSpec(
            name=source.name,
            revision=f"{source.revision}+{quantization}" if quantization else source.revision,
            dim=wave.config.hidden_size,
            modalities=tuple(Modality),
            sampling=wave.config.sampling,
            prompts=dict(PROMPTS),
            positions=positions,
            notice=source.notice,
        )

    @property
    def spec(self) -> ModelSpec:
        """What the vectors depend on."""
        return self._spec

    def embed(
        self,
        clips: Sequence[Clip],
        modalities: Sequence[Modality] | None = None,
        instruction: str | None = None,
    ) -> list[dict[Modality, NDArray[np.float32]]]:
        """Embed each clip as each of `modalities` that it has (all that it has, if None).

        Each clip passes through each tower once. A result does not depend on the other clips of the call. Memory is
        bounded by the longest clip and a fixed number of waiting tokens, not by the number of clips.

        Args:
            clips: decoded clips, sampled as `spec.sampling` says.
            modalities: which to embed.
            instruction: replaces the prompt of media; text is embedded bare and ignores it.

        Returns:
            For each clip, modality -> (dim,) float32 of unit norm.

        Raises:
            ValueError: a clip is not sampled as `spec.sampling` says, or has none of the modalities.
            UsageError: a text or the instruction is empty, or a clip is too long for the model.
            ModelError: the model yields values that are not finite, or the memory of the device is too small.
        """
        for clip in clips:
            wanted_modalities(clip, modalities)
            check_clip(clip, self._spec.sampling)
        try:
            with self._lock, torch.inference_mode():
                return self._embed(clips, modalities, instruction)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"the memory of {self._wave.device} is too small for a batch",
                "Cut the media into shorter segments, load the model in 4 bit, or use the CPU.",
            ) from error

    def _embed(
        self, clips: Sequence[Clip], modalities: Sequence[Modality] | None, instruction: str | None
    ) -> list[dict[Modality, NDArray[np.float32]]]:
        results: list[dict[Modality, NDArray[np.float32]]] = [{} for _ in clips]
        waiting: list[_Job] = []
        for number, clip in enumerate(clips):
            wanted = frozenset(wanted_modalities(clip, modalities))
            prepared = self._sequences(clip, wanted, instruction)
            waiting += [_Job(number, modality, sequence) for modality, sequence in prepared.items()]
            if sum(len(job.sequence) for job in waiting) > _WAITING_TOKENS:
                self._run(waiting, results)
                waiting = []
        self._run(waiting, results)
        return results

    def _sequences(
        self, clip: Clip, wanted: frozenset[Modality], instruction: str | None
    ) -> dict[Modality, TokenSequence]:
        """Run the towers on what is wanted of a clip, and lay out the decoder's input."""
        config, encode = self._wave.config, self._tokenizer.encode
        prompts = {modality: encode(prompt_of(modality, instruction)) for modality in wanted - {Modality.TEXT}}
        made: dict[Modality, TokenSequence] = {}
        if clip.text is not None and Modality.TEXT in wanted:
            made[Modality.TEXT] = sequences.text_sequence(config, encode(clip.text))
        if clip.image is not None and Modality.IMAGE in wanted:
            image = self._look(clip.image)
            made[Modality.IMAGE] = sequences.image_sequence(config, prompts[Modality.IMAGE], image)
        audio = self._hear(clip.waveform) if clip.waveform and wanted & {Modality.AUDIO, Modality.AV} else None
        vision = self._see(clip.frames) if clip.frames and wanted & {Modality.VIDEO, Modality.AV} else None
        if audio and Modality.AUDIO in wanted:
            made[Modality.AUDIO] = sequences.audio_sequence(config, prompts[Modality.AUDIO], audio)
        if vision and Modality.VIDEO in wanted:
            made[Modality.VIDEO] = sequences.video_sequence(config, prompts[Modality.VIDEO], vision)
        if vision and audio and Modality.AV in wanted:
            made[Modality.AV] = sequences.audiovisual_sequence(
                config, prompts[Modality.AV], vision, audio, self._spec.positions
            )
        self._check_lengths(made)
        return made

    def _look(self, pixels: NDArray[np.uint8]) -> VisionFeatures:
        patches = preprocess.image_patches(self._wave.config, pixels)
        return VisionFeatures(self._wave.vision_features(patches.rows, patches.grid_thw), patches.grid_thw)

    def _see(self, frames: Frames) -> VisionFeatures:
        config = self._wave.config
        patches = preprocess.video_patches(config, frames.pixels)
        return VisionFeatures(
            self._wave.vision_features(patches.rows, patches.grid_thw),
            patches.grid_thw,
            preprocess.seconds_per_grid(config, frames.duration_s, len(frames.pixels)),
        )

    def _hear(self, waveform: Waveform) -> AudioFeatures:
        pieces = preprocess.audio_pieces(self._wave.config, waveform.samples)
        return AudioFeatures(self._wave.audio_features(pieces), len(pieces))

    def _check_lengths(self, made: Mapping[Modality, TokenSequence]) -> None:
        limit = int(self._wave.config.thinker.text_config.max_position_embeddings)
        for modality, sequence in made.items():
            if len(sequence) > limit:
                raise UsageError(
                    f"a clip makes {len(sequence)} tokens as {modality}; the model takes {limit}",
                    "Cut it into shorter segments.",
                )

    def _run(self, jobs: Sequence[_Job], results: list[dict[Modality, NDArray[np.float32]]]) -> None:
        """Embed the jobs in batches of similar length, and file each vector with its clip."""
        texts = [job for job in jobs if job.modality is Modality.TEXT]
        media = [job for job in jobs if job.modality is not Modality.TEXT]
        for kind, embed in ((texts, self._wave.embed_text), (media, self._wave.embed_media)):
            for group in group_by_length([len(job.sequence) for job in kind], _BATCH_TOKENS):
                batch = [kind[position] for position in group]
                rows = embed([job.sequence for job in batch]).float().cpu().numpy()
                for job, row in zip(batch, rows, strict=True):
                    results[job.clip][job.modality] = _unit(row, job)


def _unit(row: NDArray[np.float32], job: _Job) -> NDArray[np.float32]:
    norm = float(np.linalg.norm(row))
    if not 0 < norm < np.inf:
        raise ModelError(
            f"clip {job.clip + 1} as {job.modality}: the model gives values that are not finite",
            "Load it with the dtype float32.",
        )
    unit: NDArray[np.float32] = row / np.float32(norm)
    return unit
