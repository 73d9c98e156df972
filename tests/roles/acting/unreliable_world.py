"""A collector, a memory that dies, and connections that lose, repeat and reorder; no sockets.

Real are the `BlockStream`, the `AckedLink` with its inquiry, the `Intake` and the `ArrivalsQueue`.
Whatever waits lets something happen meanwhile, by chance. Each block holds one transition, whose
reward is the block's number; a bad one has none.
"""

import json
from collections import deque

import numpy as np

from zdqn.core.intake import Intake
from zdqn.data import NO_PRIORITY, Block, EnvironmentSpec
from zdqn.records.block_accounts import BlockAccounts, Sent, Told
from zdqn.rl.limiter import SamplesPerInsertLimiter
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.roles.acting.block_stream import BlockStream
from zdqn.roles.arrivals_queue import ArrivalsQueue
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import Arrivals

SPEC = EnvironmentSpec((2,), "float32", 2)
SESSION = 77
ROOM = 4
EVENTS = (
    *("leave", "travel", "read", "look", "leave", "travel", "read", "look"),
    *("hold", "go on", "keep", "tell", "ping"),
)
FAULTS = ("cut", "kill", "drop", "repeat", "reorder", "be silent")


class Source:
    """One block after another; of some the reward is no number."""

    def __init__(self, rng, bad):
        self._rng, self._bad = rng, bad
        self.pending = 0
        self.environment_steps = self.episodes = 0
        self.bad: set[int] = set()

    @property
    def full(self):
        return self.pending > 0

    def take_block(self):
        number = self.environment_steps
        self.pending, self.environment_steps = 0, number + 1
        records = np.zeros(1, SPEC.record_dtype)
        records["next_observation"], records["priority"] = 1, NO_PRIORITY
        records["reward"] = number
        if self._rng.random() < self._bad:
            self.bad.add(number)
            records["reward"] = np.nan
        return Block(np.zeros((2, 2), np.float32), records)


class Store:
    """Takes blocks down; what is on disk outlives its memory."""

    spec, capacity, block_transitions, block_bytes, kept = SPEC, 1_000_000, 4, 32, True

    def __init__(self):
        self.numbers: list[int] = []
        self.notes: list[bytes] = []
        self.limiter = SamplesPerInsertLimiter(
            0, min_size=1, window=0, batch_size=1, block_transitions=1
        )

    def insert(self, block, note, *, imported):
        assert imported == 0
        self.numbers += block.records["reward"].astype(int).tolist()
        self.notes.append(note)


class Memory:
    """One start of a memory, of which there may be an earlier one.

    Args:
        session: of this start.
        before: the earlier one, and how it is come back from: "disk", "snapshot" or "ram".
    """

    def __init__(self, session, reply, clock, before=None, way="ram"):
        self.session = self.counts_as = session
        self.store = Store()
        self.intake = Intake(self.store, n_step=1)  # type: ignore[arg-type]
        self.continues = False
        self.reading = True
        if before is not None and way == "disk":
            state, notes = json.loads(before.kept[0]), before.store.notes[before.kept[1] :]
            self.store = self.intake._store = before.store
            self.intake.load_state_dict(state)
            for note in notes:
                self.intake.take_in(note)
            self.intake.bound_counts()
            self.counts_as, self.continues = before.counts_as, before.continues
        elif before is not None and way == "snapshot":
            self.store.numbers = before.store.numbers[: before.kept[2]]
            self.intake.go_on_from(json.loads(before.kept[0]), [])
            self.continues = True
        self.keep()
        self.arrivals = ArrivalsQueue(self.intake, session, reply, clock=clock)

    def keep(self):
        """Write a state, or a snapshot."""
        store = self.store
        self.kept = json.dumps(self.intake.state_dict()), len(store.notes), len(store.numbers)


