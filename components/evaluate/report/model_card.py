"""The model card: what the model is for and how good it is, as Hugging Face's hub reads it."""

import logging
from collections.abc import Mapping
from typing import Any

from components.evaluate.report.templates import templates
from components.evaluate.sections import ModelCardSettings

TEMPLATE = "model_card.md.j2"
LABELS = 100
"""Labels that are named and shown in the table."""
_NAMES = {"auc": "roc_auc", "macro_f1": "f1"}
"""Metrics that the hub calls otherwise."""


def model_card(name: str, stated: ModelCardSettings, shown: Mapping[str, Any]) -> str:
    """Writes a model card (Mitchell et al., Model Cards for Model Reporting, FAT* 2019).

    Args:
        name: What the model is called.
        stated: What people say of it.
        shown: What the report's template shows: the verdict, the metrics and the rest.

    Returns:
        Markdown with the hub's metadata in front.
    """
    # It warns that PyTorch is missing.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    from huggingface_hub import EvalResult, ModelCardData

    overall = shown["overall"]
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="imagefolder",
            dataset_name="test split",
            metric_type=_NAMES.get(metric, metric),
            metric_name=shown["known_metrics"][metric].title,
            metric_value=overall["metrics"][metric],
        )
        for metric in shown["headlines"]
        if overall["metrics"][metric] is not None
    ]
    data = ModelCardData(
        model_name=name,
        license=stated.license,
        pipeline_tag="image-classification",
        library_name="keras",
        tags=["darkroom", "image-classification"],
        eval_results=results,
    )
    environment = templates(is_html=False)
    cell = environment.filters["cell"]
    names = ", ".join(cell(label) for label in shown["labels"][:LABELS])
    return environment.get_template(TEMPLATE).render(
        shown,
        name=name,
        stated=stated,
        card_data=data.to_yaml(),
        shown_labels=names,
        label_limit=LABELS,
    )
