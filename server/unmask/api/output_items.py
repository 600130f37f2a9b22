"""Items of a response's output, which come one after the other: thoughts, text and calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from unmask.api.chat_choices import MessageParts
from unmask.api.response_objects import (
    FunctionCall,
    OutputItem,
    OutputText,
    Reasoning,
    ReasoningText,
    ResponseStatus,
)
from unmask.api.responses_bodies import NamedFunction

Kind: TypeAlias = Literal["reasoning", "message", "function_call"]
PREFIXES: dict[Kind, str] = {"reasoning": "rs", "message": "msg", "function_call": "fc"}


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a stream, without its number; `fields` follow the type."""

    kind: str
    fields: Mapping[str, object]


@dataclass(slots=True)
class Item:
    """An item with its text so far, which for a call are the arguments."""

    kind: Kind
    item_id: str
    call_id: str = ""
    name: str = ""
    namespace: str | None = None
    text: str = ""

    def to_json(self, status: ResponseStatus, *, is_open: bool = False) -> OutputItem:
        """The item; one that is opened has no parts yet."""
        match self.kind:
            case "reasoning":
                thoughts: Reasoning = {
                    "type": "reasoning",
                    "id": self.item_id,
                    "summary": [],
                    "content": [] if is_open else [reasoning_text(self.text)],
                    "encrypted_content": None,
                    "status": status,
                }
                return thoughts
            case "message":
                return {
                    "type": "message",
                    "id": self.item_id,
                    "status": status,
                    "role": "assistant",
                    "content": [] if is_open else [output_text(self.text)],
                }
        call: FunctionCall = {
            "type": "function_call",
            "id": self.item_id,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": self.text,
            "status": status,
        }
        if self.namespace is not None:
            call["namespace"] = self.namespace
        return call


class Output:
    """The items of one response; each change gives the events that tell of it."""

    def __init__(self, number: str, namespaced: Mapping[str, NamedFunction]) -> None:
        """`namespaced` are functions of namespaces, by their names with them."""
        self._number = number
        self._namespaced = namespaced
        self._items: list[Item] = []
        self._is_open = False  # the last one

    def add(self, parts: MessageParts) -> list[Event]:
        """Add fresh parts of an answer, to the last item or to new ones."""
        events: list[Event] = []
        if parts.reasoning:
            events += self._write("reasoning", parts.reasoning)
        if parts.content:
            events += self._write("message", parts.content)
        for piece in parts.calls:
            if piece.call_id is not None and piece.name is not None:
                events += self._open_call(piece.call_id, piece.name)
            if piece.arguments:
                events += self._write("function_call", piece.arguments)
        return events

    def end(self, status: ResponseStatus) -> list[Event]:
        """End the last item; an answer of nothing at all is an empty message."""
        opening = [] if self._items else self._open("message")
        return [*opening, *self._close(status)]

    def to_json(self, status: ResponseStatus) -> list[OutputItem]:
        """All items; those before the last one are complete."""
        last = len(self._items) - 1
        return [
            item.to_json(status if i == last else "completed") for i, item in enumerate(self._items)
        ]

    def _write(self, kind: Kind, text: str) -> list[Event]:
        is_new = not self._items or self._items[-1].kind != kind
        events = self._open(kind) if is_new else []
        item = self._items[-1]
        item.text += text
        if kind == "function_call":
            return [*events, self._event("function_call_arguments.delta", delta=text)]
        if kind == "reasoning":
            return [*events, self._event("reasoning_text.delta", content_index=0, delta=text)]
        return [
            *events,
            self._event("output_text.delta", content_index=0, delta=text, logprobs=[]),
        ]

    def _open_call(self, call_id: str, name: str) -> list[Event]:
        function = self._namespaced.get(name)
        if function is None:
            return self._open("function_call", call_id, name)
        return self._open("function_call", call_id, function.tool.name, function.namespace)

    def _open(
        self, kind: Kind, call_id: str = "", name: str = "", namespace: str | None = None
    ) -> list[Event]:
        events = self._close("completed") if self._is_open else []
        place = len(self._items)
        item = Item(kind, f"{PREFIXES[kind]}_{self._number}_{place}", call_id, name, namespace)
        self._items.append(item)
        self._is_open = True
        opened = item.to_json("in_progress", is_open=True)
        events.append(Event("output_item.added", {"output_index": place, "item": opened}))
        if kind != "function_call":
            events.append(self._event("content_part.added", content_index=0, part=_part(item)))
        return events

    def _close(self, status: ResponseStatus) -> list[Event]:
        item, self._is_open = self._items[-1], False
        if item.kind == "function_call":
            events = [self._event("function_call_arguments.done", arguments=item.text)]
        else:
            name, more = "reasoning_text.done", {}
            if item.kind == "message":
                name, more = "output_text.done", {"logprobs": list[object]()}
            events = [
                self._event(name, content_index=0, text=item.text, **more),
                self._event("content_part.done", content_index=0, part=_part(item)),
            ]
        done = {"output_index": len(self._items) - 1, "item": item.to_json(status)}
        return [*events, Event("output_item.done", done)]

    def _event(self, kind: str, **fields: object) -> Event:
        """An event of the last item."""
        place = len(self._items) - 1
        own = {"item_id": self._items[-1].item_id, "output_index": place}
        return Event(kind, {**own, **fields})


def output_text(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def reasoning_text(text: str) -> ReasoningText:
    return {"type": "reasoning_text", "text": text}


def _part(item: Item) -> OutputText | ReasoningText:
    return reasoning_text(item.text) if item.kind == "reasoning" else output_text(item.text)
