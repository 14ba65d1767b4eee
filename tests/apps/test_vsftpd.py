# SPDX-License-Identifier: BSD-3-Clause
"""vsftpd and curl: a second connection for each transfer, in either direction.

vsftpd's own seccomp filter is older than this libc: it kills uploads over TCP too, so it is off.
Its processes change user and root directory before they connect or listen for data, where no broker
can be started: in the userspace plane root's serves them.
"""

import os
import pwd
import shutil

import pytest

from programs import MB, free_port, sha256

CONFIG = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
no_anon_password=YES
anon_root={root}
ftp_username=ftp
nopriv_user=nobody
secure_chroot_dir={empty}
connect_from_port_20={port_20}
ftp_data_port={data_port}
xferlog_enable=NO
seccomp_sandbox=NO
{more}
"""
SIZE = 8 * MB


@pytest.fixture
def ftp(app, public):
    """A function that starts vsftpd: the URL of a directory that may be written to, and its path.

    vsftpd changes user and root directory, so everything lies where every user may go.
    """
    home = public / "ftp"

    def start(**settings):
        port, user = free_port(), pwd.getpwnam("ftp")
        (home / "root/in").mkdir(parents=True)
        (home / "empty").mkdir()
        for directory in (home, home / "root", home / "empty"):
            directory.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(home / "root/in", user.pw_uid, user.pw_gid)
        config = app.directory / "vsftpd.conf"
        values = {"port_20": "NO", "data_port": 20, "more": ""} | settings
        config.write_text(CONFIG.format(port=port, root=home / "root", empty=home / "empty",
                                        **values))
        if app.transport == "userspace":
            app.start_broker("--shared")
        app.start("vsftpd", config, port=port)
        return f"ftp://127.0.0.1:{port}/in", home / "root/in"

    yield start
    app.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("options", [
    [], ["--disable-epsv"], ["--ftp-port", "127.0.0.1"],
    ["--ftp-port", "127.0.0.1", "--disable-eprt"]],
    ids=["passive-epsv", "passive-pasv", "active-eprt", "active-port"])
def test_vsftpd(app, ftp, payload, options):
    """8 MB up and down and a listing; curl connects for the data, or the server does."""
    source, copy = payload(SIZE), app.directory / "copy"
    url, directory = ftp()
    with app.carries(2 * SIZE, connections=6):
        app.run("curl", "-sS", *options, "--upload-file", source, f"{url}/file")
        assert sha256(directory / "file") == sha256(source)
        app.run("curl", "-sS", *options, "-o", copy, f"{url}/file")
        listing = app.run("curl", "-sS", *options, f"{url}/").decode()
    assert sha256(copy) == sha256(source)
    assert str(SIZE) in listing and "file" in listing


@pytest.mark.skipif(os.geteuid() != 0, reason="port 20 is root's")
def test_vsftpd_port_20(app, ftp, payload):
    """Active transfers that come from the server's port 20, one after the other."""
    source, copy = payload(SIZE), app.directory / "copy"
    url, _ = ftp(port_20="YES")
    with app.carries(3 * SIZE, connections=6, port=20):
        for options in (["--upload-file", source, f"{url}/file"], ["-o", copy, f"{url}/file"],
                        ["-o", copy, f"{url}/file"]):
            app.run("curl", "-sS", "--ftp-port", "127.0.0.1", *options)
    assert sha256(copy) == sha256(source)
