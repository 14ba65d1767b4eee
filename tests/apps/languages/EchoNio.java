// SPDX-License-Identifier: BSD-3-Clause
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * An echo server and its client, both non-blocking over a Selector; the client sends with
 * transferTo (sendfile): EchoNio server PORT | EchoNio client PORT FILE COPY.
 */
class EchoNio {
    static final ByteBuffer BUFFER = ByteBuffer.allocateDirect(1 << 16);

    /** Reads what there is; true at the end. */
    static boolean drain(SocketChannel from, ByteArrayOutputStream to) throws IOException {
        int count;
        while ((count = from.read(BUFFER.clear())) > 0) {
            byte[] part = new byte[count];
            BUFFER.flip().get(part);
            to.write(part);
        }
        return count < 0;
    }

    static void answer(SelectionKey key) throws IOException {
        SocketChannel connection = (SocketChannel) key.channel();
        if (key.isReadable()) {
            ByteArrayOutputStream read = (ByteArrayOutputStream) key.attachment();
            if (drain(connection, read)) {
                key.attach(ByteBuffer.wrap(read.toByteArray()));
                key.interestOps(SelectionKey.OP_WRITE);
            }
        } else if (key.isWritable()) {
            ByteBuffer left = (ByteBuffer) key.attachment();
            connection.write(left);
            if (!left.hasRemaining()) {
                connection.close();
            }
        }
    }

    static void serve(int port) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress("127.0.0.1", port));
        server.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel connection = server.accept();
                    connection.configureBlocking(false).register(
                        selector, SelectionKey.OP_READ, new ByteArrayOutputStream());
                } else {
                    answer(key);
                }
            }
            selector.selectedKeys().clear();
        }
    }

    static void client(int port, Path file, Path copy) throws IOException {
        ByteArrayOutputStream back = new ByteArrayOutputStream();
        try (Selector selector = Selector.open(); SocketChannel connection = SocketChannel.open();
             FileChannel source = FileChannel.open(file);
             FileChannel target = FileChannel.open(copy, StandardOpenOption.CREATE,
                                                   StandardOpenOption.WRITE)) {
            connection.configureBlocking(false);
            SelectionKey key = connection.register(selector, SelectionKey.OP_CONNECT);
            connection.connect(new InetSocketAddress("127.0.0.1", port));
            long sent = 0;
            for (boolean end = false; !end;) {
                selector.select();
                selector.selectedKeys().clear();
                if (key.isConnectable() && connection.finishConnect()) {
                    key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
                } else if (key.isWritable()) {
                    sent += source.transferTo(sent, source.size() - sent, connection);
                    if (sent == source.size()) {
                        connection.shutdownOutput();
                        key.interestOps(SelectionKey.OP_READ);
                    }
                }
                if (key.isReadable()) {
                    end = drain(connection, back);
                }
            }
            target.write(ByteBuffer.wrap(back.toByteArray()));
        }
    }

    public static void main(String[] words) throws IOException {
        int port = Integer.parseInt(words[1]);
        if (words[0].equals("server")) {
            serve(port);
        } else {
            client(port, Path.of(words[2]), Path.of(words[3]));
        }
    }
}
