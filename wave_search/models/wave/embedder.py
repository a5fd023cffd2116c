"""The embedder of the WAVE family."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from wave_search.batches import map_ahead
from wave_search.errors import ModelError, UsageError
from wave_search.models.base import ModelSpec
from wave_search.models.device import free_bytes
from wave_search.models.wave import sequences
from wave_search.models.wave.batch import packs, token_budget
from wave_search.models.wave.clips import PROMPTS, check_clip, prompt_of, wanted_modalities
from wave_search.models.wave.family import options_of
from wave_search.models.wave.network import components_for
from wave_search.models.wave.preprocess import prepare, seconds_per_grid
from wave_search.models.wave.sequences import AudioFeatures, TokenSequence, VisionFeatures
from wave_search.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wave_search.models.families import Source
    from wave_search.models.wave.network import Component, Wave
    from wave_search.models.wave.preprocess import AudioPiece, Patches, Prepared
    from wave_search.models.wave.tokenizer import TextTokenizer
    from wave_search.types import Clip, Frames, Quantization

    Vectors = dict[Modality, NDArray[np.float32]]

_WAITING_PACKS = 4
"""Number of packs collected before the decoder runs. More allow larger batches of one shape, but take memory."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The embedding of a clip as one modality, with one vector for each prompt."""

    clip: int
    modality: Modality
    sequence: TokenSequence


_Done = tuple[list[_Job], torch.Tensor]
"""Jobs, and their vectors on the device, one per prompt."""


