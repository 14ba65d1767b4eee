// SPDX-License-Identifier: BSD-3-Clause
// Node's http module at both ends: bodies are answered with their checksum, files are served.
//   http.js server PORT DIRECTORY | http.js client PORT UP NAME COPY
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');

function serve(port, directory) {
  http.createServer((request, response) => {
    if (request.method === 'GET') {
      fs.createReadStream(path.join(directory, request.url)).pipe(response);
      return;
    }
    const checksum = crypto.createHash('sha256');
    request.on('data', (part) => checksum.update(part));
    request.on('end', () => response.end(checksum.digest('hex')));
  }).listen(port, '127.0.0.1');
}

function client(port, up, name, copy) {
  const agent = new http.Agent({ keepAlive: true });
  const where = { port, host: '127.0.0.1', agent };
  const get = () => http.get({ ...where, path: `/${name}` }, (response) => {
    response.pipe(fs.createWriteStream(copy)).on('finish', () => agent.destroy());
  });
  const post = http.request({ ...where, method: 'POST', path: '/post' }, (response) => {
    response.on('data', (part) => process.stdout.write(part));
    response.on('end', get);
  });
  fs.createReadStream(up).pipe(post);      // chunked
}

const [role, port, ...rest] = process.argv.slice(2);
(role === 'server' ? serve : client)(Number(port), ...rest);
