/* SPDX-License-Identifier: BSD-3-Clause */
/* The values of options in text: parsing them, saying what is expected, printing them. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "addrs.h"
#include "options.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = option_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Digits, at least one, up to *end. No sign, no blank, and nothing that 64 bits cannot hold. */
static bool parse_digits(const char *text, int base, uint64_t *value, const char **end)
{
    uint64_t sum = 0;
    const char *p = text;

    for (; digit(*p) < base; p++) {
        if (sum > UINT32_MAX)
            return false;
        sum = sum * (uint64_t)base + (uint64_t)digit(*p);
    }
    *value = sum;
    *end = p;
    return p != text;
}

static bool parse_number(enum option_kind kind, const char *text, uint64_t *value)
{
    static const char suffixes[] = "kmg";
    const char *end;
    const char *suffix;

    if (kind == OPTION_KIND_HEX && text[0] == '0' && option_lower(text[1]) == 'x')
        return parse_digits(text + 2, 16, value, &end) && *end == '\0';
    if (!parse_digits(text, 10, value, &end))
        return false;
    if (kind == OPTION_KIND_BYTES && *end && (suffix = strchr(suffixes, option_lower(*end)))) {
        /* Checked first, so that 2^30 times as much still fits into 64 bits. */
        if (*value > UINT32_MAX)
            return false;
        *value <<= 10 * (suffix - suffixes + 1);
        end++;
    }
    return *end == '\0';
}

static bool parse_bool(const char *text, uint32_t *value)
{
    static const char *const words[][2] = {
        {"no", "yes"}, {"0", "1"}, {"false", "true"}, {"off", "on"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (uint32_t j = 0; j < 2; j++)
            if (strcmp(text, words[i][j]) == 0) {
                *value = j;
                return true;
            }
    return false;
}

/* The option's word of that many bytes. */
static bool parse_choice(enum option_id id, const char *text, size_t length, uint32_t *value)
{
    for (size_t i = 0; i < option_choice_count; i++) {
        const struct option_choice *choice = &option_choices[i];
        if (choice->option == id && strlen(choice->word) == length &&
            memcmp(text, choice->word, length) == 0) {
            *value = choice->value;
            return true;
        }
    }
    return false;
}

static bool parse_set(enum option_id id, const char *text, uint32_t *value)
{
    uint32_t bits = 0, bit;

    while (*text) {
        size_t length = strcspn(text, ",");

        if (!parse_choice(id, text, length, &bit))
            return false;
        bits |= bit;
        text += length;
        if (*text && !*++text)
            return false; /* nothing after the comma */
    }
    *value = bits;
    return true;
}

static bool parse_uint32(const struct option_info *option, const char *text, uint32_t *value)
{
    enum option_id id = (enum option_id)(option - option_table);
    uint64_t wide;

    if (option->kind == OPTION_KIND_BOOL)
        return parse_bool(text, value);
    if (option->kind == OPTION_KIND_SET)
        return parse_set(id, text, value);
    if (option->kind == OPTION_KIND_SWITCH && strcmp(text, "system") != 0)
        return parse_bool(text, value);
    if (option->kind == OPTION_KIND_SWITCH) {
        *value = SWITCH_SYSTEM;
        return true;
    }
    if (parse_choice(id, text, strlen(text), value))
        return true;
    if (option->kind == OPTION_KIND_ENUM)
        return false;
    if (!parse_number(option->kind, text, &wide) || wide < option->min || wide > option->max)
        return false;
    *value = (uint32_t)wide;
    return true;
}

/* The option's word for this value, or NULL. */
static const char *word_of(enum option_id id, uint32_t value)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id && option_choices[i].value == value)
            return option_choices[i].word;
    return NULL;
}

bool option_takes(const struct option_info *option, uint32_t value)
{
    return (value >= option->min && value <= option->max) ||
           word_of((enum option_id)(option - option_table), value);
}

