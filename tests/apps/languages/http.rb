# SPDX-License-Identifier: BSD-3-Clause
# WEBrick and net/http: bodies are answered with their checksum, files are served.
#   http.rb server PORT DIRECTORY | http.rb client PORT UP NAME COPY
require 'digest'
require 'net/http'
require 'webrick'

# Answers a body with its checksum.
class Checksum < WEBrick::HTTPServlet::AbstractServlet
  def do_POST(request, response)
    response.body = Digest::SHA256.hexdigest(request.body)
  end
end

def serve(port, directory)
  server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: port.to_i,
                                   DocumentRoot: directory, AccessLog: [])
  server.mount('/post', Checksum)
  trap('TERM') { server.shutdown }
  server.start
end

def client(port, up, name, copy)
  Net::HTTP.start('127.0.0.1', port.to_i) do |http|
    post = Net::HTTP::Post.new('/post')
    post.content_type = 'application/octet-stream'
    File.open(up, 'rb') do |body|
      post.body_stream = body
      post.content_length = body.size
      print http.request(post).tap(&:value).body
    end
    File.open(copy, 'wb') do |file|
      http.request_get("/#{name}") { |answer| answer.read_body { |part| file.write(part) } }
    end
  end
end

role, *rest = ARGV
role == 'server' ? serve(*rest) : client(*rest)
