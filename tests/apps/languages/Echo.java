// SPDX-License-Identifier: BSD-3-Clause
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;

/** An echo server with threads, and its client: Echo server PORT | Echo client PORT FILE COPY. */
class Echo {
    static void answer(Socket accepted) {
        try (Socket connection = accepted) {
            byte[] all = connection.getInputStream().readAllBytes();
            connection.getOutputStream().write(all);
        } catch (IOException trouble) {
            trouble.printStackTrace();
        }
    }

    static void serve(int port) throws IOException {
        try (ServerSocket server = new ServerSocket(port, 5, InetAddress.getByName("127.0.0.1"))) {
            while (true) {
                Socket connection = server.accept();
                new Thread(() -> answer(connection)).start();
            }
        }
    }

    static void client(int port, Path file, Path copy) throws IOException {
        try (Socket connection = new Socket("127.0.0.1", port)) {
            connection.setTcpNoDelay(true);
            connection.setSoTimeout(50000);
            connection.getOutputStream().write(Files.readAllBytes(file));
            connection.shutdownOutput();
            Files.write(copy, connection.getInputStream().readAllBytes());
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
