"""What one call could leave behind for the next: `tell` reports all that a task sees, `spoil` spoils all it can."""

import contextvars
import decimal
import gc
import json
import locale
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param, dag, get_current_context, result, task

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="clean")
WATCHED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE)
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_CPU)


def name_of(function: Any) -> str:
    """Airflow makes its handlers anew for each task: their addresses tell nothing."""
    return getattr(function, "__qualname__", str(function))


def as_seen(value: dict[str, Any]) -> dict[str, Any]:
    """As it is now, whatever becomes of its lists later."""
    seen: dict[str, Any] = json.loads(json.dumps(value))
    return seen


def process_state() -> dict[str, Any]:
    """What a task sees of its process and what a task before it could have changed."""
    umask = os.umask(0)
    os.umask(umask)
    child = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    run_marks = ("AIRFLOW_CTX_", "PWD=", "_=", "SHLVL=")
    return {
        "environ": {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CTX_")},
        "child_environ": sorted(line for line in child.splitlines() if not line.startswith(run_marks)),
        "cwd": os.getcwd(),
        "umask": umask,
        "signals": {signum.name: name_of(signal.getsignal(signum)) for signum in WATCHED_SIGNALS},
        "signal_mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timer": [value > 0 for value in signal.getitimer(signal.ITIMER_REAL)],
        "path": list(sys.path),
        "meta_path": [str(type(finder)) for finder in sys.meta_path],
        "argv": list(sys.argv),
        "locale": locale.setlocale(locale.LC_ALL),
        "timezone": time.tzname,
        "limits": [resource.getrlimit(limit) for limit in LIMITS],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cpus": len(os.sched_getaffinity(0)),
        "recursion": sys.getrecursionlimit(),
        "switch_interval": sys.getswitchinterval(),
        "gc": gc.isenabled(),
        "tracing": [sys.gettrace() is None, sys.getprofile() is None],
        "socket_timeout": socket.getdefaulttimeout(),
        "root_logger": [logging.getLogger().level, len(logging.getLogger().handlers), logging.root.manager.disable],
        "warnings": len(warnings.filters),
        "streams": [type(stream).__name__ for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "hooks": [name_of(hook) for hook in (sys.excepthook, sys.displayhook, sys.unraisablehook)],
        "precision": decimal.getcontext().prec,
        "contextvar": MARK.get(),
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "children": Path("/proc/self/task", str(os.getpid()), "children").read_text(),
        "session": os.getsid(0) == os.getpid(),
    }


@dag(schedule=None)
def tell() -> None:
    @result
    @task
    def t() -> dict[str, Any]:
        return {"pid": os.getpid(), "state": process_state()}

    t()


@dag(schedule=None)
def spoil() -> None:
    @result
    @task
    def t() -> int:
        os.environ["SPOILT"] = "yes"
        os.environ["TZ"] = "Asia/Tokyo"
        os.environ.pop("HOME", None)
        os.environ["PATH"] += ":/spoilt"
        time.tzset()
        os.umask(0o777)
        os.chdir("/")
        for signum in WATCHED_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
        signal.setitimer(signal.ITIMER_REAL, 1000)
        sys.path.insert(0, "/spoilt")
        sys.meta_path.append(type("Finder", (), {"find_spec": lambda *_: None})())
        sys.argv.append("spoilt")
        locale.setlocale(locale.LC_ALL, "C")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        sys.setrecursionlimit(5000)
        sys.setswitchinterval(0.5)
        gc.disable()
        socket.setdefaulttimeout(0.001)
        logging.getLogger().setLevel(logging.CRITICAL)
        logging.getLogger().handlers.clear()
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        sys.stdin = sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        sys.excepthook = sys.displayhook = sys.unraisablehook = lambda *_: None
        decimal.getcontext().prec = 3
        MARK.set("spoilt")
        sys.setprofile(lambda *_: None)
        sys.settrace(lambda *_: None)
        return os.getpid()

    t()


@dag(schedule=None)
def spoil_for_good() -> None:
    """Changes that the kernel lets nobody take back."""

    @result
    @task
    def t() -> int:
        os.nice(5)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))
        return os.getpid()

    t()


SHARED: dict[str, Any] = {"list": [1], "deep": {"list": [{"a": 1}]}}


