"""Who answers what running code asks: finds the part of the coordinator that knows.

An answer is a value of MessagePack, or a future of one; a future that fails carries the sentence that the task sees.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from dagcall.coordinator import asset_questions, questions, stored_questions, xcom_questions
from dagcall.coordinator.assets import Assets
from dagcall.coordinator.inputs import Inputs
from dagcall.coordinator.kept import Kept
from dagcall.coordinator.nested import NestedRuns
from dagcall.coordinator.run import Run
from dagcall.coordinator.run_questions import Find, Refused, RunQuestions
from dagcall.coordinator.xcom_questions import XComQuestions
from dagcall.errors import RunNotFound
from dagcall.model.ids import RunKey
from dagcall.workers.frames import Ask


@dataclass(frozen=True)
class Answers:
    """Those who know something."""

    kept: Kept
    assets: Assets
    runs: RunQuestions
    xcoms: XComQuestions
    nested: NestedRuns
    inputs: Inputs
    find: Find

    def answer(self, run: Run, ask: Ask) -> "asyncio.Future[object] | object":
        """`run`: whose task asks."""
        if ask.what in stored_questions.QUESTIONS:
            return asyncio.ensure_future(stored_questions.answer(self.kept, run.key, ask.what, ask.args))
        if ask.what in asset_questions.QUESTIONS:
            return asset_questions.answer(self.assets, run, ask.what, ask.args)
        if ask.what in xcom_questions.QUESTIONS:
            return asyncio.ensure_future(self.xcoms.answer(ask.what, ask.args))
        if ask.what in self.runs.asked:
            return _answering(self.runs.asked[ask.what](*ask.args))
        if ask.what == "trigger_dag_run":
            return _answering(self.nested.trigger(run, *ask.args))
        if ask.what in self.inputs.asked:
            return _answering(self.inputs.asked[ask.what](run.key, *ask.args))
        try:
            key = questions.run_of(ask.what, ask.args)
            if key == run.key:
                return questions.answer(ask.what, ask.args, run.machine)
        except LookupError as error:
            return _failed(error)
        return asyncio.ensure_future(self._about_another(key, ask))

    async def _about_another(self, key: RunKey, ask: Ask) -> object:
        try:
            machine = (await self.find(key)).machine
        except RunNotFound:
            machine = None
        return questions.answer(ask.what, ask.args, machine)


def _answering(answer: Awaitable[object]) -> "asyncio.Future[object]":
    async def main() -> object:
        try:
            return await answer
        except Refused as refused:
            return refused.as_answer()

    return asyncio.ensure_future(main())


def _failed(error: Exception) -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