bool option_next_number(const char **text, uint16_t *key, uint16_t *number)
{
    const char *p = *text;
    uint64_t first, second;

    if (!parse_digits(p, 10, &first, &p) || first > UINT16_MAX || *p++ != '=' ||
        !parse_digits(p, 10, &second, &p) || second > UINT16_MAX)
        return false;
    if (*p == ',' && p[1])
        p++;
    else if (*p)
        return false;
    *key = (uint16_t)first;
    *number = (uint16_t)second;
    *text = p;
    return true;
}

static void *field_of(struct options *of, const struct option_info *option)
{
    return (char *)of + option->offset;
}

static bool is_list(const struct option_info *option)
{
    return option->kind == OPTION_KIND_ADDRS || option->kind == OPTION_KIND_PAIRS ||
           option->kind == OPTION_KIND_NUMBERS;
}

static bool is_text(const struct option_info *option)
{
    return option->kind == OPTION_KIND_PATH || is_list(option);
}

const char *option_stumble(const struct option_info *option, const char *value)
{
    struct addrs_entry entry;
    struct addrs_pair pair = {0};
    uint16_t key, number;
    const char *text = value;

    if (!is_list(option) || strlen(value) >= option->size)
        return value;
    if (option->kind == OPTION_KIND_ADDRS)
        while (addrs_next(&text, &entry))
            ;
    else if (option->kind == OPTION_KIND_PAIRS)
        while (addrs_next_pair(&text, &pair))
            ;
    else
        while (option_next_number(&text, &key, &number))
            ;
    return text;
}

static bool text_is_good(const struct option_info *option, const char *value)
{
    size_t length = strlen(value);

    if (length >= option->size)
        return false;
    if (is_list(option))
        return *option_stumble(option, value) == '\0';
    return length == 0 || value[0] == '/';
}

bool option_set(struct options *into, const struct option_info *option, const char *value)
{
    if (!is_text(option))
        return parse_uint32(option, value, field_of(into, option));
    if (!text_is_good(option, value))
        return false;
    memcpy(field_of(into, option), value, strlen(value) + 1);
    return true;
}

bool option_append(struct options *into, const struct option_info *option, const char *value)
{
    char *list = field_of(into, option);
    size_t length, more = strlen(value);

    if (!is_list(option) || !*list)
        return option_set(into, option, value);
    length = strlen(list);
    if (length + 1 + more >= option->size)
        return false;
    list[length] = ',';
    memcpy(list + length + 1, value, more + 1);
    if (text_is_good(option, list))
        return true;
    list[length] = '\0';
    return false;
}

/* snprintf() that goes on where the last one stopped, and stays inside when there is no room. */
static void __attribute__((format(printf, 4, 5)))
append(char *buffer, size_t size, size_t *used, const char *format, ...)
{
    va_list arguments;
    int n;

    if (*used >= size)
        return;
    va_start(arguments, format);
    n = vsnprintf(buffer + *used, size - *used, format, arguments);
    va_end(arguments);
    if (n > 0)
        *used += (size_t)n;
}

static void append_bytes(char *buffer, size_t size, size_t *used, uint32_t value)
{
    static const char suffixes[] = {'g', 'm', 'k'};

    for (int i = 0; i < 3; i++) {
        uint32_t unit = UINT32_C(1) << (30 - 10 * i);
        if (value >= unit && value % unit == 0) {
            append(buffer, size, used, "%" PRIu32 "%c", value / unit, suffixes[i]);
            return;
        }
    }
    append(buffer, size, used, "%" PRIu32, value);
}

static size_t count_choices(enum option_id id)
{
    size_t count = 0;

    for (size_t i = 0; i < option_choice_count; i++)
        count += option_choices[i].option == id;
    return count;
}

/* The option's words, and what stands between the last two. */
static void append_choices(char *buffer, size_t size, size_t *used, enum option_id id,
                           const char *last)
{
    size_t left = count_choices(id);

    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id) {
            left--;
            append(buffer, size, used, "%s%s", option_choices[i].word,
                   left > 1 ? ", " : left == 1 ? last : "");
        }
}

/* The words that a number has beside it. */
static void append_alternatives(char *buffer, size_t size, size_t *used, enum option_id id)
{
    if (count_choices(id) > 0) {
        append(buffer, size, used, ", or ");
        append_choices(buffer, size, used, id, ", ");
    }
}

