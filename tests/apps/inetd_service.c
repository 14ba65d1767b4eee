/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A service as inetd starts them: the connection is standard input and output, and nothing but
 * stdio is used. With an argument, on streams made with fdopen() instead of stdin and stdout.
 *
 *   STORE n   the next n bytes are kept; answers their number and checksum
 *   SEND      answers the kept bytes
 *   COUNT     counts the bytes that follow until end of file, answers, and the session ends
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *body;
static size_t kept;

static unsigned checksum(const char *bytes, size_t count)
{
    unsigned sum = 1;

    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + (unsigned char)bytes[i];
    return sum;
}

static int store(size_t count, FILE *in, FILE *out)
{
    free(body);
    kept = 0;
    body = malloc(count ? count : 1);
    if (!body || fread(body, 1, count, in) != count)
        return fprintf(out, "500 short\r\n"), -1;
    kept = count;
    return fprintf(out, "200 %zu %u\r\n", kept, checksum(body, kept));
}

static int serve(FILE *in, FILE *out)
{
    char line[128];
    size_t count;

    fprintf(out, "220 %s\r\n", in == stdin ? "standard streams" : "own streams");
    fflush(out);
    while (fgets(line, sizeof line, in)) {
        if (sscanf(line, "STORE %zu", &count) == 1) {
            if (store(count, in, out) < 0)
                return 1;
        } else if (strncmp(line, "SEND", 4) == 0) {
            if (fwrite(body, 1, kept, out) != kept)
                return 1;
        } else if (strncmp(line, "COUNT", 5) == 0) {
            for (count = 0; getc(in) != EOF; count++)
                ;
            fprintf(out, "201 %zu\r\n", count);
            break;
        } else {
            fputs("501 what?\r\n", out);
        }
        fflush(out);
    }
    fputs("221 bye\r\n", out);
    return fclose(out) == 0 && !ferror(in) ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return serve(stdin, stdout);
    return serve(fdopen(dup(0), argv[1]), fdopen(1, "w"));
}
