/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A service as inetd runs it: a program on stdin, stdout and stderr, which may be a connection.
 * The first argument says what to do. Facts that are not for the peer go to descriptor 3.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

enum { FACTS = 3, SOCKET = 4 };

static void fact(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void fact(const char *format, ...)
{
    char line[200];
    va_list args;
    int len, saved = errno;

    va_start(args, format);
    len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    if (write(FACTS, line, (size_t)len) != len)
        _exit(99);
    errno = saved;
}

/* The result and, where it says failure, the errno. */
static void outcome(const char *what, long result)
{
    if (result < 0)
        fact("%s %ld %s", what, result, strerrorname_np(errno));
    else
        fact("%s %ld", what, result);
}

static void lines(void)
{
    char line[100];

    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("got %s", line);
        fflush(stdout);
    }
    fact("feof %d ferror %d", feof(stdin) != 0, ferror(stdin) != 0);
}

static void chars(void)
{
    int c;

    while ((c = getchar()) != EOF)
        putchar(c == '\n' ? '\n' : c ^ 1);
}

/* Long enough for every way to write: through the buffer, around it, and by single letters. */
static void output(void)
{
    size_t size = 1 << 20;
    char *text = malloc(size + 1);

    memset(text, 'a', size);
    text[size] = '\0';
    printf("begin\n");
    outcome("fwrite", (long)fwrite(text, 1, size, stdout));
    outcome("fputs", fputs(text, stdout) >= 0);
    outcome("printf", printf("%s\n", text));
    for (int i = 0; i < 5000; i++)
        putchar('b');
    puts("end");
    free(text);
}

static void numbers(void)
{
    int number, count = 0;
    char word[20], *line = NULL;
    size_t size = 0;

    outcome("scanf", scanf("%d %19s", &number, word));
    fact("%d %s", number, word);
    outcome("ungetc", ungetc(getchar(), stdin));
    outcome("getline", (long)getline(&line, &size, stdin));
    outcome("getline", (long)getline(&line, &size, stdin));
    fact("%s", line);
    while (fread(word, 7, 1, stdin) == 1)
        count++;
    fact("records %d", count);
    free(line);
}

static void closed(void)
{
    printf("printed before fclose\n");
    outcome("fclose stdout", fclose(stdout));
    outcome("fclose stdin", fclose(stdin));
    outcome("printf", printf("x"));
    outcome("puts", puts("y"));
    outcome("getchar", getchar());
    outcome("fileno", fileno(stdout));
    outcome("fflush", fflush(stdout));
    outcome("descriptor 0", fcntl(0, F_GETFD));
    outcome("descriptor 1", fcntl(1, F_GETFD));
    outcome("open", open("/dev/null", O_RDWR));
    outcome("open", open("/dev/null", O_RDWR));
    outcome("printf", printf("not to a descriptor of that number"));
    fflush(NULL);
    sleep(1);
}

static void reopened(void)
{
    char word[20] = "";
    FILE *before = stdout;

    outcome("scanf", scanf("%19s", word));
    fact("%s", word);
    printf("to the peer\n");
    fact("same %d", freopen("/dev/null", "w", stdout) == stdout);
    fact("kept %d", stdout == before || fileno(before) == 1);
    fact("fileno %d", fileno(stdout));
    printf("not to the peer\n");
    outcome("fflush", fflush(stdout));
    fact("same %d", freopen("/proc/sys/kernel/ostype", "r", stdin) == stdin);
    outcome("scanf", scanf("%19s", word));
    fact("%s %d", word, fileno(stdin));
    outcome("fclose", fclose(stdout));
    outcome("reopen nothing", freopen("/nonexistent/file", "r", stdin) ? 0 : -1);
    sleep(1);
}

static void describe(const char *name, FILE *stream)
{
    fact("%s: fileno %d, %zu bytes, line %d, fwide %d, reading %d, writing %d", name,
         fileno(stream), __fbufsize(stream), __flbf(stream) != 0, stream->_mode > 0,
         __freading(stream) != 0, __fwriting(stream) != 0);
}

