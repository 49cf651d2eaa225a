"""HTTP: requests in, JSON or a watch out."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gpuwise.emulate.access import Request, User, authenticate, authorize
from gpuwise.emulate.api import Api
from gpuwise.emulate.bodies import media_type, read_options
from gpuwise.emulate.discovery import discover
from gpuwise.emulate.faults import Faults
from gpuwise.emulate.options import ListOptions, bad_version, delete_options, list_options, parse_bool, write_options
from gpuwise.emulate.patch import APPLY
from gpuwise.emulate.removal import delete, delete_all
from gpuwise.emulate.representation import JSON, PLAIN, YAML, Representation, negotiate
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.reviews import Reviews
from gpuwise.emulate.selectors import asked_name
from gpuwise.emulate.status import ApiFailure, NoSuchPath, NoSuchSchema, Object
from gpuwise.emulate.tables import bare, bare_list, table
from gpuwise.emulate.target import RequestInfo, Target, find, request_info
from gpuwise.emulate.watch import Watch
from gpuwise.emulate.writes import Writing

_LONGEST_WATCH_S = 1800
_TEXT = "text/plain; charset=utf-8"
Query = dict[str, list[str]]


class HttpApi:
    """The API over HTTP, as an ASGI application.

    Args:
        api: the verbs.
        users: by bearer token.
        closing: returns True when the server shuts down, which ends the watches.
    """

    def __init__(self, api: Api, users: dict[str, User], closing: Callable[[], bool]) -> None:
        self.faults = Faults()
        self._api = api
        self._users = users
        self._reviews = Reviews(api.store.registry, users, api.store.now)
        self._closing = closing
        self._lock = threading.Lock()
        self._log: list[Request] = []

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, oldest first."""
        with self._lock:
            return tuple(self._log)

    def forget(self) -> None:
        """Clear the log and the injected failures."""
        self.faults.forget()
        with self._lock:
            self._log.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = HttpRequest(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: HttpRequest) -> Response:
        path, query = request.scope["path"], _query(request)
        watch = parse_bool(query.get("watch", [None])[0]) if "watch" in query else False
        field_name = asked_name(query.get("fieldSelector", [""])[0])
        asked, name = request_info(request.method, path, watch=watch, field_name=field_name), ""
        shape = PLAIN
        warnings: list[str] = []
        try:
            user = authenticate(request.headers.get("authorization"), self._users)
            name = user.name
            authorize(user, asked)
            self.faults.take(asked.verb, path, done=False)
            if not asked.plural:
                shape = negotiate(_plain_accept(request), forms=False)
                response = _send(discover(self._api.store.registry, path, request.method), 200, shape)
            else:
                response = await self._resource(request, asked, user, query, warnings)
            self.faults.take(asked.verb, path, done=True)
        except NoSuchPath as failure:
            bare_answer = isinstance(failure, NoSuchSchema)
            text, headers = ("", {}) if bare_answer else (f"{failure.message}\n", {"content-type": _TEXT})
            response = Response(text, 404, headers=headers)
        except ApiFailure as failure:
            response = _failed(request, failure)
        for warning in warnings:
            text = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            response.headers.append("warning", f'299 - "{text}"')
        with self._lock:
            self._log.append(Request(asked.verb, path, name, "dryRun" in query, response.status_code))
        return response

    async def _resource(
        self, request: HttpRequest, asked: RequestInfo, user: User, query: Query, warnings: list[str]
    ) -> Response:
        raw = await request.body()
        media = request.headers.get("content-type", "")
        if request.method == "POST":
            review = self._reviews.answer(asked, user, raw, media)
            if review is not None:
                return _send(review, 201, PLAIN)
        target = find(self._api.store.registry, asked, request.method)
        streams = request.method == "GET" and not target.name
        shape = negotiate(request.headers.get("accept", ""), forms=True, streams=streams)
        if request.method == "GET":
            return self._read(target, asked, query, shape)
        if request.method == "DELETE":
            return self._delete(target, query, raw, shape, warnings)
        agent = request.headers.get("user-agent", "unknown").partition("/")[0]
        return self._write(
            request.method, target, query, shape, partial(Writing, raw, media, agent=agent, warnings=warnings)
        )

    def _read(self, target: Target, asked: RequestInfo, query: Query, shape: Representation) -> Response:
        if target.name:
            version = query.get("resourceVersion", [""])[0]
            return _send(self._shaped(target.resource, self._api.get(target, version), query, shape), 200, shape)
        options = list_options(query, watch=asked.verb == "watch")
        if asked.verb == "watch":
            return self._watch(target, options, query, shape)
        answer = self._api.list(target, options)
        return _send(self._shaped(target.resource, answer, query, shape), 200, shape)

    def _shaped(self, resource: Resource, answer: Object, query: Query, shape: Representation) -> Object:
        if shape.form == "Table":
            include = query.get("includeObject", [""])[0]
            now = self._api.store.now()
            return table(resource, answer, version=shape.version, include=include, now=now)
        if shape.form == "PartialObjectMetadataList":
            return bare_list(answer, version=shape.version)
        if shape.form == "PartialObjectMetadata":
            if "items" in answer:
                group = (resource.group or "core").partition(".")[0]
                text = f"the requested object is a list (*{group}.{resource.kind}List)"
                raise ApiFailure(406, f"you requested PartialObjectMetadata, but {text}")
            return bare(answer, version=shape.version)
        return answer

    def _watch(self, target: Target, options: ListOptions, query: Query, shape: Representation) -> Response:
        version = options.version
        problem = bad_version(version) if version else None
        matches = self._api.matcher(target, options)
        if problem:
            raise ApiFailure(500, f'resourceVersion: Invalid value: "{version}": {problem}')
        watch = Watch(
            store=self._api.store,
            kept=self._api.kept(target),
            resource=target.resource,
            matches=matches,
            form=lambda item: self._shaped(target.resource, item, query, shape),
            version=None if version in ("", "0") else int(version),
            timeout_s=float(_LONGEST_WATCH_S if options.timeout_s is None else options.timeout_s),
            initial=options.initial,
            bookmarks=options.bookmarks,
            closing=self._closing,
        )
        return StreamingResponse(watch.lines(), media_type=JSON)

    def _write(
        self, method: str, target: Target, query: Query, shape: Representation, writing: "partial[Writing]"
    ) -> Response:
        kinds = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
        applied = media_type(writing.args[1]) == APPLY
        made = writing(options=write_options(kinds[method], query, apply=applied))
        if method == "POST":
            answer, code = self._api.create(target, made), 201
        elif method == "PUT":
            answer, code = self._api.update(target, made)
        else:
            answer, code = self._api.patch(target, made)
        done = answer.get("kind") == "Status"
        return _send(answer if done else self._shaped(target.resource, answer, query, shape), code, shape)

    def _delete(self, target: Target, query: Query, raw: bytes, shape: Representation, warnings: list[str]) -> Response:
        if target.name:
            answer = delete(self._api, target, delete_options(read_options(raw), query), warnings)
            return _send(answer, 200, shape)
        selection = list_options({key: value for key, value in query.items() if key != "dryRun"}, watch=False)
        answer = delete_all(self._api, target, selection, delete_options(read_options(raw), query))
        return _send(answer, 200, shape)


def _send(answer: Any, code: int, shape: Representation) -> Response:
    if isinstance(answer, str):
        return Response(answer, code, headers={"content-type": _TEXT})
    return Response(shape.write(answer), code, headers={"content-type": shape.media})


def _failed(request: HttpRequest, failure: ApiFailure) -> Response:
    accept = request.headers.get("accept", "")
    shape = Representation(YAML) if accept.startswith(YAML) else PLAIN
    response = _send(failure.status(), failure.code, shape)
    retry = (failure.details or {}).get("retryAfterSeconds")
    headers = ({"Retry-After": str(retry)} if retry else {}) | failure.headers
    response.headers.update(headers)
    return response


def _plain_accept(request: HttpRequest) -> str:
    """A server without aggregated discovery returns the plain form, which clients accept as well."""
    header = request.headers.get("accept", "")
    parts = [part for part in header.split(",") if "apidiscovery.k8s.io" not in part]
    return ",".join(parts)


def _query(request: HttpRequest) -> Query:
    found: Query = {}
    for key, value in request.query_params.multi_items():
        found.setdefault(key, []).append(value)
    return found
