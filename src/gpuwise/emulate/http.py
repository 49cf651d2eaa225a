"""HTTP: requests in, JSON or a watch out."""

import json
import threading
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gpuwise.emulate.access import WRITES, Request, User, authenticate, authorize
from gpuwise.emulate.api import Api, Write
from gpuwise.emulate.discovery import discover
from gpuwise.emulate.faults import Faults
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.target import Target, target_of, verb_of
from gpuwise.emulate.watch import Watch

_OPEN = frozenset({"/version", "/healthz", "/livez", "/readyz"})
_LONGEST_WATCH_S = 1800


class HttpApi:
    """The API over HTTP.

    Args:
        api: the verbs.
        users: by bearer token.
        closing: true once the server goes away, which ends the watches.
    """

    def __init__(self, api: Api, users: dict[str, User], closing: Callable[[], bool]) -> None:
        self.faults = Faults()
        self._api = api
        self._users = users
        self._closing = closing
        self._lock = threading.Lock()
        self._log: list[Request] = []

    @property
    def requests(self) -> tuple[Request, ...]:
        """Everything that was asked, oldest first."""
        with self._lock:
            return tuple(self._log)

    def forget(self) -> None:
        """Empty the log, and take back the failures that were ordered."""
        self.faults.forget()
        with self._lock:
            self._log.clear()

    def application(self) -> Starlette:
        """The ASGI application."""
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])

    async def _answer(self, request: HttpRequest) -> Response:
        path, user, verb = request.url.path, "", request.method.lower()
        try:
            if path in _OPEN and path != "/version":
                return Response("ok")
            if path not in _OPEN:
                owner = authenticate(request.headers.get("authorization"), self._users)
                user = owner.name
            known = discover(path) if request.method == "GET" else None
            if known is not None:
                response: Response = JSONResponse(known)
            else:
                target = target_of(path)
                verb = verb_of(request.method, target, watch=request.query_params.get("watch") in ("true", "1"))
                authorize(owner, verb, target)
                self.faults.take(verb, path, done=False)
                response = await self._serve(request, verb, target)
                self.faults.take(verb, path, done=True)
        except ApiFailure as failure:
            response = JSONResponse(failure.status(), failure.code, headers=failure.headers)
        with self._lock:
            self._log.append(Request(verb, path, user, _dry_run(request), response.status_code))
        return response

    async def _serve(self, request: HttpRequest, verb: str, target: Target) -> Response:
        if verb == "watch":
            return self._watch(request, target)
        if verb in WRITES:
            return await self._write(request, verb, target)
        return JSONResponse(self._api.list(target, request.query_params) if verb == "list" else self._api.get(target))

    async def _write(self, request: HttpRequest, verb: str, target: Target) -> Response:
        body, dry_run = await _body(request), _dry_run(request)
        if verb == "delete":
            return JSONResponse(self._api.delete(target, _options(body, request), dry_run=dry_run))
        if verb == "deletecollection":
            options = _options(body, request)
            return JSONResponse(self._api.delete_all(target, request.query_params, options, dry_run=dry_run))
        write = Write(body, request.headers.get("content-type", ""), _manager(request), dry_run)
        if verb == "create":
            return JSONResponse(self._api.create(target, write), 201)
        return JSONResponse(self._api.update(target, write) if verb == "update" else self._api.patch(target, write))

    def _watch(self, request: HttpRequest, target: Target) -> Response:
        query = request.query_params
        version = query.get("resourceVersion", "0")
        watch = Watch(
            store=self._api.store,
            resource=target.resource,
            matches=self._api.matcher(target, query),
            version=None if version in ("", "0") else _number(version),
            timeout_s=float(query.get("timeoutSeconds") or _LONGEST_WATCH_S),
            initial=query.get("sendInitialEvents") == "true",
            bookmarks=query.get("allowWatchBookmarks") == "true",
            closing=self._closing,
        )
        return StreamingResponse(watch.lines(), media_type="application/json")


def _number(version: str) -> int:
    if not version.isdigit():
        raise ApiFailure(400, f"invalid resource version {version!r}")
    return int(version)


async def _body(request: HttpRequest) -> Any:
    raw = await request.body()
    if not raw:
        return None
    # client-go tries protobuf first and JSON after a 415.
    if "json" not in request.headers.get("content-type", "json"):
        raise ApiFailure(415, "the body of the request was in an unknown format: this server reads JSON")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise ApiFailure(400, f"the body of the request is no JSON: {error}") from error


def _options(body: Any, request: HttpRequest) -> Object:
    """DeleteOptions, which come in the body or in the query."""
    options = dict(body) if isinstance(body, dict) else {}
    for field in ("propagationPolicy", "gracePeriodSeconds"):
        if field in request.query_params:
            text = request.query_params[field]
            options[field] = int(text) if text.isdigit() else text
    return options


def _dry_run(request: HttpRequest) -> bool:
    return request.query_params.get("dryRun") == "All"


def _manager(request: HttpRequest) -> str:
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    return request.query_params.get("fieldManager") or agent
