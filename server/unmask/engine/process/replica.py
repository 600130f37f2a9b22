"""An engine among others that serve the same model, and the requests that are its own."""

import time
from collections.abc import Iterable

from unmask.engine.process.handle import EngineLost
from unmask.engine.process.messages import Abort, Ready, Resume, Stepped
from unmask.engine.process.portable import Sender
from unmask.engine.process.recovery import Recovery
from unmask.engine.process.sessions import ProcessSession
from unmask.engine.process.supervisor import Supervisor
from unmask.engine.streams import RequestStream
from unmask.types import Delta, EngineLoad, Event, Failure


class Replica:
    """Sends requests to an engine, and makes of its reports the events of their streams.

    Its owner's lock guards it. Requests that may be why the engine was lost stay here, and are
    tried apart from all others; `Recovery` finds the one that is.
    """

    def __init__(self, number: int, supervisor: Supervisor, last: dict[str, int]) -> None:
        self.number, self.supervisor = number, supervisor
        self.reason_of_end: str | None = None  # the engine never comes back
        self.is_up = False  # a process has loaded the model and takes requests
        self._recovery = Recovery(last)
        self._sessions: dict[str, ProcessSession] = {}  # by number
        self._sender = Sender()
        self._num_pages = self._num_running = self._num_pages_used = 0

    def begin(self, ready: Ready) -> None:
        """Take requests from now on."""
        self.is_up, self._num_pages = True, ready.limits.num_pages

    @property
    def num_rows(self) -> int | None:
        """Requests that it has; None if it takes no more of them now."""
        return len(self._sessions) if self.is_up and not self._recovery.is_trying else None

    def load(self, num_more: int = 0) -> EngineLoad:
        """Its load, with `num_more` requests that wait for it."""
        num_running = min(self._num_running, len(self._sessions))
        num_waiting = len(self._sessions) - num_running + num_more
        num_pages = 0 if self.reason_of_end else self._num_pages
        return EngineLoad(self.is_up, num_running, num_waiting, self._num_pages_used, num_pages)

    def add(self, session: ProcessSession) -> None:
        """Run a request from its beginning."""
        session.engine = self.number
        self._sessions[session.number] = session
        self._send(session)

    def abort(self, session: ProcessSession) -> None:
        """Drop a request that the engine has."""
        session.is_aborted = True
        self.supervisor.send(Abort(session.number))

    def take(self, stepped: Stepped) -> tuple[list[tuple[RequestStream, Event]], list[str]]:
        """Events of a step for their streams, and ids of the requests that it ended."""
        self._num_running, self._num_pages_used = stepped.num_running, stepped.num_pages_used
        pairs, ended, known = list[tuple[RequestStream, Event]](), list[str](), self._sessions
        now_s = time.monotonic()
        for number, queue_s in stepped.begun:
            if (session := known.get(number)) is not None:
                session.queue_s = queue_s
        for choice in stepped.chosen:
            if (session := known.get(choice[0])) is not None:
                session.choose(choice)
        for refinement in stepped.refinements:
            if (session := known.get(refinement.request_id)) is not None:
                refined = session.refined(refinement)
                if refined is not None:
                    pairs.append((session.stream, refined))
        for fields in stepped.deltas:
            if (session := known.get(fields[0])) is not None:
                delta = session.unsent(Delta(*fields))
                session.note_tokens(now_s)
                if delta is not None:
                    pairs.append((session.stream, delta))
                    if delta.finish is not None:
                        ended.append(delta.request_id)
        for number, num_tokens in stepped.held:
            if (session := known.get(number)) is not None:
                session.num_held += num_tokens
                session.note_tokens(now_s)
                # An engine that begins anew comes to what another one had made.
                session.stream.num_held = max(session.stream.num_held, session.num_held)
        for number, message in stepped.failures:
            if (session := known.get(number)) is not None:
                name = session.request.request_id
                pairs.append((session.stream, Failure(name, message)))
                ended.append(name)
        return pairs, ended

    def forget(self, sessions: Iterable[ProcessSession]) -> bool:
        """Forget requests that are over; returns whether others may run now that could not."""
        gone = list(sessions)
        for session in gone:
            self._sessions.pop(session.number, None)
        if not self._recovery.ended(session.request.request_id for session in gone):
            return False
        self.send_admitted()
        return True

    def lost(self, lost: EngineLost) -> tuple[str | None, list[ProcessSession]]:
        """Note that the engine has nothing any more.

        Returns the request that is certainly why, if it is known, and requests for other engines.
        """
        self.is_up = False
        self._num_running = self._num_pages_used = 0
        self._sender.clear()
        self.supervisor.send(Resume())  # nothing sent before counts, if the process lives on
        inside = [session for session in self._sessions.values() if session.is_inside]
        for session in inside:
            session.is_inside = False
        positions = {session.request.request_id: session.position for session in inside}
        culprit = self._recovery.lost(positions, is_certain=lost.by_request)
        names = (session.request.request_id for session in self._sessions.values())
        stay = {name for name in names if name == culprit or self._recovery.suspects(name)}
        return culprit, self._release(stay)

    def end(self, reason: str) -> list[ProcessSession]:
        """Note that the engine never comes back; returns its requests."""
        self.is_up, self.reason_of_end = False, reason
        self._num_running = self._num_pages_used = 0
        for session in self._sessions.values():
            session.is_inside = False
        return self._release(set())

    def _release(self, stay: set[str]) -> list[ProcessSession]:
        """Give up all requests but some."""
        sessions = self._sessions.values()
        moved = [session for session in sessions if session.request.request_id not in stay]
        for session in moved:
            session.engine = None
            del self._sessions[session.number]
        return moved

    def send_admitted(self) -> None:
        """Send suspects whose turn it is."""
        for session in self._sessions.values() if self.is_up else ():
            if not session.is_inside and self._recovery.admits(session.request.request_id):
                self._send(session)

    def _send(self, session: ProcessSession) -> None:
        """Send a request to the process, and what it does not have of its automata and images."""
        process = self.supervisor.process
        request, automata = session.begin(), session.automata
        process.send(self._sender.message(request, automata, process.send, session.counted))
