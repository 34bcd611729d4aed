"""importErrors: list, get."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.api import ImportErrorInfo
from dagcall.server.api_v2.query import PAGING, AirflowQuery, path_integer, patterns
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.times import iso

JSON = "application/json"

SORT_KEYS = {
    "id": lambda error: error.id,
    "import_error_id": lambda error: error.id,
    "timestamp": lambda error: error.time,
    "filename": lambda error: error.path,
    "bundle_name": lambda error: error.bundle,
    "stacktrace": lambda error: error.text,
    "stack_trace": lambda error: error.text,
}


async def list_import_errors(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(
        request, (*PAGING, *patterns("filename"), "filename", "bundle_name"), context.coordinator.settings
    )
    matches = query.text_matcher("filename")
    filename, bundle = query.one("filename"), query.one("bundle_name")
    errors = [
        error
        for error in context.coordinator.catalog.import_errors()
        if matches(error.path) and filename in (None, error.path) and bundle in (None, error.bundle)
    ]
    page, total = query.page(errors, SORT_KEYS, ("id",))
    document = {"import_errors": [_document(error) for error in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_import_error(context: Context, request: Request, caller: Caller) -> Response:
    error_id = path_integer(request, "import_error_id")
    for error in context.coordinator.catalog.import_errors():
        if error.id == error_id:
            return Response(encode(_document(error)), media_type=JSON)
    raise AirflowError(404, f"The ImportError with import_error_id: `{error_id}` was not found")


def _document(error: ImportErrorInfo) -> dict[str, Any]:
    return {
        "import_error_id": error.id,
        "timestamp": iso(error.time),
        "filename": error.path,
        "bundle_name": error.bundle,
        "stack_trace": error.text,
    }