static void buffering(void)
{
    getchar();
    printf("one\ntwo");
    fprintf(stderr, "three");
    describe("stdin", stdin);
    describe("stdout", stdout);
    describe("stderr", stderr);
    fact("pending %zu", __fpending(stdout));
    outcome("setvbuf", setvbuf(stdout, NULL, _IOLBF, 0));
    printf(" four\nfive");
    fact("pending %zu", __fpending(stdout));
    outcome("setvbuf", setvbuf(stdout, NULL, _IONBF, 0));
    printf("six");
    fact("pending %zu", __fpending(stdout));
    fact("bytes %zu", __fbufsize(stdout));
}

static void seek(void)
{
    fpos_t place;

    printf("abc");
    getchar();
    outcome("fseek", fseek(stdin, 0, SEEK_SET));
    outcome("fseek here", fseek(stdin, 1, SEEK_CUR));
    outcome("ftell", ftell(stdin));
    outcome("fgetpos", fgetpos(stdin, &place));
    outcome("fseek out", fseek(stdout, 0, SEEK_END));
    outcome("ftell out", ftell(stdout));
    rewind(stdout);
    fact("next %c", getchar());
    fact("isatty %d", isatty(fileno(stdout)));
}

static void forks(void)
{
    printf("buffered by the parent;");
    if (fork() == 0) {
        printf("child\n");
        exit(0);
    }
    wait(NULL);
    printf("parent\n");
    fflush(stdout);
    if (fork() == 0) {
        printf("lost");
        _exit(0);
    }
    wait(NULL);
    printf("last");
}

static void complaints(void)
{
    fprintf(stderr, "%s %d\n", "fprintf", 1);
    errno = ENOENT;
    perror("perror");
    warnx("warnx %d", 2);
    psignal(9, "psignal");
    fputc('c', stderr);
    fwrite("fwrite\n", 1, 7, stderr);
    errno = ENOSPC;
    err(7, "err");
}

/* Descriptor 4 is the connection; stdout and stdin are pipes. */
static void redirect(void)
{
    int saved = dup(1), input = dup(0);
    char line[20];

    printf("1 printed before, flushed after;");
    dup2(SOCKET, 1);
    printf(" 2 to the connection\n");
    fflush(stdout);
    printf("3 unflushed;");
    dup2(saved, 1);
    printf(" 4 to the pipe\n");
    fflush(stdout);
    describe("stdout", stdout);
    dup2(SOCKET, 0);
    fact("%s", fgets(line, sizeof line, stdin));
    dup2(input, 0);
    close(SOCKET);
    fact("%s", fgets(line, sizeof line, stdin) ? line : "nothing");
}

static void by_dup(void)
{
    char line[20];

    close(0);
    fact("dup %d", dup(SOCKET));
    close(1);
    fact("F_DUPFD %d", fcntl(SOCKET, F_DUPFD, 0));
    close(SOCKET);
    fact("%s", fgets(line, sizeof line, stdin));
    printf("%s", line);
}

/* What a vfork child does to its descriptors is not the parent's business. */
static void vforks(void)
{
    pid_t pid;
    int status = 0;

    printf("to the pipe, unflushed;");
    pid = vfork();
    if (pid == 0) {
        dup2(SOCKET, 0);
        dup2(SOCKET, 1);
        close(SOCKET);
        execl("/bin/cat", "cat", (char *)NULL);
        _exit(127);
    }
    printf(" and more");
    describe("stdout", stdout);
    fflush(stdout);
    shutdown(SOCKET, SHUT_RD);
    waitpid(pid, &status, 0);
    fact("status %d", status);
}

