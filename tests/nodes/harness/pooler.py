"""PgBouncer before a PostgreSQL."""

import os
import pwd
import shutil
import signal

from .host import Process, check, free_port, wait_until
from .postgres import USER
from .wire import is_listening


class Pooler(Process):
    """PgBouncer in transaction mode, with few connections to the server, so that sessions are shared."""

    def __init__(self, place, postgres):
        super().__init__("pgbouncer", place.folder / f"pgbouncer-{free_port()}")
        self.port = free_port()
        (self.folder / "users").write_text(f'"{USER}" "{postgres.password}"\n')
        (self.folder / "pgbouncer.ini").write_text(
            f"""[databases]
* = host=127.0.0.1 port={postgres.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
server_reset_query =
"""
        )
        place.at_end(lambda: self.stop(signal.SIGKILL))

    def start(self):
        runner = []
        if os.getuid() == 0:
            # It refuses to run as root.
            user = pwd.getpwnam("nobody")
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
            runner = ["runuser", "-u", user.pw_name, "--"]
        self.launch([*runner, shutil.which("pgbouncer"), "pgbouncer.ini"])
        wait_until("PgBouncer listens", self._listens, 10)
        return self

    def _listens(self):
        check(self.is_running(), f"PgBouncer ended: {self.errors()}")
        return is_listening(self.port)
