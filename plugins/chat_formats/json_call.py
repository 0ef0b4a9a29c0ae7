"""Calls written as one JSON object of a name and arguments, alone or several in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.plugins.chat_formats.arguments import decoded, read_object, read_scalar, read_string

if TYPE_CHECKING:
    from hoshikage.plugins.chat_formats.answer import AnswerParser
    from hoshikage.plugins.chat_formats.source import Steps

_ARGUMENTS = frozenset({"arguments", "parameters"})
_KEYS = _ARGUMENTS | {"name", "id", "type"}


class JsonCall:
    """Reads `{"name": …, "arguments": {…}}`; some families say `parameters`.

    Arguments are passed on while they come, once the name is known; where they come first, they wait for it.

    Args:
        parser: whose answer it stands in.
        id_follows: the format writes an id after the arguments, so these wait for it.
        needs_arguments: an object with a name alone is no call.
    """

    def __init__(self, parser: AnswerParser, *, id_follows: bool = False, needs_arguments: bool = False) -> None:
        self._parser = parser
        self._source = parser.source
        self._id_follows = id_follows
        self._needs_arguments = needs_arguments
        self._seen: set[str] = set()
        self._name = ""
        self._id = ""
        self._arguments = ""
        self._begun = False

    def read(self) -> Steps[bool]:
        """Take the object; false if it is no call, however much of it is taken by then."""
        if not (yield from self._source.one_of("{")):
            return False
        separator = ","
        while separator == ",":
            if not (yield from self._member()):
                return self._begun
            yield from self._source.space()
            separator = yield from self._source.one_of(",", "}")
        return self._begun or (separator == "}" and self._complete())

    def _member(self) -> Steps[bool]:
        yield from self._source.space()
        key = yield from read_string(self._source)
        yield from self._source.space()
        if key not in _KEYS or key in self._seen or not (yield from self._source.one_of(":")):
            return False
        yield from self._source.space()
        if key in _ARGUMENTS:
            self._seen |= _ARGUMENTS
            return (yield from self._read_arguments())
        self._seen.add(key)
        return (yield from self._read_word(key))

    def _read_word(self, key: str) -> Steps[bool]:
        try:
            value = yield from read_scalar(self._source)
        except ValueError:
            return False
        if key == "name":
            self._name = str(value)
            return isinstance(value, str) and self._parser.is_callable(value)
        if key == "id" and isinstance(value, str | int):
            self._id = str(value)
        return True

    def _read_arguments(self) -> Steps[bool]:
        first = yield from self._source.peek()
        if first != "{":
            return (yield from self._read_wrapped_arguments())
        if self._name and not self._id_follows:
            self._begin()
            return (yield from read_object(self._source, self._parser.arguments))
        parts: list[str] = []
        complete = yield from read_object(self._source, parts.append)
        self._arguments = "".join(parts)
        return complete

    def _read_wrapped_arguments(self) -> Steps[bool]:
        """Arguments that are no object: `null`, or the JSON text of an object in a string, as models err to."""
        try:
            value = yield from read_scalar(self._source)
        except ValueError:
            return False
        self._arguments = value if isinstance(value, str) else "{}"
        return value is None or (isinstance(value, str) and isinstance(decoded(value), dict))

    def _complete(self) -> bool:
        if not self._name or (self._needs_arguments and not self._seen & _ARGUMENTS):
            return False
        self._begin()
        self._parser.arguments(self._arguments or "{}")
        return True

    def _begin(self) -> None:
        self._begun = True
        self._parser.begin_call(self._name, self._id)


def read_calls(parser: AnswerParser, *, separators: tuple[str, ...], needs_arguments: bool = True) -> Steps[bool]:
    """Take JSON calls in a row, with or without the brackets of an array; false if the first is no call."""
    source = parser.source
    yield from source.space()
    bracket = yield from source.one_of("[")
    yield from source.space()
    if not (yield from JsonCall(parser, needs_arguments=needs_arguments).read()):
        return False
    more = True
    while more:
        source.mark()
        yield from source.space()
        yield from source.one_of(*separators)
        yield from source.space()
        more = yield from JsonCall(parser, needs_arguments=needs_arguments).read()
        if not more:
            source.back()
    if bracket:
        yield from source.space()
        yield from source.one_of("]")
    return True
