"""The report of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError
from darkroom.settings import nearest
from pipeline.targets.local.run_folder import REPORT_FILE, read_runs


def find_report(run: str | None, out: Path) -> Path:
    """Finds the report of a run.

    Args:
        run: Its id or its folder; None: the newest run that has one.
        out: Folder of runs.

    Raises:
        SettingsError: There is no such run, or it has no report.
    """
    runs = read_runs(out)
    if run is None:
        found = next((one for one in runs if _report(one) is not None), None)
        if found is None:
            raise SettingsError(f"no run in {out} has a report; make one: darkroom run CONFIG")
    else:
        runs += read_runs(Path(run).parent)
        wanted = Path(run).name
        found = next((one for one in runs if one["run_id"] == wanted), None)
        if found is None:
            hint = nearest(wanted, [one["run_id"] for one in runs])
            raise SettingsError(f"no run {run} in {out}{hint}; see: darkroom runs")
    report = _report(found)
    if report is None:
        raise SettingsError(f"run {found['run_id']} has no report: it {found['status']}")
    return report


def _report(run: Mapping[str, Any]) -> Path | None:
    """The run's own copy, which a browser knows for HTML by its name; of a running one, none."""
    copy = Path(run["folder"]) / REPORT_FILE
    return copy if copy.is_file() else None
