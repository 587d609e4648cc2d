"""Ingest on one and on two Dask workers of one core each, at the margin."""

import functools
import statistics
from typing import Any

from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import photographs
from benchmarks.processes import interleaved, seconds, spread, table, verdict

FEW, MANY = round(2_000 * SCALE), round(20_000 * SCALE)


def measure() -> str:
    """Starts both clusters, and runs ingest on each in turn; a cluster that waits costs nothing."""
    from distributed import LocalCluster

    cluster: Any = functools.partial(
        LocalCluster, processes=True, threads_per_worker=1, dashboard_address=None
    )
    with cluster(n_workers=1) as one, cluster(n_workers=2) as two:
        commands = {
            f"{name} / {count}": ingest_command(
                photographs(count),
                "{out}",
                beam_options=["--runner=DaskRunner", f"--dask_client_address={address}"],
            )
            for name, address in (("one", one.scheduler_address), ("two", two.scheduler_address))
            for count in (MANY, FEW)
        }
        costs = interleaved(commands)
    times = {name: seconds(taken) for name, taken in costs.items()}
    margins = {
        name: [
            b - a for a, b in zip(times[f"{name} / {FEW}"], times[f"{name} / {MANY}"], strict=True)
        ]
        for name in ("one", "two")
    }
    ratios = [a / b for a, b in zip(margins["one"], margins["two"], strict=True)]
    rows = [
        *(
            [f"{name} / {count}", spread(times[f"{name} / {count}"]), ""]
            for name in margins
            for count in (FEW, MANY)
        ),
        [
            "rate of two workers / of one, at the margin",
            spread(ratios),
            verdict(statistics.median(ratios), 1.6, True),
        ],
    ]
    return table(["ingest on Dask", "median (least to most)", "must be"], rows)
