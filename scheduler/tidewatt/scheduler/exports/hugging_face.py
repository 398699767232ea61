r"""`co2_eq_emissions` of a Hugging Face model card, in grams.

Fields as documented at huggingface.co/docs/hub/model-cards-co2. `huggingface_hub` reads the number with the
pattern `\d+\.\d+|\d+` from its text, so it is written in fixed point, and as a text where Python would
print it with a power of ten.
"""

from collections.abc import Sequence
from importlib.metadata import version

from tidewatt.scheduler.accounting.experiment import Fate
from tidewatt.scheduler.accounting.quantity import counted
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.exports.codecarbon import hardware
from tidewatt.scheduler.exports.facts import Facts
from tidewatt.scheduler.exports.fixed_point import fixed
from tidewatt.scheduler.exports.words import few, pues, zones

TRAINING_TYPES = ("pre-training", "fine-tuning")
_SMALLEST_PLAIN_G = 1e-4  # Python prints smaller ones with a power of ten
_MOST_NAMED = 5


def yaml_text(receipts: Sequence[Facts], training_type: str = "", location: str = "") -> str:
    """The metadata of the jobs together, failed and discarded runs among them.

    `training_type` is the user's word, `location` replaces what the zones tell.

    Raises:
        BadInput: where none has emissions by the average signal, or the type is not one that the Hub knows.
    """
    if training_type not in {"", *TRAINING_TYPES}:
        raise BadInput(f"there is no training type {training_type!r}: choose {' or '.join(TRAINING_TYPES)}")
    known = [(each, ledger) for each in receipts if (ledger := each.ledger("average")) is not None]
    if not known:
        raise BadInput(
            "no emissions by the average signal are known of this: a model card's number needs an account"
            " with observed intensity (`tidewatt show JOB` says what is missing)"
        )
    fields = {
        "emissions": number(sum(ledger.g for _, ledger in known)),
        "source": quoted(_source(receipts, [each for each, _ in known])),
        "training_type": quoted(training_type),
        "geographical_location": quoted(location or ", ".join(zones(receipts))),
        "hardware_used": quoted("; ".join(dict.fromkeys(filter(None, map(_machine, receipts))))),
    }
    lines = [f"  {name}: {value}" for name, value in fields.items() if value != '""']
    return "\n".join(["co2_eq_emissions:", *lines]) + "\n"


def number(grams: float) -> str:
    """A YAML scalar that every reader takes for the same grams."""
    text = fixed(grams)
    return f'"{text}"' if 0 < abs(grams) < _SMALLEST_PLAIN_G or abs(grams) >= 1e15 else text


def quoted(text: str) -> str:
    """A YAML text in double quotes; whatever steers a terminal or a parser is written out."""
    out = []
    for letter in text:
        if letter in '"\\':
            out.append(f"\\{letter}")
        elif letter.isprintable():
            out.append(letter)
        else:
            out.append(f"\\U{ord(letter):08X}")
    return f'"{"".join(out)}"'


def _source(receipts: Sequence[Facts], known: Sequence[Facts]) -> str:
    """How the number was got, and what is not in it."""
    ledgers = [each.ledger("average") for each in known]
    grids = few((f"{ledger.source} ({ledger.kind})" for ledger in ledgers if ledger is not None), _MOST_NAMED)
    hows = few((each.hows for each in known), _MOST_NAMED)
    parts = [
        f"Tidewatt {version('tidewatt')}: energy of the training's machines ({hows})"
        f" x average carbon intensity of the grid ({grids}) x PUE {few(pues(known), _MOST_NAMED)}",
        _runs(receipts),
    ]
    missing = len(receipts) - len(known)
    if missing:
        parts.append(f"{missing} of {len(receipts)} runs have no known emissions and are not in the number")
    boundaries = dict.fromkeys(each.account.boundary for each in known if each.account.boundary)
    return ". ".join([*parts, *boundaries])


def _runs(receipts: Sequence[Facts]) -> str:
    """How many runs there were, those that came to nothing among them."""
    fates = [each.fate for each in receipts]
    words = ((Fate.FAILED, "failed or cancelled"), (Fate.DISCARDED, "discarded"))
    counts = [f"{fates.count(fate)} {word}" for fate, word in words if fate in fates]
    runs = counted(len(receipts), "run")
    return f"{runs}, of them {' and '.join(counts)}" if counts else runs


def _machine(receipt: Facts) -> str:
    return hardware(receipt) or receipt.cpu_model
