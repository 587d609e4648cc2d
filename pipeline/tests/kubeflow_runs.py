"""How a run goes in the stand-in for Kubeflow: it takes a step further whenever it is looked at."""

import datetime
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Outcome = Literal["succeeds", "goes_on", "fails", "cached", "no_image", "left_out", "retries"]

STEPS = ("ingest", "transform", "tune", "train", "champion", "evaluate", "push")
"""The order of the steps; others come before them."""
START = datetime.datetime(2026, 11, 22, 3, tzinfo=datetime.UTC)
# What the real server makes of times that it has not: time.Unix(0, 0), and Go's zero time.
NEVER, ZERO = "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"


def _text(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class StoodInRun:
    """A run, and the Argo nodes that the real server would make of it."""

    def __init__(self, run_id: str, body: dict[str, Any], outcomes: Mapping[str, Outcome]) -> None:
        self.run_id = run_id
        self.body = body
        self.outcomes = outcomes
        self.state = "PENDING"
        self.created = self.now = START
        self.nodes: dict[str, tuple[str, datetime.datetime, datetime.datetime | None]] = {}
        self.workflow = f"{body['display_name'][:20]}-x7k2p"
        names = sorted(set(re.findall(r"'exec-([a-z-]+)'", str(body["pipeline_spec"]))))
        others = [name for name in names if name not in STEPS]
        self.steps = [*others, *(step for step in STEPS if step in names)]

    def tick(self) -> None:
        """Goes a step further."""
        self.now += datetime.timedelta(seconds=10)
        if self.state == "CANCELING":
            self._end("CANCELED")
        if self.state not in ("PENDING", "RUNNING"):
            return
        self.state = "RUNNING"
        running = next((name for name, node in self.nodes.items() if node[0] == "RUNNING"), None)
        if running is not None and self.outcomes.get(running) not in ("no_image", "goes_on"):
            failed = self.outcomes.get(running) == "fails"
            self._set(running, "FAILED" if failed else "SUCCEEDED", self.now)
            if failed:
                self._end("FAILED")
                return
            running = None
        if running is None:
            self._start_next()

    def cancel(self) -> None:
        self.state = "CANCELING"

    def retry(self) -> None:
        self.state = "RUNNING"
        self.nodes = {name: node for name, node in self.nodes.items() if node[0] == "SUCCEEDED"}

    def pod(self, step: str) -> str:
        """The name of the pod that does a step's work."""
        return f"{self.workflow}-system-container-impl-{self._mark(step, 'executor')}"

    def answer(self) -> dict[str, Any]:
        """The V2beta1Run, with the fields that the real server sets."""
        ended = self.state in ("SUCCEEDED", "FAILED", "CANCELED")
        return {
            **self.body,
            "run_id": self.run_id,
            "storage_state": "AVAILABLE",
            "state": self.state,
            "created_at": _text(self.created),
            "scheduled_at": _text(self.created),
            "finished_at": _text(self.now) if ended else NEVER,
            "state_history": [{"update_time": _text(self.now), "state": self.state}],
            "run_details": {"task_details": list(self._tasks())},
        }

    def _start_next(self) -> None:
        waiting = [step for step in self.steps if step not in self.nodes]
        # A condition that does not hold leaves no node of the steps within.
        if not waiting or self.outcomes.get(waiting[0]) == "left_out":
            self._end("SUCCEEDED")
        else:
            self._set(waiting[0], "RUNNING", None)

    def _set(self, step: str, state: str, end: datetime.datetime | None) -> None:
        begun = self.nodes[step][1] if step in self.nodes else self.now
        self.nodes[step] = (state, begun, end)

    def _end(self, state: str) -> None:
        self.state = state
        for step, (old, begun, _) in self.nodes.items():
            if old == "RUNNING":
                self.nodes[step] = ("FAILED", begun, self.now)

    def _mark(self, *names: str) -> str:
        return str(zlib.crc32("/".join((self.run_id, *names)).encode()))

    def _tasks(self) -> Iterator[dict[str, Any]]:
        """The nodes as `task_details`: in no order, without a word of who belongs to whom."""
        yield self._task("root", self.state, self.created, None, ["root-driver"])
        yield self._task("root-driver", "SUCCEEDED", self.created, self.created, [])
        for step, (state, begun, end) in reversed(self.nodes.items()):
            before = begun - datetime.timedelta(seconds=3)
            yield self._task(f"{step}-driver", "SUCCEEDED", before, begun, [])
            work = {"cached": "SKIPPED", "no_image": "PENDING"}.get(
                self.outcomes.get(step, ""), state
            )
            task = self._task("executor", work, begun, end, [])
            if work == "PENDING":
                message = 'ImagePullBackOff: Back-off pulling image "darkroom-train:0.1.0"'
                task["state_history"][0]["error"] = {"code": 14, "message": message}
            if work == "FAILED":
                task["error"] = {"code": 2, "message": f"{step}: Error (exit code 1)"}
            yield task
            if self.outcomes.get(step) == "retries":
                first = self._task("executor(0)", "FAILED", begun, begun, [])
                yield first | {"error": {"code": 14, "message": "The node was preempted"}}
            yield self._task(step, state, begun, end, [f"{step}/executor"])

    def _task(
        self,
        name: str,
        state: str,
        begun: datetime.datetime,
        end: datetime.datetime | None,
        children: list[str],
    ) -> dict[str, Any]:
        child_marks = [self._mark(*child.split("/")) for child in children]
        return {
            "run_id": self.run_id,
            "task_id": self._mark("task", name, _text(begun)),
            "display_name": name,
            "create_time": _text(self.created),
            "start_time": _text(begun),
            "end_time": _text(end) if end else ZERO,
            "state": state,
            "state_history": [{"update_time": _text(begun), "state": state}],
            "child_tasks": [{"pod_name": f"{self.workflow}-{mark}"} for mark in child_marks],
        }
