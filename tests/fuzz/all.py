"""All parsers that are fuzzed."""

from tests.fuzz import archives, labels, pictures, predictions, records, studies, weights, words

PARSERS = (
    *labels.PARSERS,
    *predictions.PARSERS,
    *archives.PARSERS,
    *weights.PARSERS,
    *studies.PARSERS,
    *pictures.PARSERS,
    *records.PARSERS,
    *words.PARSERS,
)
