"""A web service that simulators ask what to do, each in an episode of its own.

A simulator in any language sends JSON, and needs neither zdqn nor Python::

    POST /episodes/NAME/act      {"observation": [...]}                        -> {"action": 1}
    POST /episodes/NAME/observe  {"reward": 1, "observation": [...],
                                  "terminated": false, "truncated": false}     -> {"recorded": true}
    GET  /status                                                               -> {...}

Memory and learner run elsewhere::

    zdqn memory docs/examples/game.toml
    zdqn learner docs/examples/game.toml --memory tcp://127.0.0.1:5556
    python docs/examples/web_service.py tcp://127.0.0.1:5558 8000
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gymnasium
import numpy as np

import zdqn

OBSERVATIONS = gymnasium.spaces.Box(0, 1, (3,))
ACTIONS = gymnasium.spaces.Discrete(3)


class Service(ThreadingHTTPServer):
    """Answers every request in a thread of its own; all share one agent."""

    daemon_threads = True

    def __init__(self, port, agent):
        super().__init__(("127.0.0.1", port), Handler)
        self.agent = agent

    def answer(self, path, said):
        match path.strip("/").split("/"):
            case ["episodes", name, "act"]:
                return {"action": self.agent.act(read(said["observation"]), episode=name)}
            case ["episodes", name, "observe"]:
                recorded = self.agent.observe(
                    float(said["reward"]), read(said["observation"]),
                    bool(said.get("terminated")), bool(said.get("truncated")), episode=name,
                )  # fmt: skip
                return {"recorded": recorded}
            case ["status"]:
                status = self.agent.status
                return {"connected": status.connected, "steps": status.environment_steps}
        raise KeyError(path)


def read(numbers):
    return np.asarray(numbers, OBSERVATIONS.dtype)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def do_GET(self):
        self.reply(b"{}")

    def reply(self, body):
        try:
            code, answer = 200, self.server.answer(self.path, json.loads(body))
        except zdqn.PeerUnavailableError as error:
            code, answer = 503, {"error": str(error)}
        except (zdqn.UsageError, KeyError, ValueError) as error:
            code, answer = 400, {"error": str(error)}
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *arguments):
        """Say nothing of each request."""


def main(learner, port):
    with (
        zdqn.Agent(
            None,
            learner=learner,
            observation_space=OBSERVATIONS,
            action_space=ACTIONS,
            episodes=16,
            timeout_s=2.0,  # then a simulator is told 503, and asks again
            when_full="drop",
        ) as agent,
        Service(port, agent) as service,
    ):
        print(f"serving at port {service.server_address[1]}", flush=True)
        service.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
