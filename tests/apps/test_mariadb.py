# SPDX-License-Identifier: BSD-3-Clause
"""MariaDB: a thread per connection, bulk load from the client, dump and restore, small queries."""

import os
import re
import subprocess

import pytest

from programs import MB, free_port, sha256

pytestmark = pytest.mark.long
# By default InnoDB reserves address space that a small machine does not have.
SMALL = ["--innodb-buffer-pool-size=64M", "--loose-innodb-buffer-pool-size-max=64M",
         "--innodb-use-native-aio=0"]
INIT = """
CREATE USER test@127.0.0.1 IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO test@127.0.0.1;
CREATE DATABASE one;
CREATE DATABASE two;
"""


@pytest.fixture
def mariadb(app, public):
    """A new server's: the client options that lead to it."""
    data, init = public / f"mariadb-{app.transport}", public / "init.sql"
    init.write_text(INIT)
    user = ["--user=mysql"] if os.geteuid() == 0 else []
    subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                    "--skip-name-resolve", "--auth-root-authentication-method=normal", *user,
                    *SMALL],
                   check=True, timeout=150, stdout=subprocess.DEVNULL)
    port = free_port()
    app.start("mariadbd", "--no-defaults", *user, f"--datadir={data}", f"--port={port}",
              "--bind-address=127.0.0.1", f"--socket={data}/socket", "--skip-name-resolve",
              f"--init-file={init}", "--local-infile=1", "--innodb-flush-log-at-trx-commit=0",
              *SMALL, port=port)
    return ["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", f"--port={port}", "--user=test",
            "--password=secret"]


def test_load_and_dump(app, mariadb, payload):
    """8 MB by LOAD DATA LOCAL, out by SELECT, out again by mariadb-dump, and in from the dump."""
    rows, dump = app.directory / "rows", app.directory / "dump"
    lines = re.findall(".{1,1000}", payload(4 * MB).read_bytes().hex())
    rows.write_text("".join(f"{number}\t{line}\n" for number, line in enumerate(lines)))
    size = rows.stat().st_size
    with app.carries(4 * size, connections=4):
        app.run("mariadb", *mariadb, "--local-infile=1", "one", "-e",
                "CREATE TABLE t (id INT PRIMARY KEY, x TEXT);"
                f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE t")
        back = app.run("mariadb", *mariadb, "-NB", "one", "-e", "SELECT * FROM t ORDER BY id")
        with open(dump, "wb") as sink:
            app.run("mariadb-dump", *mariadb, "one", stdout=sink)
        with open(dump, "rb") as source:
            app.run("mariadb", *mariadb, "two", stdin=source)
        sums = app.run("mariadb", *mariadb, "-NB", "-e", "CHECKSUM TABLE one.t, two.t").split()
    assert sha256(back) == sha256(rows)
    assert sums[1] == sums[3] != b"NULL"


def test_many_clients(app, mariadb):
    """mariadb-slap: 8 clients with small queries, and every one of them connects anew."""
    with app.carries(100000, connections=9):
        report = app.run("mariadb-slap", *mariadb, "--concurrency=8", "--auto-generate-sql",
                         "--auto-generate-sql-load-type=mixed", "--number-of-queries=400",
                         "--detach=10").decode()
    assert "Number of clients running queries: 8" in report
