"""A model behind any OpenAI-compatible server: vLLM, SGLang, a hosted one. Answers are kept by what was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from diskcache import Cache
from openai import OpenAI, OpenAIError

from tracer1.data.images import Image, read_image_file
from tracer1.errors import EnvironmentFailure
from tracer1.formats import MIME_OF_SUFFIX
from tracer1.types import Message

CACHE = Path.home() / ".cache" / "tracer1" / "answers"


class Endpoint:
    """The Model protocol over HTTP. The key is read from OPENAI_API_KEY; local servers ask for none.

    A request that fails is tried again ``retries`` times, waiting longer each time; ``timeout`` in seconds, of each.
    Greedy answers are kept on disk by model, server, settings and prompt, its images by their bytes; sampled ones are
    asked anew.
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
    ) -> None:
        self.base_url, self.timeout, self.retries, self.parallel = base_url, timeout, retries, parallel
        self.asked = {"model": model, "max_tokens": max_tokens, "temperature": temperature}
        self.folder = str(cache or CACHE)

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """An answer to each prompt, in order. Raises EnvironmentFailure when the server gives none."""
        with (
            OpenAI(
                base_url=self.base_url,
                api_key=os.environ.get("OPENAI_API_KEY", "none"),
                timeout=self.timeout,
                max_retries=self.retries,
            ) as client,
            Cache(self.folder) as cache,
            ThreadPoolExecutor(self.parallel) as pool,
        ):
            return list(pool.map(lambda prompt: self._answer(client, cache, prompt), prompts))

    def _answer(self, client: OpenAI, cache: Cache, prompt: Sequence[Message]) -> str:
        request: dict[str, Any] = {**self.asked, "messages": [_message(message) for message in prompt]}
        key = hashlib.sha256(json.dumps([self.base_url, request], sort_keys=True).encode()).hexdigest()
        keep = self.asked["temperature"] == 0
        if keep and (known := cache.get(key)) is not None:
            return str(known)
        try:
            reply: Any = client.chat.completions.create(**request)
        except OpenAIError as error:
            raise EnvironmentFailure(
                f"{self.base_url}: {error}; see that the server runs and knows the model"
            ) from error
        answer = (reply.choices[0].message.content or "") if reply.choices else ""
        if keep:
            cache.set(key, answer)
        return answer


def _message(message: Message) -> dict[str, Any]:
    """A chat message as the server reads it: images as data."""
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
