// SPDX-License-Identifier: BSD-3-Clause
// An echo server in one process or in a cluster of workers, and its client.
//   echo.js server PORT | echo.js client PORT FILE COPY     (ECHO_WORKERS=N: cluster)
'use strict';
const cluster = require('cluster');
const fs = require('fs');
const net = require('net');

function serve(port) {
  const server = net.createServer({ allowHalfOpen: true }, (connection) => {
    const parts = [];
    connection.on('data', (part) => parts.push(part));
    connection.on('end', () => connection.end(Buffer.concat(parts)));
  });
  server.listen(port, '127.0.0.1');
}

function client(port, file, copy) {
  const connection = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  connection.pipe(fs.createWriteStream(copy));
  fs.createReadStream(file).pipe(connection);
}

const [role, port, file, copy] = process.argv.slice(2);
const workers = Number(process.env.ECHO_WORKERS || 0);
if (role === 'client') client(Number(port), file, copy);
else if (workers && cluster.isPrimary) for (let i = 0; i < workers; i++) cluster.fork();
else serve(Number(port));
