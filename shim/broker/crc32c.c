/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC32C by the instructions of x86-64 (SSE 4.2) and arm64 (CRC), else by tables. */
#include "crc32c.h"

#include <string.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

enum { POLYNOMIAL = 0x82f63b78, SLICES = 4 };

static uint32_t tables[SLICES][256];

static void make_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? (uint32_t)POLYNOMIAL : 0);
        tables[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++)
        for (int slice = 1; slice < SLICES; slice++)
            tables[slice][i] =
                tables[slice - 1][i] >> 8 ^ tables[0][tables[slice - 1][i] & 0xff];
}

uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    if (!tables[0][1])
        make_tables();
    for (; len >= SLICES; len -= SLICES, at += SLICES) {
        crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 24;
        crc = tables[3][crc & 0xff] ^ tables[2][crc >> 8 & 0xff] ^ tables[1][crc >> 16 & 0xff] ^
              tables[0][crc >> 24];
    }
    while (len--)
        crc = crc >> 8 ^ tables[0][(crc ^ *at++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#define STEP8(crc, word) (uint32_t)__builtin_ia32_crc32di(crc, word)
#define STEP1(crc, byte) __builtin_ia32_crc32qi(crc, byte)
#define TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__)
#define STEP8(crc, word) __builtin_aarch64_crc32cx(crc, word)
#define STEP1(crc, byte) __builtin_aarch64_crc32cb(crc, byte)
#define TARGET __attribute__((target("+crc")))
#endif

#ifdef TARGET
/*
 * The instruction's result is there three cycles later, but one can begin in each: three stretches
 * of STRETCH bytes at a time, put together by what so many zero bytes make of a sum.
 */
enum { STRETCH = 192 };

static uint32_t shifts[4][256]; /* of each of the sum's bytes */

static void make_shifts(void)
{
    static const unsigned char zeros[STRETCH];

    for (unsigned i = 0; i < 256; i++)
        for (int byte = 0; byte < 4; byte++)
            shifts[byte][i] = crc32c_table((uint32_t)i << 8 * byte, zeros, sizeof zeros);
}

static uint32_t shift(uint32_t crc)
{
    return shifts[0][crc & 0xff] ^ shifts[1][crc >> 8 & 0xff] ^ shifts[2][crc >> 16 & 0xff] ^
           shifts[3][crc >> 24];
}

static uint64_t word_at(const unsigned char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

TARGET static uint32_t three_stretches(uint32_t crc, const unsigned char *at)
{
    uint32_t second = 0, third = 0;

    for (size_t i = 0; i < STRETCH; i += 8) {
        crc = STEP8(crc, word_at(at + i));
        second = STEP8(second, word_at(at + STRETCH + i));
        third = STEP8(third, word_at(at + 2 * STRETCH + i));
    }
    return shift(shift(crc) ^ second) ^ third;
}

TARGET static uint32_t crc32c_hardware(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    for (; len >= 3 * STRETCH; len -= 3 * STRETCH, at += 3 * STRETCH)
        crc = three_stretches(crc, at);
    for (; len >= 8; len -= 8, at += 8)
        crc = STEP8(crc, word_at(at));
    while (len--)
        crc = STEP1(crc, *at++);
    return crc;
}
#endif

bool crc32c_is_hardware(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2");
#elif defined(__aarch64__)
    enum { CRC32 = 1 << 7 }; /* HWCAP_CRC32 */

    return getauxval(AT_HWCAP) & CRC32;
#else
    return false;
#endif
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#ifdef TARGET
    static int hardware = -1;

    if (hardware < 0) {
        make_shifts();
        hardware = crc32c_is_hardware();
    }
    if (hardware)
        return crc32c_hardware(crc, bytes, len);
#endif
    return crc32c_table(crc, bytes, len);
}

bool crc32c_of_packet(const unsigned char *bytes, size_t len)
{
    enum { AT = 8, SIZE = 4 }; /* as if it were zero itself; its low byte comes first */
    static const unsigned char none[SIZE];
    uint32_t sum = crc32c(crc32c(~0u, bytes, AT), none, SIZE);

    sum = ~crc32c(sum, bytes + AT + SIZE, len - AT - SIZE);
    return (bytes[AT] | (uint32_t)bytes[AT + 1] << 8 | (uint32_t)bytes[AT + 2] << 16 |
            (uint32_t)bytes[AT + 3] << 24) == sum;
}