class World:
    """All of it, as it goes on by chance.

    Args:
        rng: decides.
        way: how a killed memory comes back: "disk", "snapshot" or "ram".
        paced: whether few blocks may be on their way.
        bad: share of blocks that are refused.
    """

    address = parse_address("tcp://memory:5556", parameter="a test")

    def __init__(self, rng, *, way="disk", paced=False, bad=0.0, most_blocks=8):
        self.rng, self.way = rng, way
        self.now_s = 0.0
        self.faults = 0.0
        self.source = Source(rng, bad)
        self.queue: deque[bytes] = deque()
        self.on_its_way: deque[bytes] = deque()
        self.arrived: list[deque[bytes]] = [deque()]
        self.ended = False
        self.questions: deque[bytes] = deque()
        self.answers: deque[bytes] = deque()
        self.lives = [Memory(1, self._reply, lambda: self.now_s)]
        self.told: dict[int, int] = {}
        self.accounts = BlockAccounts()
        self.link = AckedLink(
            self,
            ArrivalsInquiry(self, session=SESSION, clock=lambda: self.now_s),
            paced=paced,
            most_blocks=most_blocks,
            clock=lambda: self.now_s,
        )
        self.stream = BlockStream(
            self.source, self.link, session=SESSION, origin=SPEC.digest, compression="none",
            block_age_s=0.0, window=self.link, acked=True, clock=lambda: self.now_s,
        )  # fmt: skip

    @property
    def memory(self):
        return self.lives[-1]

    def collect(self, blocks):
        for _ in range(blocks):
            self.source.pending = 1
            assert self.stream.send_if_due(self.wait)
            self.happen()

    def drain(self):
        """Let all that is on its way arrive, without another fault."""
        self.faults = 0.0
        until_s = self.now_s + 1000
        assert self.link.finish(lambda: self.wait() or self.now_s > until_s) == 0

    def wait(self):
        """A tenth of a second; nobody gives up."""
        self.now_s += 0.1
        for _ in range(5):
            self.happen()
        return False

    def happen(self):
        events = FAULTS if self.rng.random() < self.faults else EVENTS
        getattr(self, f"_{self.rng.choice(events).replace(' ', '_')}")()
        if not self.faults:
            self._go_on()

    # --- what the link asks for -------------------------------------------------------------------

    def send(self, message, give_up=None):
        """Be the sender, or the client that asks."""
        if give_up is None:
            self.questions.append(message)
            return True
        while len(self.queue) >= ROOM:
            if give_up():
                return False
        self.queue.append(message)
        return True

    def broke(self):
        ended, self.ended = self.ended, False
        return ended

    def reopen(self):
        """Of what is under way a part may still come, in between what comes by the new one."""
        self.queue.clear()
        self._leave_behind()
        for _ in range(self.rng.randint(0, 3)):
            if self.on_its_way:
                self.arrived[-1].append(self.on_its_way.popleft())
        self.on_its_way.clear()
        self.arrived.append(deque())

    def receive(self, timeout_ms):
        if timeout_ms and not self.answers:
            self.wait()
        return memoryview(self.answers.popleft()) if self.answers else None

    def reconnect(self):
        self.questions.clear()
        self.answers.clear()

    # --- what happens -----------------------------------------------------------------------------

    def _leave_behind(self):
        self.arrived.append(deque())

    def _leave(self):
        if self.queue and len(self.on_its_way) < ROOM:
            self.on_its_way.append(self.queue.popleft())

    def _travel(self):
        if self.on_its_way and len(self.arrived[-1]) < ROOM:
            self.arrived[-1].append(self.on_its_way.popleft())

    def _read(self):
        pipes = [pipe for pipe in self.arrived if pipe]
        if self.memory.reading and pipes:
            pipe = self.rng.choice(pipes)
            messages = [pipe.popleft() for _ in range(self.rng.randint(1, len(pipe)))]
            self.memory.intake.insert_together(messages)

    def _look(self):
        while self.questions:
            message = codec.decode(self.questions.popleft())
            answer = self.memory.arrivals.take(None, message.header, message)
            if answer is not None:
                self._reply(None, codec.encode(answer))
        self.memory.arrivals.advance()

    def _reply(self, _request, message):
        assert isinstance(codec.decode(message).header, Arrivals)
        self.answers.append(message)
        return True

    def _hold(self):
        self.memory.reading = False
        self.memory.arrivals.note_reading(False)

    def _go_on(self):
        self.memory.reading = True
        self.memory.arrivals.note_reading(True)

    def _keep(self):
        self.memory.keep()

    def _tell(self):
        """The memory tells the learner."""
        memory = self.memory
        self.told[memory.counts_as] = len(memory.store.numbers)
        told = Told(memory.intake.sessions(), memory.continues)
        self.accounts.heard(memory.counts_as, told)

    def _ping(self):
        self.accounts.told([Sent(SESSION, self.stream.blocks_sent)])

    def _cut(self):
        self.on_its_way.clear()
        self._leave_behind()
        self.ended = True

    def _kill(self):
        before = self.memory
        self._cut()
        self.arrived = [deque()]
        self.reconnect()
        clock = before.arrivals._clock
        self.lives.append(Memory(len(self.lives) + 1, self._reply, clock, before, self.way))

    def _drop(self):
        if self.on_its_way:
            del self.on_its_way[self.rng.randrange(len(self.on_its_way))]

    def _repeat(self):
        if self.on_its_way:
            self.on_its_way.append(self.rng.choice(self.on_its_way))

    def _reorder(self):
        self.rng.shuffle(self.on_its_way)

    def _be_silent(self):
        self.reconnect()
        self.now_s += self.rng.uniform(0, 10)