class WaveEmbedder:
    """Embeds text, images, audio and video with a WAVE model. See `wave_search.models.Embedder`.

    May be called from several threads; the calls are serialised.
    """

    def __init__(
        self,
        wave: Wave,
        tokenizer: TextTokenizer,
        source: Source,
        options: Mapping[str, str] | None = None,
        quantization: Quantization | None = None,
        *,
        require: Callable[[Iterable[Component]], None] | None = None,
        token_budget: int | None = None,
    ) -> None:
        """Combine a model and its tokenizer.

        Args:
            wave: the model, with its weights.
            tokenizer: that of the same checkpoint.
            source: name, revision and directory of the checkpoint.
            options: all options of the family; None for the defaults.
            quantization: of the decoder.
            require: loads components of the model before they are used; None if all are loaded.
            token_budget: maximum number of tokens that the decoder processes at once; None to derive it from the free
                memory.
        """
        self._require = require
        self._token_budget = token_budget
        self.wave = wave
        self.tokenizer = tokenizer
        self._lock = Lock()
        self._spec = ModelSpec(
            name=source.name,
            revision=source.revision,
            dim=wave.config.hidden_size,
            modalities=tuple(Modality),
            sampling=wave.config.sampling,
            prompts=dict(PROMPTS),
            options=options_of({}) if options is None else dict(options),
            notice=source.notice,
            quantization=quantization,
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
    ) -> list[Vectors]:
        """Embed each clip as each of `modalities` that it has (None for all).

        Each clip passes through each tower once. A result does not depend on the other clips in the call. Memory is
        bounded by the longest clip and a fixed number of waiting tokens, not by the number of clips.

        Args:
            clips: decoded clips, sampled according to `spec.sampling`.
            modalities: modalities to embed.
            instruction: replaces the prompt of media; text is embedded without a prompt and ignores it.

        Returns:
            For each clip, modality -> (dim,) float32 of unit norm.

        Raises:
            ValueError: a clip is not sampled according to `spec.sampling`, or has none of the modalities.
            UsageError: a text or the instruction is empty, or a clip is too long for the model.
            ModelError: the model computes non-finite values, its configuration does not fit its weights, or the memory
                of the device is too small.
            CheckpointError: a component of the model cannot be read on its first use.
        """
        return [vectors for (vectors,) in self.embed_each(clips, [instruction], modalities)]

    def embed_each(
        self,
        clips: Sequence[Clip],
        instructions: Sequence[str | None],
        modalities: Sequence[Modality] | None = None,
    ) -> list[list[Vectors]]:
        """Embed each clip with each of several instructions; use None for the default prompts.

        The instructions share the towers and the decoder's computation on the media, so that each costs little more
        than its own tokens.

        Returns:
            For each clip, for each instruction, what `embed` returns.

        Raises:
            ValueError: there are no instructions; otherwise as `embed`.
        """
        if not instructions:
            raise ValueError("no instructions; use None for the default prompts")
        for clip in clips:
            wanted_modalities(clip, modalities)
            check_clip(clip, self._spec.sampling)
        try:
            with self._lock, torch.inference_mode():
                return self._embed(clips, instructions, modalities)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"the memory of {self.wave.device} is too small for a batch",
                "Cut the media into shorter segments, load the model in 4 bit, or use the CPU.",
            ) from error
        except (RuntimeError, ArithmeticError, IndexError, TypeError) as error:  # of sizes that only their use checks
            cause = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise ModelError(
                f"{self._spec.name}: the model cannot be computed ({cause})",
                "Check that its config.json and its tokenizer are those that its weights were published with.",
            ) from error

    @property
    def token_budget(self) -> int:
        """Maximum number of tokens that the decoder processes at once; derived from the free memory on first use."""
        if self._token_budget is None:
            weight = self.wave.model.norm.weight
            self._token_budget = token_budget(
                free_bytes(weight.device), self.wave.config.hidden_size, weight.itemsize, weight.device.type
            )
        return self._token_budget

    def _embed(
        self, clips: Sequence[Clip], instructions: Sequence[str | None], modalities: Sequence[Modality] | None
    ) -> list[list[Vectors]]:
        results: list[list[Vectors]] = [[{} for _ in instructions] for _ in clips]
        wanted = [frozenset(wanted_modalities(clip, modalities)) for clip in clips]
        if self._require is not None:
            self._require(components_for(frozenset().union(*wanted)))
        prepared = map_ahead(lambda pair: prepare(self.wave.config, *pair), list(zip(clips, wanted, strict=True)))
        waiting: list[_Job] = []
        done: list[_Done] = []
        for number, inputs in enumerate(prepared):
            made = self.lay_out(clips[number], inputs, wanted[number], instructions)
            waiting += [_Job(number, modality, sequence) for modality, sequence in made.items()]
            if sum(len(job.sequence) for job in waiting) > _WAITING_PACKS * self.token_budget:
                done += self._run(waiting)
                waiting = []
        done += self._run(waiting)
        # Read last, because reading a result synchronises with the device.
        for jobs, rows in done:
            _distribute(jobs, rows.float().cpu().numpy(), results)
        return results

    def lay_out(
        self, clip: Clip, inputs: Prepared, modalities: frozenset[Modality], instructions: Sequence[str | None]
    ) -> dict[Modality, TokenSequence]:
        """Run the towers needed to embed a clip as `modalities`, and lay out the decoder's input.

        For training, which runs the decoder itself; `embed` includes this step.

        Args:
            clip: as for `embed`.
            inputs: the result of `prepare` for the clip.
            modalities: the modalities to embed as, all of which the clip has.
            instructions: as for `embed_each`.

        Raises:
            UsageError: a text or an instruction is empty, or the clip is too long for the model.
        """
        config, encode = self.wave.config, self.tokenizer.encode
        prompts = {
            modality: [encode(prompt_of(modality, instruction)) for instruction in instructions]
            for modality in modalities - {Modality.TEXT}
        }
        made: dict[Modality, TokenSequence] = {}
        if clip.text is not None and Modality.TEXT in modalities:
            made[Modality.TEXT] = sequences.text_sequence(config, encode(clip.text))
        if inputs.image is not None:
            made[Modality.IMAGE] = sequences.image_sequence(config, prompts[Modality.IMAGE], self._vision(inputs.image))
        audio = self._audio(inputs.audio) if inputs.audio else None
        vision = self._vision(inputs.video, clip.frames) if inputs.video else None
        if audio and Modality.AUDIO in modalities:
            made[Modality.AUDIO] = sequences.audio_sequence(config, prompts[Modality.AUDIO], audio)
        if vision and Modality.VIDEO in modalities:
            made[Modality.VIDEO] = sequences.video_sequence(config, prompts[Modality.VIDEO], vision)
        if vision and audio and Modality.AV in modalities:
            made[Modality.AV] = sequences.audiovisual_sequence(
                config, prompts[Modality.AV], vision, audio, self._spec.options["positions"]
            )
        self._check_lengths(made)
        return made

    def _vision(self, patches: Patches, frames: Frames | None = None) -> VisionFeatures:
        tokens = self.wave.vision_features(patches)
        step_s = seconds_per_grid(self.wave.config, frames.duration_s, len(frames.pixels)) if frames else 0.0
        return VisionFeatures(tokens, patches.grid_thw, step_s)

    def _audio(self, pieces: Sequence[AudioPiece]) -> AudioFeatures:
        return AudioFeatures(self.wave.audio_features(pieces), len(pieces))

    def _check_lengths(self, made: Mapping[Modality, TokenSequence]) -> None:
        limit = self.wave.config.decoder.max_position_embeddings
        for modality, sequence in made.items():
            if len(sequence) > limit:
                raise UsageError(
                    f"a clip has {len(sequence)} tokens as {modality}; the model's limit is {limit}",
                    "Cut it into shorter segments.",
                )

    def _run(self, jobs: Sequence[_Job]) -> Iterator[_Done]:
        """Embed the jobs in packs."""
        texts = [job for job in jobs if job.modality is Modality.TEXT]
        media = [job for job in jobs if job.modality is not Modality.TEXT]
        for group, embed in ((texts, self.wave.embed_text), (media, self.wave.embed_media)):
            for pack in packs(group, lambda job: job.sequence.shape, self.token_budget):
                yield pack, embed([job.sequence for job in pack])


def _distribute(jobs: Sequence[_Job], rows: NDArray[np.float32], results: list[list[Vectors]]) -> None:
    """Assign each vector to its clip and instruction; that of a text, which has no instruction, to all of them."""
    start = 0
    for job in jobs:
        stop = start + max(1, len(job.sequence.endings))
        units = [_unit(row, job) for row in rows[start:stop]]
        for number, vectors in enumerate(results[job.clip]):
            vectors[job.modality] = units[min(number, len(units) - 1)]
        start = stop


def _unit(row: NDArray[np.float32], job: _Job) -> NDArray[np.float32]:
    norm = float(np.linalg.norm(row))
    if not 0 < norm < np.inf:
        raise ModelError(
            f"clip {job.clip + 1} as {job.modality}: the model computes values that are not finite",
            "Load it with the dtype float32.",
        )
    unit: NDArray[np.float32] = row / np.float32(norm)
    return unit
