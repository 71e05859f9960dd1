"""The model card of a fitted model."""

from __future__ import annotations

from collections.abc import Mapping

from paraspinal.differential.evaluation.page import markdown_table, told
from paraspinal.differential.evaluation.scores import Figure
from paraspinal.differential.evaluation.sensitivity import sources
from paraspinal.differential.fit import INHERITED_AT_MOST, SHARE_CASES
from paraspinal.differential.model import DifferentialModel

_COLUMNS = {
    "log_loss": "log-loss",
    "top1": "top-1",
    "top2": "top-2",
    "brier": "Brier",
    "emh_auc": "EMH AUC",
    "slope": "calibration slope",
}


def fit_card(model: DifferentialModel, evaluation: Mapping[str, Mapping[str, Figure]], *, folds: int) -> str:
    """Return the card; `evaluation` is that of `cross_validated`."""
    fitted = model.fitted
    assert fitted is not None
    cells = [cell for variable in model.variables.values() for cell in variable.cells.values()]
    moved = [cell for cell in cells if cell.added]
    mix = ", ".join(f"{entity} {count}" for entity, count in fitted.per_entity.items())
    grades = ", ".join(f"{g} {sum(cell.grade == g for cell in cells)}" for g in "ABC")
    rows = [(who, *(told(figures[name]) for name in _COLUMNS)) for who, figures in evaluation.items()]
    return f"""# Model card: {model.name}

{model.summary}
Counts of {fitted.base} with {fitted.cases} confirmed cases added. Research use only; not a medical device, not for
diagnosis; it gives no advice on any procedure.

## Cases
{fitted.cases} cases ({mix}),
each with the weight {fitted.weight:g}; digest of their findings and diagnoses: `{fitted.digest}`.
No case is named here and none can be read out of the counts but where a cell holds very few.

## What was changed
{len(moved)} of {len(cells)} frequencies carry `added` counts beside those of the base (grades of these: {grades}).
What a case did not mention added nothing. A case counts for each sub-kind of its entity by its posterior share.
Frequencies that an entity had from `default` became its own, with at most {INHERITED_AT_MOST:g} inherited
pseudo-counts; the shares of sub-kinds began as {SHARE_CASES:g} cases. Couplings, reliabilities, abstention and
priors are those of the base.

## Evaluation, cross-validated
Every case was judged by a fit that had not seen it ({folds} folds); the base had seen none of them, unless they were
among what it was written from. Prior `uniform`; brackets: 95 % bootstrap interval.

{markdown_table(("who", *_COLUMNS.values()), rows)}

The model in this folder has seen all cases: score it on others.

## Limits
- The mix and the findings are those of the cases that were collected; another clinic's differ.
- Where cases were confirmed because of how they looked, the counts make such looks too certain.
- All limits of the base hold: see its model card.

## Sources
Codes in `findings/findings.toml`, explained in the model card of the base: {", ".join(sources(model))}.
"""
