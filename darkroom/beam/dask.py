"""Beam's DaskRunner without two of its traps: https://github.com/apache/beam, runners/dask.

It computes only the last transform of a graph, and says DONE of one with several ends; and each
flattening adds up the partitions of what it joins, so that a graph of some joins has thousands.
"""

import logging
from typing import Any

import dask
import dask.bag
import dask.distributed
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.runners.dask import transform_evaluator
from apache_beam.runners.dask.dask_runner import DaskOptions, DaskRunner, DaskRunnerResult
from apache_beam.runners.dask.overrides import _Flatten, dask_overrides


class Runner(DaskRunner):  # type: ignore[misc]
    """Runs a pipeline on a Dask cluster; without an address on one of this machine's cores."""

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> DaskRunnerResult:
        """Starts all ends of the graph."""
        given = options.view_as(DaskOptions).get_all_options(drop_default=True, current_only=True)
        # A line for each worker that comes and goes.
        logging.getLogger("distributed").setLevel(logging.WARNING)
        bag_options = DaskOptions._extract_bag_kwargs(given)
        try:
            client = dask.distributed.Client(**given)
        except Exception as error:
            # What answers may be no scheduler, but a dashboard: its bytes lead to any error.
            address = given.get("address")
            raise ConnectionError(f"no Dask scheduler at {address}: {error}") from error
        pipeline.replace_all(dask_overrides())
        visitor = self.to_dask_bag_visitor(bag_options)
        pipeline.visit(visitor)
        futures = client.compute(list(dask.optimize(*_ends(visitor.bags))))
        return DaskRunnerResult(client, futures)


def _ends(bags: dict[Any, Any]) -> list[Any]:
    """The bags that no further transform takes."""
    taken = {value.producer for applied in bags for value in applied.inputs}
    # Views of side inputs are read by transforms that do not name them among their inputs.
    taken |= {side.pvalue.producer for applied in bags for side in applied.side_inputs}
    ends = [bag for applied, bag in bags.items() if applied not in taken and not applied.parts]
    return [bag for bag in ends if isinstance(bag, dask.bag.Bag)]


class _CompactFlatten(transform_evaluator.Flatten):  # type: ignore[misc]
    """A flattening with as many partitions as the largest of what it joins."""

    def apply(self, input_bag: list[Any], side_inputs: Any = None) -> Any:  # noqa: ARG002
        """Joins the bags."""
        joined = dask.bag.concat(input_bag)
        return joined.repartition(npartitions=max(bag.npartitions for bag in input_bag))


transform_evaluator.TRANSLATIONS[_Flatten] = _CompactFlatten
