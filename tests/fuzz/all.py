"""All parsers that are fuzzed."""

from tests.fuzz import archives, labels, pictures, predictions, studies, weights, words

PARSERS = (
    *labels.PARSERS,
    *predictions.PARSERS,
    *archives.PARSERS,
    *weights.PARSERS,
    *studies.PARSERS,
    *pictures.PARSERS,
    *words.PARSERS,
)