char *option_expected(const struct option_info *option, char *buffer, size_t size)
{
    enum option_id id = (enum option_id)(option - option_table);
    size_t used = 0;

    switch (option->kind) {
    case OPTION_KIND_BOOL:
        append(buffer, size, &used, "yes or no");
        break;
    case OPTION_KIND_SWITCH:
        append(buffer, size, &used, "yes, no or system");
        break;
    case OPTION_KIND_ENUM:
        append_choices(buffer, size, &used, id, " or ");
        break;
    case OPTION_KIND_SET:
        append(buffer, size, &used, "some of ");
        append_choices(buffer, size, &used, id, " and ");
        append(buffer, size, &used, " separated by commas, or nothing");
        break;
    case OPTION_KIND_COUNT:
        append(buffer, size, &used, "a number from %" PRIu32 " to %" PRIu32, option->min,
               option->max);
        break;
    case OPTION_KIND_MS:
        append(buffer, size, &used, "milliseconds from %" PRIu32 " to %" PRIu32, option->min,
               option->max);
        break;
    case OPTION_KIND_BYTES:
        append(buffer, size, &used, "a size from ");
        append_bytes(buffer, size, &used, option->min);
        append(buffer, size, &used, " to ");
        append_bytes(buffer, size, &used, option->max);
        break;
    case OPTION_KIND_HEX:
        append(buffer, size, &used, "a number from %" PRIu32 " to 0x%" PRIx32, option->min,
               option->max);
        break;
    case OPTION_KIND_PATH:
        append(buffer, size, &used, "an absolute path of at most %" PRIu32 " bytes, or nothing",
               option->max);
        break;
    case OPTION_KIND_ADDRS:
        append(buffer, size, &used, "addresses, networks, if:NAME or all, each after ! to except "
               "it, at most %" PRIu32 " bytes", option->max);
        break;
    case OPTION_KIND_PAIRS:
        append(buffer, size, &used, "ADDRESS=ADDRESS,... of peers, or dns, at most %" PRIu32
               " bytes", option->max);
        break;
    case OPTION_KIND_NUMBERS:
        append(buffer, size, &used, "STREAM=NUMBER,... up to 65535, at most %" PRIu32 " bytes",
               option->max);
        break;
    }
    if (option->kind == OPTION_KIND_COUNT || option->kind == OPTION_KIND_MS ||
        option->kind == OPTION_KIND_BYTES || option->kind == OPTION_KIND_HEX)
        append_alternatives(buffer, size, &used, id);
    return buffer;
}

static void append_set(char *buffer, size_t size, size_t *used, enum option_id id, uint32_t value)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id && option_choices[i].value & value)
            append(buffer, size, used, "%s%s", *used ? "," : "", option_choices[i].word);
}

char *option_format(const struct options *from, const struct option_info *option, char *buffer,
                    size_t size)
{
    static const char *const switches[] = {"no", "yes", "system"};
    const void *field = (const char *)from + option->offset;
    enum option_id id = (enum option_id)(option - option_table);
    uint32_t value = 0;
    size_t used = 0;

    if (size > 0)
        buffer[0] = '\0';
    if (is_text(option)) {
        append(buffer, size, &used, "%s", (const char *)field);
        return buffer;
    }
    memcpy(&value, field, sizeof(value));
    if (option->kind == OPTION_KIND_BOOL || option->kind == OPTION_KIND_SWITCH)
        append(buffer, size, &used, "%s", switches[value < 3 ? value : SWITCH_SYSTEM]);
    else if (option->kind == OPTION_KIND_SET)
        append_set(buffer, size, &used, id, value);
    else if (word_of(id, value))
        append(buffer, size, &used, "%s", word_of(id, value));
    else if (option->kind == OPTION_KIND_BYTES)
        append_bytes(buffer, size, &used, value);
    else if (option->kind == OPTION_KIND_HEX && value > UINT16_MAX)
        append(buffer, size, &used, "0x%" PRIx32, value);
    else
        append(buffer, size, &used, "%" PRIu32, value);
    return buffer;
}
