"""An evaluation as a page of markdown, which reads in a terminal, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paraspinal.differential.evaluation.evaluate import Block, Evaluation
from paraspinal.differential.evaluation.scores import Figure

_COLUMNS = {
    "log_loss": "log-loss",
    "top1": "top-1",
    "top2": "top-2",
    "brier": "Brier",
    "emh_auc": "EMH AUC",
    "emh_sensitivity": "EMH sensitivity",
    "emh_specificity": "EMH specificity",
}
_CALIBRATION = {
    "slope": "slope, all entities",
    "emh_slope": "slope, EMH",
    "emh_intercept": "intercept, EMH",
    "expected_top1": "top-1 that the model expects",
}
_NOTE = (
    "Brackets: 95 % bootstrap interval over cases. Subset: three findings or more other than levels and clinical "
    "context. EMH is called where it comes first. Calibration: slope 1 and intercept 0 are perfect, a slope below 1 "
    "is overconfident; draws in which some probability divides EMH from the rest have no slope and are left out."
)


def evaluation_page(found: Evaluation, *, source: str) -> str:
    """Return the page; `source` says which cases they were."""
    first = found.blocks[0]
    return "\n\n".join(
        [
            f"# Evaluation of {found.model}",
            f"{first.n} cases ({first.emh} EMH) of {source}; prior `{found.prior}`; {found.draws} bootstrap draws.",
            _NOTE,
            "## Scores\n\n" + _table(found.blocks, _COLUMNS, abstains=True),
            "## Calibration\n\n" + _table(found.blocks, _CALIBRATION),
            "## Per entity\n\n" + _classes(found),
            "## Beside the baselines\n\n" + _baselines(found),
            "Research use only. Published or selected cases are not a clinic's: frequencies there differ.",
        ]
    )


def told(figure: Figure | None) -> str:
    """Return ``0.65 (0.49\u20130.78)``, or a dash."""
    if figure is None or figure.value is None:
        return "\u2013"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2f}"
    return f"{figure.value:.2f} ({figure.low:.2f}\u2013{figure.high:.2f})"


def _table(blocks: tuple[Block, ...], columns: Mapping[str, str], *, abstains: bool = False) -> str:
    more = ("abstains", "right when named") if abstains else ()
    head = ("cases", "evidence", "n (EMH)", *columns.values(), *more)
    rows = [
        (
            block.stratum,
            block.evidence,
            f"{block.n} ({block.emh})",
            *(told(block.scores[name]) for name in columns),
            *(
                (str(block.abstained), f"{block.right_when_named}/{block.n - block.abstained}")
                if abstains
                else ()
            ),
        )
        for block in blocks
    ]
    return markdown_table(head, rows)


def markdown_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table whose columns are padded, so that it reads as plain text."""
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _classes(found: Evaluation) -> str:
    head = ("entity", "cases", "evidence", "n", "first", "first two", "mean probability", "AUC")
    rows = [
        (
            score.entity,
            block.stratum,
            block.evidence,
            str(score.n),
            str(score.first),
            str(score.first_two),
            "\u2013" if score.mean_probability is None else f"{score.mean_probability:.2f}",
            told(score.auc),
        )
        for stratum in ("all", "subset")
        for block in found.blocks
        if block.stratum == stratum
        for score in block.classes
        if score.n
    ]
    return markdown_table(head, rows)


def _baselines(found: Evaluation) -> str:
    head = ("cases", "evidence", "who", *_COLUMNS.values())
    rows: list[tuple[str, ...]] = []
    for block in found.blocks:
        each: dict[str, Mapping[str, Figure]] = {"model": block.scores, **block.baselines}
        for who, figures in each.items():
            rows.append((block.stratum, block.evidence, who, *(told(figures.get(name)) for name in _COLUMNS)))
    return markdown_table(head, rows)
