# SPDX-License-Identifier: BSD-3-Clause
# An echo server with threads, and its client, which sends with IO.copy_stream (sendfile).
#   echo.rb server PORT | echo.rb client PORT FILE COPY
require 'socket'

def serve(port)
  TCPServer.open('127.0.0.1', port.to_i) do |server|
    loop do
      Thread.start(server.accept) do |connection|
        connection.write(connection.read)
        connection.close
      end
    end
  end
end

def client(port, file, copy)
  TCPSocket.open('127.0.0.1', port.to_i) do |connection|
    reader = Thread.new { connection.read }
    File.open(file, 'rb') { |source| IO.copy_stream(source, connection) }
    connection.close_write
    File.binwrite(copy, reader.value)
  end
end

Thread.abort_on_exception = true
role, *rest = ARGV
role == 'server' ? serve(*rest) : client(*rest)