class Collecting(BaseOperator):
    """An operator that, like many, keeps things in its own attributes."""

    template_fields = ("text", "items", "nested")

    def __init__(self, *, text: str, items: list[str], nested: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.items = items
        self.nested = nested
        self.plain_list = ["plain"]
        self.seen: set[str] = set()
        self.count = 0

    def execute(self, context: Any) -> dict[str, Any]:
        found = as_seen(
            {
                "text": self.text,
                "items": self.items,
                "nested": self.nested,
                "plain_list": self.plain_list,
                "seen": sorted(self.seen),
                "count": self.count,
                "surprise": self.__dict__.get("surprise"),
            }
        )
        tenant = str(context["params"]["tenant"])
        self.text = tenant
        self.items.append(tenant)
        self.nested["deep"]["list"].append(tenant)
        self.nested["more"] = tenant
        self.plain_list.append(tenant)
        self.seen.add(tenant)
        self.count += 1
        self.__dict__["surprise"] = tenant
        self.params["left"] = tenant
        self.default_args_of_dag(context)[tenant] = tenant
        self.doc_md = tenant
        return found

    @staticmethod
    def default_args_of_dag(context: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = context["dag"].default_args
        return arguments


def greet(known: list[str]) -> str:
    return ",".join(known)


with DAG(
    "tenants",
    schedule=None,
    params={"tenant": Param("none", type="string"), "bag": Param([], type="array"), "deep": {"list": []}},
    default_args={"owner": "tests", "params": {"own": "default"}},
    user_defined_macros={"known": ["macro"], "greet": greet},
    tags=["tenants"],
    doc_md="of nobody",
) as tenants:
    """Every task tells what it sees before it leaves its tenant in all it can reach."""

    @task(params={"mine": "default"})
    def reads(given: dict[str, Any], *more: list[Any], dag_run: Any = None, params: Any = None) -> dict[str, Any]:
        context = get_current_context()
        dag_object, operator = context["dag"], context["task"]
        found = as_seen(
            {
                "conf": dag_run.conf,
                "params": {name: params[name] for name in sorted(params)},
                "dag_params": {name: dag_object.params[name] for name in sorted(dag_object.params)},
                "task_params": {name: operator.params[name] for name in sorted(operator.params)},
                "given": str(given),
                "more": str(more),
                "default_args": str({key: dag_object.default_args[key] for key in sorted(dag_object.default_args)}),
                "macros": str(dag_object.user_defined_macros["known"]),
                "tags": sorted(dag_object.tags),
                "doc": dag_object.doc_md,
                "environ": os.environ.get("TENANT"),
                "context_environ": sorted(name for name in os.environ if name.startswith("AIRFLOW_CTX_TENANT")),
                "cwd": os.getcwd(),
                "contextvar": MARK.get(),
            }
        )
        tenant = str(params["tenant"])
        given["deep"]["list"].append(tenant)
        given[tenant] = tenant
        for one in more:
            one.append(tenant)
        params["bag"].append(tenant)
        params["deep"]["list"].append(tenant)
        params["left"] = tenant
        dag_object.params["left"] = tenant
        dag_object.params["bag"].append(tenant)
        operator.params["left"] = tenant
        operator.op_kwargs["left"] = tenant
        dag_object.default_args["left"] = [tenant]
        dag_object.user_defined_macros["known"].append(tenant)
        dag_object.tags.add(tenant)
        dag_object.doc_md = tenant
        dag_run.conf["left"] = tenant
        os.environ["TENANT"] = tenant
        os.environ["AIRFLOW_CTX_TENANT"] = tenant
        os.chdir("/tmp" if tenant == "none" else "/")
        MARK.set(tenant)
        return found

    @task
    def mapped(item: str, shared: list[Any], params: Any = None) -> dict[str, Any]:
        context = get_current_context()
        found = as_seen(
            {
                "item": item,
                "shared": str(shared),
                "params": {name: params[name] for name in sorted(params)},
                "task_params": {name: context["task"].params[name] for name in sorted(context["task"].params)},
            }
        )
        shared.append(params["tenant"])
        params["left"] = params["tenant"]
        params["bag"].append(params["tenant"])
        context["task"].params["left"] = params["tenant"]
        return found

    @result
    @task
    def gather(one: dict[str, Any], two: dict[str, Any], three: list[Any]) -> dict[str, Any]:
        return {"reads": one, "collects": two, "mapped": list(three)}

    collects = Collecting(
        task_id="collects",
        text="{{ params.tenant }} {{ known | join('+') }} {{ dag_run.conf.get('secret', 'no secret') }}",
        items=["{{ params.tenant }}"],
        nested={"deep": {"list": ["{{ params.tenant }}"]}},
    )
    one = reads(SHARED, ["literal"])
    several = mapped.partial(shared=["partial"]).expand(item=["x", "{{ params.tenant }}"])
    gather(one, collects.output, several)

tell()
spoil()
spoil_for_good()
