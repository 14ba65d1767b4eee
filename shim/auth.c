/* SPDX-License-Identifier: BSD-3-Clause */
/* Authenticated chunks (RFC 4895) with a key from a file, and address changes (RFC 5061). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "params.h"

enum { KEY_LIMIT = 256, KEY_FILES = 16 };
enum { FREE, TAKEN, READY };

struct key {
    size_t length;
    unsigned char bytes[KEY_LIMIT + 2];
};

/*
 * Keys that have been read. A program that gives up its privileges can read no file of root's any
 * more, and connects all the same.
 */
static struct {
    _Atomic int state;
    char path[sizeof((struct options *)0)->auth_key];
    struct key key;
} keys[KEY_FILES];

/* The file's bytes, less the end of line that editors put there; NULL, or what is wrong. */
static const char *read_key(const char *path, struct key *key)
{
    /* syscall(): not one of the library's own hooks. */
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *wrong = NULL;
    struct stat s;
    long n = 0;

    if (fd < 0)
        return strerrorname_np(errno);
    if (fstat((int)fd, &s) != 0 || !S_ISREG(s.st_mode))
        wrong = "not a regular file";
    else if (s.st_mode & S_IRWXO)
        wrong = "every user may read or change it (chmod o= it)";
    else if ((n = syscall(SYS_read, (int)fd, key->bytes, sizeof key->bytes)) < 0)
        wrong = strerrorname_np(errno);
    syscall(SYS_close, (int)fd);
    if (wrong)
        return wrong;
    key->length = (size_t)n;
    if (n > 0 && key->bytes[n - 1] == '\n')
        key->length--;
    if (!key->length)
        return "it is empty";
    return key->length > KEY_LIMIT ? "it is longer than 256 bytes" : NULL;
}

static const struct key *known_key(const char *path)
{
    for (size_t i = 0; i < KEY_FILES; i++)
        if (atomic_load(&keys[i].state) == READY && strcmp(keys[i].path, path) == 0)
            return &keys[i].key;
    return NULL;
}

static void remember(const char *path, const struct key *key)
{
    for (size_t i = 0; i < KEY_FILES; i++) {
        int expected = FREE;

        if (!atomic_compare_exchange_strong(&keys[i].state, &expected, TAKEN))
            continue;
        strcpy(keys[i].path, path);
        keys[i].key = *key;
        atomic_store(&keys[i].state, READY);
        return;
    }
}

/* NULL, or what is wrong; the key in *key. */
static const char *find_key(const char *path, struct key *key)
{
    const struct key *known = known_key(path);
    const char *wrong;

    if (known) {
        *key = *known;
        return NULL;
    }
    wrong = read_key(path, key);
    if (!wrong)
        remember(path, key);
    return wrong;
}

void auth_load(const struct options *o)
{
    struct key key;

    if (o->auth && o->auth_key[0])
        (void)find_key(o->auth_key, &key); /* what is wrong is said when a socket wants it */
    explicit_bzero(&key, sizeof key);
}

static void set_key(const struct param_sink *to, const struct options *o)
{
    union {
        struct sctp_authkey head;
        unsigned char room[sizeof(struct sctp_authkey) + KEY_LIMIT];
    } setting = {.head = {.sca_keynumber = (uint16_t)o->auth_key_id}};
    struct sctp_authkeyid active = {.scact_keynumber = (uint16_t)o->auth_key_id};
    struct key key;
    const char *wrong = find_key(o->auth_key, &key);

    if (wrong) {
        to->fail(to, "AUTH_KEY", wrong);
        return;
    }
    setting.head.sca_keylength = (uint16_t)key.length;
    memcpy(setting.head.sca_key, key.bytes, key.length);
    param_set(to, SCTP_AUTH_KEY, "AUTH_KEY and AUTH_KEY_ID", &setting.head,
              sizeof setting.head + key.length);
    param_set(to, SCTP_AUTH_ACTIVE_KEY, "AUTH_KEY_ID", &active, sizeof active);
    explicit_bzero(&key, sizeof key);
    explicit_bzero(&setting, sizeof setting);
}

/* RFC 4895 section 3.3: SHA-1 must be among those offered; the first one that both know is used. */
static void set_hmacs(const struct param_sink *to, const struct options *o)
{
    struct {
        uint32_t count;
        uint16_t ids[2];
    } hmacs = {2, {SCTP_AUTH_HMAC_ID_SHA256, SCTP_AUTH_HMAC_ID_SHA1}};

    if (o->auth_hmac == AUTH_HMAC_SHA1)
        hmacs.ids[hmacs.count = 1, 0] = SCTP_AUTH_HMAC_ID_SHA1;
    param_set(to, SCTP_HMAC_IDENT, "AUTH_HMAC", &hmacs,
              sizeof hmacs.count + hmacs.count * sizeof hmacs.ids[0]);
}

/* Chunk types: RFC 9260 section 3.2, RFC 3758, RFC 8260. */
static void set_chunks(const struct param_sink *to, uint32_t wanted)
{
    static const struct {
        uint32_t word;
        uint8_t type;
    } chunks[] = {
        {AUTH_DATA, 0x00},      {AUTH_DATA, 0x40},     {AUTH_SACK, 0x03},    {AUTH_HEARTBEAT, 0x04},
        {AUTH_HEARTBEAT, 0x05}, {AUTH_ABORT, 0x06},    {AUTH_SHUTDOWN, 0x07}, {AUTH_SHUTDOWN, 0x08},
        {AUTH_ERROR, 0x09},     {AUTH_COOKIE, 0x0a},   {AUTH_COOKIE, 0x0b},  {AUTH_FORWARD, 0xc0},
        {AUTH_FORWARD, 0xc2},
    };

    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct sctp_authchunk chunk = {chunks[i].type};

        if (wanted & chunks[i].word)
            param_set(to, SCTP_AUTH_CHUNK, "AUTH", &chunk, sizeof chunk);
    }
}

void params_auth(const struct param_sink *to, const struct options *o)
{
    struct sctp_assoc_value on = {.assoc_value = 1};
    struct sctp_assoc_value asconf = {.assoc_value = o->asconf};

    /* RFC 5061 section 4.1.1: changes of address have to be authenticated. */
    if (o->auth || o->asconf == SWITCH_YES)
        param_set(to, SCTP_AUTH_SUPPORTED, "AUTH and ASCONF", &on, sizeof on);
    if (o->asconf != SWITCH_SYSTEM)
        param_set(to, SCTP_ASCONF_SUPPORTED, "ASCONF", &asconf, sizeof asconf);
    if (!o->auth)
        return;
    set_hmacs(to, o);
    set_chunks(to, o->auth);
    if (o->auth_key[0])
        set_key(to, o);
}