static void vfork_options(void)
{
    int idle = 77;
    socklen_t len = sizeof idle;
    pid_t pid;

    outcome("set", setsockopt(0, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle));
    pid = vfork();
    if (pid == 0) {
        dup2(SOCKET, 0);
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    outcome("get", getsockopt(0, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len));
    fact("idle %d", idle);
}

static void children(void)
{
    FILE *pipe;
    char line[40] = "";

    printf("before;");
    fflush(stdout);
    outcome("system", system("echo system"));
    pipe = popen("tr a-z A-Z", "w");
    fputs("popen\n", pipe);
    outcome("pclose", pclose(pipe));
    pipe = popen("head -n 1", "r"); /* reads what comes to our stdin */
    fact("%s", fgets(line, sizeof line, pipe));
    outcome("pclose", pclose(pipe));
    printf("after\n");
}

static void *shout(void *letter)
{
    char line[61];

    memset(line, *(char *)letter, 60);
    line[60] = '\0';
    for (int i = 0; i < 500; i++)
        printf("%s\n", line);
    return NULL;
}

static void threads(void)
{
    static char letters[] = "abcd";
    pthread_t thread[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, shout, &letters[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

static void *read_line(void *room)
{
    return fgets(room, 100, stdin);
}

static void cancelled(void)
{
    pthread_t thread;
    char line[100] = "";
    void *result;

    pthread_create(&thread, NULL, read_line, line);
    usleep(200000);
    outcome("cancel", pthread_cancel(thread));
    pthread_join(thread, &result);
    fact("cancelled %d", result == PTHREAD_CANCELED);
    printf("go on\n");
    fflush(stdout);
    fact("%s", fgets(line, sizeof line, stdin));
}

/* Whoever ends the process ends it, cancelled or not. */
static void *end_cancelled(void *unused)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    _exit(7);
    return unused;
}

static void cancelled_exit(void)
{
    pthread_t thread;

    fact("first byte %d", getchar());
    pthread_create(&thread, NULL, end_cancelled, NULL);
    pthread_join(thread, NULL);
    fact("the thread ended, the process did not");
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void *splice_in(void *pipe)
{
    return (void *)splice(*(int *)pipe, NULL, 0, NULL, 1 << 20, 0);
}

static void *splice_out(void *pipe)
{
    return (void *)splice(0, NULL, *(int *)pipe, NULL, 1 << 20, 0);
}

/* A thread waits in splice() and is cancelled; nothing may stay behind. */
static void cancel_splice(const char *what, void *(*run)(void *), int *pipe)
{
    int before = open_descriptors();
    pthread_t thread;
    void *result;

    pthread_create(&thread, NULL, run, pipe);
    usleep(200000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    fact("%s: cancelled %d, left %d", what, result == PTHREAD_CANCELED,
         open_descriptors() - before);
}

static void splices(void)
{
    static char data[4096];
    int pipes[2];

    if (pipe(pipes) < 0)
        return;
    cancel_splice("empty socket", splice_out, &pipes[1]);
    cancel_splice("empty pipe", splice_in, &pipes[0]);
    fcntl(pipes[1], F_SETFL, O_NONBLOCK);
    while (write(pipes[1], data, sizeof data) > 0)
        ;
    fcntl(pipes[1], F_SETFL, 0);
    cancel_splice("full pipe", splice_out, &pipes[1]);
    for (int refused = 0; refused < 6;) /* an acknowledgement makes room, once or twice */
        if (send(0, data, sizeof data, MSG_DONTWAIT) < 0) {
            refused++;
            usleep(40000);
        }
    cancel_splice("full socket", splice_in, &pipes[0]);
}

static void memory(void)
{
    wchar_t *wide_text = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *wide_stream = open_wmemstream(&wide_text, &size), *stream = open_memstream(&text, &size);
    FILE *before = stdout;

    fputws(L"wide", wide_stream);
    outcome("fclose", fclose(wide_stream));
    stdout = stream;
    printf("to memory");
    dup2(1, 1);
    dup2(0, 1);
    printf(" still");
    outcome("fclose", fclose(stream));
    stdout = before;
    printf("%s\n", text);
}

static void wide(void)
{
    outcome("fwide", fwide(stdout, 1));
    outcome("wprintf", wprintf(L"wide %d\n", 7));
    outcome("fflush", fflush(stdout));
}

static FILE *early_stdin, *early_stdout;

static void look(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv, (void)envp;
    early_stdin = stdin;
    early_stdout = stdout;
}

__attribute__((section(".preinit_array"), used)) static void (*const entry)(int, char **,
                                                                            char **) = look;

/* Who takes the streams before main(), as C++'s library does, has the same ones. */
static void early(void)
{
    int c;

    fact("same %d %d", stdin == early_stdin, stdout == early_stdout);
    while ((c = getc(early_stdin)) != EOF)
        putc(c, early_stdout);
    fact("feof %d", feof(stdin) != 0);
}

/* Descriptor 4 listens. The way of daemons: to the background, and nothing left open. */
static void serve(const char *name)
{
    int fd = accept(SOCKET, NULL, NULL);
    char word[20];
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");

    if (fscanf(in, "%19s", word) == 1)
        fprintf(out, "%s says %s\n", name, word);
    fclose(out);
    fclose(in);
}

static ssize_t sent;

static void *send_file(void *file)
{
    sent = sendfile(0, *(int *)file, NULL, 4 << 20);
    pthread_testcancel();
    return NULL;
}

static int mapped_files(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int count = 0;

    while (maps && fgets(line, sizeof line, maps))
        count += strstr(line, "(deleted)") != NULL;
    if (maps)
        fclose(maps);
    return count;
}

/* A thread that waits in sendfile() is cancelled. */
static void sendfiles(void)
{
    int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    pthread_t thread;
    void *result;

    if (ftruncate(file, 4 << 20) < 0)
        return;
    pthread_create(&thread, NULL, send_file, &file);
    usleep(300000);
    outcome("cancel", pthread_cancel(thread));
    pthread_join(thread, &result);
    fact("cancelled %d, sent %zd, mapped %d", result == PTHREAD_CANCELED, sent, mapped_files());
}

static void daemons(void)
{
    outcome("daemon", daemon(0, 0));
    printf("to nobody\n");
    serve("daemon");
    exit(0);
}

static void close_all(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fd != SOCKET && fd != FACTS)
            close(fd);
    fact("socket %d", open("/dev/null", O_RDWR));
    serve("loop");
    outcome("close_range", close_range(5, ~0U, 0));
    outcome("close_range", close_range(0, 2, 0));
    serve("close_range");
    closefrom(5);
    serve("closefrom");
    outcome("unshare", close_range(5, ~0U, CLOSE_RANGE_UNSHARE));
    serve("unshare");
    outcome("cloexec", close_range(SOCKET, SOCKET, CLOSE_RANGE_CLOEXEC));
    outcome("flag", fcntl(SOCKET, F_GETFD));
    serve("cloexec");
}

static const struct {
    const char *name;
    void (*run)(void);
} commands[] = {
    {"lines", lines},         {"chars", chars},         {"output", output},
    {"numbers", numbers},     {"closed", closed},       {"reopened", reopened},
    {"buffering", buffering}, {"seek", seek},           {"forks", forks},
    {"redirect", redirect},   {"by_dup", by_dup},       {"complaints", complaints},
    {"vforks", vforks},       {"children", children},   {"threads", threads},
    {"wide", wide},           {"early", early},         {"daemons", daemons},
    {"close_all", close_all}, {"vfork_options", vfork_options},
    {"memory", memory},       {"cancelled", cancelled},
    {"cancelled_exit", cancelled_exit},
    {"splices", splices},     {"sendfiles", sendfiles},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (argc > 1 && strcmp(argv[1], commands[i].name) == 0) {
            commands[i].run();
            return 0;
        }
    return 64;
}
