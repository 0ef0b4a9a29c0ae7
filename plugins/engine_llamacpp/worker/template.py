"""Chat templates: Jinja2 source from a GGUF, which is a stranger's code, run in the sandbox with limits."""

from __future__ import annotations

import contextlib
import datetime
import json
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from jinja2 import nodes
    from jinja2.parser import Parser

RENDER_LIMIT_S = 2.0
MAX_PROMPT_CHARS = 64 * 1024 * 1024
MAX_REPEAT = 1_000_000
MAX_INT_BITS = 1 << 16
MEMORY_LIMIT_BYTES = 512 * 1024 * 1024

# What a GGUF without a template gets: ChatML, the most common of all.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class TemplateRefused(Exception):
    """The template refuses the conversation, or does what a template must not do; the text says which."""


class ChatTemplate:
    """A compiled chat template.

    Args:
        source: the Jinja2 source; empty takes ChatML.
        bos: the text of the token that begins a prompt.
        eos: the text of the token that ends an answer.

    Attributes:
        source: what is rendered.

    Raises:
        TemplateRefused: the source is no valid template.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        extensions = [loopcontrols, _GenerationBlocks]
        environment = _BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        environment.filters["tojson"] = _to_json
        environment.globals.update(raise_exception=_refuse, strftime_now=_strftime_now)
        self.source = source or CHATML
        self._tokens = {"bos_token": bos, "eos_token": eos}
        try:
            with _limits():  # compiling computes what is constant in the source
                self._template = environment.from_string(self.source)
        except Exception as error:
            raise TemplateRefused(f"the model's chat template is invalid: {_words(error)}") from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """Build a prompt, by default one that asks for the next answer.

        Args:
            messages: the conversation, as OpenAI's protocol writes it.
            tools: the functions on offer, as OpenAI's protocol writes them.
            variables: what the template gets besides; it cannot take the place of the other arguments.
            add_generation_prompt: whether the prompt ends with the beginning of an answer.

        Raises:
            TemplateRefused: the template raises, reaches for what the sandbox forbids, runs too long or writes
                too much.
        """
        values = {
            **(variables or {}),
            **self._tokens,
            "messages": messages,
            "tools": tools or None,  # templates ask whether it is none, as they are given it in training
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        size = 0
        parts: list[str] = []
        try:
            with _limits():
                for part in self._template.generate(values):
                    size += len(part)
                    if size > MAX_PROMPT_CHARS:
                        _refuse(f"it wrote more than {MAX_PROMPT_CHARS} characters")
                    parts.append(part)
        except TemplateRefused as error:
            raise TemplateRefused(f"the model's chat template refuses this conversation: {error}") from error
        except SecurityError as error:
            raise TemplateRefused(f"the model's chat template was stopped: {error}") from error
        except Exception as error:  # a stranger's code can raise anything, endless recursion included
            raise TemplateRefused(f"the model's chat template failed on this conversation: {_words(error)}") from error
        return "".join(parts)


class _GenerationBlocks(Extension):
    """`{% generation %}` marks the assistant's words for training; here, what it encloses is written as it is."""

    tags = {"generation"}  # noqa: RUF012  jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Leave the tags out and the body in."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, plus bounds on the operators whose one call can take for ever."""

    intercepted_binops = frozenset({"*", "**", "//", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("the operator ** is not allowed")
        for value, other in ((left, right), (right, left)):
            if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
                raise SecurityError(f"it computes with numbers of more than {MAX_INT_BITS} bits")
            repeats = operator == "*" and isinstance(value, str | list | tuple) and isinstance(other, int)
            if repeats and len(value) * other > MAX_REPEAT:
                raise SecurityError(f"it repeats a value to more than {MAX_REPEAT} items")
        return super().call_binop(context, operator, left, right)


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    with _memory_limit(MEMORY_LIMIT_BYTES), _time_limit(RENDER_LIMIT_S):
        yield


@contextlib.contextmanager
def _memory_limit(extra_bytes: int) -> Iterator[None]:
    """Let the process take `extra_bytes` more, no further: a single call can ask for gigabytes.

    The worker has one thread that allocates, so nothing else of it meets this limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space_bytes() + extra_bytes
    bounds = [b for b in (soft, hard, limit) if b != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux: without the number there can be no bound
        return 1 << 62
    return pages * resource.getpagesize()


@contextlib.contextmanager
def _time_limit(limit_s: float) -> Iterator[None]:
    """Interrupt pure Python code after `limit_s`; only the main thread can be interrupted."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SecurityError(f"it ran longer than {limit_s:g} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _refuse(message: str) -> NoReturn:
    raise TemplateRefused(message)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As the trainers' library has it; templates pass these by name."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)
