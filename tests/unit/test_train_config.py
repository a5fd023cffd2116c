"""Reading the configuration of a run, and words of the tokenizer made for it."""

from pathlib import Path

import pytest

import recipes.wave_nano
from recipes.wave_nano.config import STAGES, TrainConfig
from recipes.wave_nano.vocabulary import SPECIAL_TOKENS, train_tokenizer
from wave_search.errors import UsageError

SHIPPED = Path(recipes.wave_nano.__file__).parent / "nano.toml"


def test_the_shipped_configuration() -> None:
    config = TrainConfig.read(SHIPPED)
    assert [config.schedule(stage).steps for stage in STAGES] == [7500, 600, 5000, 300, 2400]
    assert config.held_out_fold not in config.training_folds


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("seed = 0", "", "missing required field `seed`"),
        ("seed = 0", 'seed = "0"', "seed: Expected `int`, got `str`"),
        ("[stages.vision]", "[stages.look]", "stages: Object contains unknown field `look`"),
        ("steps = 7500", "step = 7500", "stages.text: Object contains unknown field `step`"),
        ("icons = ", "icon = ", "inputs: Object contains unknown field `icon`"),
        ("= [1", "= (1", "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_file_and_key(tmp_path: Path, old: str, new: str, cause: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(SHIPPED.read_text().replace(old, new))
    with pytest.raises(UsageError) as error:
        TrainConfig.read(path)
    assert error.value.message.startswith(f"{path}: ")
    assert cause in error.value.message


def test_the_tokenizer_reads_any_text_and_puts_special_tokens_last() -> None:
    tokenizer = train_tokenizer(["dog", "bark", "rain"], ["barking"], ["a dog barking"], 330)
    assert tokenizer.encode("A Dog barking").tokens == tokenizer.encode("a dog barking").tokens
    assert tokenizer.decode(tokenizer.encode("größe 犬 🐕").ids).strip() == "größe 犬 🐕"
    size = tokenizer.get_vocab_size()
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(size - len(SPECIAL_TOKENS), size))
