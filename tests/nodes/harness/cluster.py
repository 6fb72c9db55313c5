"""Three nodes on one database, with an account to work with."""

import secrets

from .balancer import Balancer
from .node import Node, new_master_key
from .wire import Client

# Nodes at one address of one machine: what fails on purpose must not be held for guessing.
SETTINGS = """\
jwks_max_age_secs = 1

[limits]
database_connections_max = 10
failed_authentications = { requests = 1000000, per_seconds = 1 }

[nodes]
drain_delay_secs = 2
"""
ANY = {"unrestricted": True}


class Cluster:
    def __init__(self, place, postgres, count=3, settings=SETTINGS, urls=None, balanced=True, database=None, direct_urls=None, prepare=None):
        self.place = place
        self.postgres = postgres
        self.database = database or postgres.create(f"d{secrets.token_hex(4)}")
        self.master_key = new_master_key()
        self.nodes = []
        for index in range(count):
            url = urls[index](self.database) if urls else postgres.url(self.database)
            direct = direct_urls[index](self.database) if direct_urls else None
            self.nodes.append(Node(place, f"node-{index + 1}", url, self.master_key, settings, direct_url=direct))
            if prepare:
                prepare(self.nodes[-1])
        for node in self.nodes:
            node.start(wait=node is self.nodes[0])
        for node in self.nodes:
            node.wait_ready()
        self.key = next(key for key in (node.first_key() for node in self.nodes) if key)
        self.balancer = Balancer(place, self.nodes).start() if balanced else None

    def front(self):
        return Client(self.balancer.port)

    def operator_key(self):
        """A key that may do what an operator may."""
        import json

        made = self.nodes[0].cli("token", "create", "--operator", "--unrestricted", "--name", "operator", "--output", "json")
        return json.loads(made)["token"]

    def stop(self):
        if self.balancer:
            self.balancer.stop()
        return [node.stop() for node in self.nodes]
