"""The operator of a mapped `@task` instance, copied from one that Airflow constructed for another instance.

The Task SDK constructs the operator again for each instance: four constructors deep, with checks of a signature and of
thirty arguments that are the same every time. Here this is done once a process for each mapped task and set of argument
names; what differs from instance to instance is the values of `op_kwargs`, and the params, which hold a run's conf.

Guarantees the attributes that Airflow would have set. Leaves to Airflow whatever is not exactly the stock `@task`, and
every task whose `default_args` may add arguments to its function.
"""

from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import DecoratedMappedOperator
from airflow.sdk.bases.operator import get_merged_defaults
from airflow.sdk.definitions.mappedoperator import MappedOperator, prevent_duplicates
from airflow.sdk.definitions.param import ParamsDict

Changing = Callable[[Any], list[tuple[str, Callable[[], Any]]]]

_OWN = frozenset({"op_kwargs", "params", "_BaseOperator__init_kwargs"})
"""Attributes that each instance is given anew."""
_TO_UPSTREAM = ("python_callable", "op_args", "op_kwargs")
"""As in `_PythonDecoratedOperator.__init__`."""


class Unmapper:
    """Of the DAGs that this process has loaded."""

    def __init__(self, changing: Changing) -> None:
        """`changing(operator)`: its attributes that a task could change, and what makes copies of each."""
        self._changing = changing
        self._templates: dict[tuple[int, str, frozenset[str]], _Template] = {}

    def install(self) -> None:
        def unmap(task: Any, resolve: Mapping[str, Any]) -> Any:
            return self.unmap(task, resolve)

        DecoratedMappedOperator.unmap = unmap  # type: ignore[assignment,method-assign]

    def unmap(self, task: Any, resolve: Mapping[str, Any]) -> Any:
        """What `MappedOperator.unmap` returns. Raises what it raises."""
        dag = task.dag
        if (
            task.operator_class is not _PythonDecoratedOperator
            or dag is None
            or dag.default_args
            or (task.task_group is not None and task.task_group.default_args)
        ):
            return MappedOperator.unmap(task, resolve)
        partial, mapped = task.partial_kwargs["op_kwargs"], resolve["op_kwargs"]
        if task._disallow_kwargs_override:
            prevent_duplicates(partial, mapped, fail_reason="mapping already partial")
        op_kwargs = {**partial, **mapped}
        key = (id(dag), task.task_id, frozenset(op_kwargs))
        template = self._templates.get(key)
        if template is None:
            operator = MappedOperator.unmap(task, resolve)
            self._templates[key] = _Template(operator, self._changing(operator))
            return operator
        _, params = get_merged_defaults(dag, task.task_group, task.params, None)
        return template.make(task.partial_kwargs, op_kwargs, params)


class _Template:
    """One instance's operator, without what it had of its run."""

    def __init__(self, operator: Any, changing: list[tuple[str, Callable[[], Any]]]) -> None:
        self._class = type(operator)
        self._state = {name: value for name, value in vars(operator).items() if name not in _OWN}
        self._changing = [(name, make) for name, make in changing if name not in _OWN]
        self._init_kwargs = {
            name: value
            for name, value in operator._BaseOperator__init_kwargs.items()
            if name not in _OWN and name != "kwargs_to_upstream"
        }

    def make(self, partial_kwargs: Mapping[str, Any], op_kwargs: dict[str, Any], params: ParamsDict) -> Any:
        operator = object.__new__(self._class)
        state = operator.__dict__
        state.update(self._state)
        for name, make in self._changing:
            state[name] = make()
        state["op_kwargs"] = op_kwargs
        state["params"] = ParamsDict(params)
        init_kwargs = {name: partial_kwargs.get(name, value) for name, value in self._init_kwargs.items()}
        init_kwargs |= {"op_kwargs": op_kwargs, "params": params}
        init_kwargs["kwargs_to_upstream"] = {name: init_kwargs[name] for name in _TO_UPSTREAM}
        state["_BaseOperator__init_kwargs"] = init_kwargs
        return operator
