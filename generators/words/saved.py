"""The folder of a saved words model, and its lexicon, which is loaded without torch."""

from __future__ import annotations

from pathlib import Path

from envs import UserError
from envs.records import read_config
from generators.saving import CONFIG_FILE
from generators.words.lexicon import Lexicon

#: What config.json calls the folder of a saved model, and where it keeps the lexicon.
KIND, LEXICON = "words", "lexicon"

#: Where the folder of a run keeps the model.
WORDS_FOLDER = "words"


def config_path(folder: Path | str) -> Path:
    """Returns the config.json of a saved model.

    Args:
        folder: of the model, or of the run that trained it.

    Raises:
        UserError: it is none.
    """
    place = Path(folder)
    if (place / WORDS_FOLDER / CONFIG_FILE).exists():
        place = place / WORDS_FOLDER
    path = place / CONFIG_FILE
    if read_config(path).get("kind") != KIND:
        raise UserError(f"{path} does not describe a words model; give the folder that experiments.train_words left.")
    return path


def load_lexicon(folder: Path | str) -> Lexicon:
    """Loads the lexicon of a saved model: all that reading prompts by the grammar takes.

    Raises:
        UserError: a file is missing or damaged, or does not fit the problem.
    """
    path = config_path(folder)
    config = read_config(path)
    try:
        return Lexicon.parse(config[LEXICON])
    except KeyError as error:
        raise UserError(f"{path} is damaged (it has no {error}); train the model again.") from error
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; train the model again.") from error
