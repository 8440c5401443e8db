"""A model behind any OpenAI-compatible server: vLLM, SGLang, a hosted one; greedy answers can be cached on disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from diskcache import Cache
from openai import APIStatusError, AsyncOpenAI, DefaultAsyncHttpx2Client, OpenAIError

from tracer1.data.images import Image, read_image_file
from tracer1.errors import ModelError, SetupError, UsageError
from tracer1.formats import MIME_OF_SUFFIX
from tracer1.models.address import key_to_send, require_url, shown_url, without_key
from tracer1.types import Message

CACHE = Path.home() / ".cache" / "tracer1" / "answers"
FIND_SECONDS = 10.0  # for the list of a server's models
LISTED = 8  # names in a message


@dataclass(frozen=True, slots=True)
class _Connection:
    """The client of one event loop, and the limit on its requests."""

    client: AsyncOpenAI
    limit: asyncio.Semaphore


class Endpoint:
    """The Model and AsyncModel protocols over HTTP.

    A request that fails is tried again ``retries`` times, waiting longer each time; ``timeout`` is in seconds, for each
    try; at most ``parallel`` requests run at once. With ``cached``, greedy answers are kept on disk by server, model,
    settings and prompt (images by their bytes): for models that do not change behind their name. ``trusted``: the user
    named the address outside the configuration, so it gets the key (credentials.py).
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        max_tokens: int = 2048,
        temperature: float = 0.0,
        timeout: float = 120.0,
        retries: int = 4,
        parallel: int = 8,
        cache: Path | str | None = None,
        cached: bool = True,
        trusted: bool = False,
    ) -> None:
        require_url(base_url)
        self.base_url, self.timeout, self.retries, self.parallel = base_url, timeout, retries, parallel
        self.settings: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "temperature": temperature}
        self.cache_folder = str(cache or CACHE) if cached and temperature == 0 else None
        self.trusted = trusted
        self._connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connection] = WeakKeyDictionary()

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """A completion of each prompt, in order, outside any event loop. Raises ModelError for the first that fails."""
        return asyncio.run(self._complete_all(prompts))

    async def complete_one(self, prompt: Sequence[Message]) -> str:
        """The completion of one prompt. Raises ModelError when the server gives none; an empty one is none."""
        request: dict[str, Any] = {**self.settings, "messages": [_message(message) for message in prompt]}
        key = hashlib.sha256(json.dumps([self.base_url, request], sort_keys=True).encode()).hexdigest()
        if (known := await asyncio.to_thread(self._cached, key)) is not None:
            return known
        connection = self._connection()
        try:
            async with connection.limit:
                reply = await connection.client.chat.completions.create(**request)
        except OpenAIError as error:
            raise ModelError(self._explain(error)) from error
        answer = self._content(reply)
        await asyncio.to_thread(self._keep, key, answer)
        return answer

    async def _complete_all(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        try:
            return list(await asyncio.gather(*map(self.complete_one, prompts)))
        finally:
            await self._connection().client.close()

    def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if loop not in self._connections:
            client = open_client(self.base_url, self.timeout, self.retries, trusted=self.trusted)
            self._connections[loop] = _Connection(client, asyncio.Semaphore(self.parallel))
        return self._connections[loop]

    def _content(self, reply: Any) -> str:
        choice = reply.choices[0] if getattr(reply, "choices", None) else None
        content = choice.message.content if choice is not None and choice.message is not None else None
        if content:
            return str(content)
        reason = f" (finish_reason {choice.finish_reason})" if choice is not None else ""
        raise ModelError(
            f"{shown_url(self.base_url)}: the answer is empty{reason}; a thinking model may need more tokens than "
            f"{self.settings['max_tokens']}"
        )

    def _explain(self, error: OpenAIError) -> str:
        return explain(error, self.base_url, key_to_send(self.base_url, trusted=self.trusted))

    def _cached(self, key: str) -> str | None:
        if self.cache_folder is None:
            return None
        with Cache(self.cache_folder) as cache:
            known = cache.get(key)
        return str(known) if known else None  # "": kept by a version that took an empty answer for one

    def _keep(self, key: str, answer: str) -> None:
        if self.cache_folder is not None:
            with Cache(self.cache_folder) as cache:
                cache.set(key, answer)


def open_client(base_url: str, timeout: float, retries: int, *, trusted: bool) -> AsyncOpenAI:
    """A client that follows no redirect: the key and the screenshots go to no other host."""
    return AsyncOpenAI(
        base_url=base_url,
        api_key=key_to_send(base_url, trusted=trusted),
        timeout=timeout,
        max_retries=retries,
        http_client=DefaultAsyncHttpx2Client(timeout=timeout, follow_redirects=False),
    )


def explain(error: OpenAIError, base_url: str, key: str) -> str:
    """One line on why a server gave no answer, without the key."""
    where = shown_url(base_url)
    if isinstance(error, APIStatusError) and 300 <= error.status_code < 400:
        target = shown_url(error.response.headers.get("location", "another address"))
        return f"{where}: the server redirects to {target}, which is not followed; name that address if you trust it"
    reason = " ".join(without_key(str(error), key).split())[:300]
    return f"{where}: {reason}; check that the server runs and serves this model"


def find_model(base_url: str, *, trusted: bool = False) -> str:
    """The name of the one model that a server has. Raises UsageError when there are several, SetupError for none."""
    names = asyncio.run(_model_names(base_url, trusted))
    if len(names) == 1:
        return names[0]
    if not names:
        raise SetupError(f"{shown_url(base_url)}: the server lists no model; name one with --model-name")
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    raise UsageError(f"{shown_url(base_url)} serves {len(names)} models: name one with --model-name ({listed})")


async def _model_names(base_url: str, trusted: bool) -> list[str]:
    client = open_client(base_url, FIND_SECONDS, 1, trusted=trusted)
    try:
        page = await client.models.list()
        return [str(model.id) for model in page.data or ()]
    except OpenAIError as error:
        raise SetupError(explain(error, base_url, key_to_send(base_url, trusted=trusted))) from error
    finally:
        with suppress(OpenAIError):
            await client.close()


def _message(message: Message) -> dict[str, Any]:
    """A chat message in the server's form: images as data."""
    content = message["content"]
    if isinstance(content, str):
        return {"role": message["role"], "content": content}
    return {"role": message["role"], "content": [_part(part) for part in content]}


def _part(part: Message) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    image = part["image"] if isinstance(part["image"], Image) else read_image_file(Path(part["image"]))
    data = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{MIME_OF_SUFFIX[image.suffix]};base64,{data}"}}
