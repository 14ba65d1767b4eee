/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses a file's text or the environment into options; no input or output. */
#define _GNU_SOURCE
#include "layer.h"

#include <ini.h>
#include <stdio.h>
#include <string.h>

#define SECTION "sctpshim"

enum {
    VALUE_SHOWN = 100,   /* bytes of a wrong value that a message repeats */
    MESSAGE_SIZE = 1024, /* a line of message, with a long path in it */
    EXPECTED_SIZE = 120,
    SHORT_VALUE = 24,
};

void layer_begin(struct layer *layer, const char *place, struct options *into,
                 config_report *report, void *user)
{
    memset(layer, 0, sizeof(*layer));
    layer->place = place;
    layer->into = into;
    layer->below = *into;
    layer->report = report;
    layer->user = user;
}

static void tell(struct layer *layer, const char *message)
{
    layer->mistakes++;
    if (layer->report)
        layer->report(layer->user, message);
}

void layer_mistake(struct layer *layer, unsigned line, const char *key, const char *expected,
                   const char *got)
{
    char message[MESSAGE_SIZE];
    char number[16] = "";

    if (line > 0 && !layer->environment)
        snprintf(number, sizeof(number), "%u:", line);
    snprintf(message, sizeof(message), "%s:%s%s%s%s expected %s, got '%.*s%s'", layer->place,
             number, key[0] ? " " : "", key, key[0] ? ":" : "", expected, VALUE_SHOWN, got,
             strlen(got) > VALUE_SHOWN ? "..." : "");
    tell(layer, message);
}

/* The option as this layer's user writes it: a key or a variable. */
static const char *spell(const struct layer *layer, const struct option_info *option, char *buffer,
                         size_t size)
{
    snprintf(buffer, size, "%s%s", layer->environment ? VARIABLE_PREFIX : "",
             layer->environment ? option->name : option->key);
    return buffer;
}

static void unknown(struct layer *layer, unsigned line, const char *shown, const char *name,
                    const char *got)
{
    const struct option_info *nearest = option_nearest(name);
    const char *noun = layer->environment ? "the name of a variable" : "the name of an option";
    char expected[EXPECTED_SIZE];
    char spelled[64];

    if (nearest)
        snprintf(expected, sizeof(expected), "%s (did you mean %s?)", noun,
                 spell(layer, nearest, spelled, sizeof(spelled)));
    else
        snprintf(expected, sizeof(expected), "%s", noun);
    layer_mistake(layer, line, shown, expected, got);
}

static void assign(struct layer *layer, unsigned line, const char *shown,
                   const struct option_info *option, const char *value)
{
    char expected[EXPECTED_SIZE];

    if (option_set(layer->into, option, value))
        layer->line[option - option_table] = line;
    else
        layer_mistake(layer, line, shown, option_expected(option, expected, sizeof(expected)),
                      value);
}

/* What must hold between two options, from the table's RELATION rows. */
struct relation {
    enum option_id left;
    enum option_id right;
    bool (*holds)(const struct options *);
    const char *words;
    const char *converse;
};

#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                              \
    static bool LEFT##_##RIGHT##_hold(const struct options *o)                                     \
    {                                                                                              \
        return o->left operator o->right;                                                          \
    }
#include "options.def"

static const struct relation relations[] = {
#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                              \
    {OPTION_##LEFT, OPTION_##RIGHT, LEFT##_##RIGHT##_hold, words, converse},
#include "options.def"
};

/* Takes one value back that does not go with another one; false if this layer set neither. */
static bool take_back(struct layer *layer, const struct relation *relation)
{
    bool left = layer->line[relation->left] != 0;
    enum option_id wrong = left ? relation->left : relation->right;
    const struct option_info *option = &option_table[wrong];
    const struct option_info *other = &option_table[left ? relation->right : relation->left];
    char expected[EXPECTED_SIZE], shown[64], spelled[64], limit[SHORT_VALUE], got[SHORT_VALUE];

    if (layer->line[wrong] == 0)
        return false;
    snprintf(expected, sizeof(expected), "%s %s (%s)",
             left ? relation->words : relation->converse,
             spell(layer, other, spelled, sizeof(spelled)),
             option_format(layer->into, other, limit, sizeof(limit)));
    layer_mistake(layer, layer->line[wrong], spell(layer, option, shown, sizeof(shown)), expected,
                  option_format(layer->into, option, got, sizeof(got)));
    memcpy((char *)layer->into + option->offset, (char *)&layer->below + option->offset,
           option->size);
    layer->line[wrong] = 0;
    return true;
}

/*
 * Checks what must hold between options when all of a layer is in, because the order of its lines
 * means nothing. Ends: each round takes a value back, and the layers below agree with themselves.
 */
static void relate(struct layer *layer)
{
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++)
            if (!relations[i].holds(layer->into) && take_back(layer, &relations[i]))
                again = true;
    }
}

/*
 * A text on its way through inih. Debian's inih tells handlers no line numbers, cuts long lines
 * into pieces, joins indented lines to the one before, and shortens the names of sections; so the
 * reader below counts, hands over only lines that it can take, and keeps track of sections.
 */
struct text {
    struct layer layer;
    const char *next;
    const char *end;
    unsigned line;
    bool foreign;      /* in a section that is not ours: its keys were reported with it */
    bool unhandled;    /* the line handed over last must reach the handler */
    char current[160]; /* that line, for the message if it does not */
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Reports the line before this one if inih did not find a key and a value in it. */
static void settle(struct text *text)
{
    if (text->unhandled)
        layer_mistake(&text->layer, text->line, "", "name = value", text->current);
    text->unhandled = false;
}

static void begin_section(struct text *text, const char *line)
{
    static const char ours[] = "[" SECTION "]";

    text->foreign = strncmp(line, ours, sizeof(ours) - 1) != 0;
    if (!text->foreign) {
        line += sizeof(ours) - 1;
        while (blank(*line))
            line++;
        text->foreign = *line != '\0' && *line != ';' && *line != '#';
    }
    if (text->foreign)
        layer_mistake(&text->layer, text->line, "", "section [" SECTION "]", text->current);
}

/* The next line without blanks around it and its length. False at the end of the text. */
static bool take_line(struct text *text, const char **line, size_t *length)
{
    const char *start = text->next;
    const char *stop;

    if (start == text->end)
        return false;
    stop = memchr(start, '\n', (size_t)(text->end - start));
    text->next = stop ? stop + 1 : text->end;
    if (!stop)
        stop = text->end;
    text->line++;
    while (start < stop && blank(*start))
        start++;
    while (start < stop && blank(stop[-1]))
        stop--;
    *line = start;
    *length = (size_t)(stop - start);
    return true;
}

/* Whether inih gets this line; what it does not is reported here, or says nothing. */
static bool line_wanted(struct text *text, const char *line, size_t length, size_t limit)
{
    char expected[64];

    if (length == 0 || line[0] == '#' || line[0] == ';')
        return false;
    snprintf(text->current, sizeof(text->current), "%.*s",
             (int)(length < sizeof(text->current) ? length : sizeof(text->current) - 1), line);
    if (length > limit) {
        snprintf(expected, sizeof(expected), "a line of at most %zu bytes", limit);
        layer_mistake(&text->layer, text->line, "", expected, text->current);
        return false;
    }
    if (memchr(line, '\0', length)) {
        layer_mistake(&text->layer, text->line, "", "text without zero bytes", text->current);
        return false;
    }
    if (line[0] == '[') {
        begin_section(text, text->current);
        return false;
    }
    return !text->foreign;
}

/* Like fgets(): one line into `buffer`. */
static char *read_line(char *buffer, int size, void *stream)
{
    struct text *text = stream;
    const char *line;
    size_t length;

    settle(text);
    if (size < 3 || !take_line(text, &line, &length))
        return NULL;
    if (!line_wanted(text, line, length, (size_t)size - 2))
        length = 0;
    else
        text->unhandled = true;
    memcpy(buffer, line, length);
    memcpy(buffer + length, "\n", 2);
    return buffer;
}

static int handle_pair(void *user, const char *section, const char *name, const char *value)
{
    struct text *text = user;
    const struct option_info *option = option_find(name);

    (void)section;
    if (name[0] == '\0')
        return 0; /* settle() reports the line */
    text->unhandled = false;
    if (option)
        assign(&text->layer, text->line, name, option, value);
    else
        unknown(&text->layer, text->line, name, name, value);
    return 1;
}

unsigned config_parse_text(const char *source, size_t length, const char *file,
                           struct options *into, config_report *report, void *user)
{
    static const char mark[3] = "\xef\xbb\xbf"; /* some editors begin UTF-8 with it */
    struct text text;

    memset(&text, 0, sizeof(text));
    layer_begin(&text.layer, file, into, report, user);
    text.next = source;
    text.end = source + length;
    if (length >= sizeof(mark) && memcmp(source, mark, sizeof(mark)) == 0)
        text.next += sizeof(mark);
    ini_parse_stream(read_line, &text, handle_pair, &text);
    settle(&text);
    relate(&text.layer);
    return text.layer.mistakes;
}

static bool reserved(const char *name, size_t length)
{
    static const char *const names[] = {
#define RESERVED(NAME, help) #NAME,
#include "options.def"
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return true;
    return false;
}

/* `entry` is NAME=value, what follows SCTPSHIM_; variables are in capitals and only there. */
static void parse_variable(struct layer *layer, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t length = equals ? (size_t)(equals - entry) : 0;
    const struct option_info *option;
    char shown[64];
    const char *name = shown + sizeof(VARIABLE_PREFIX) - 1;

    if (!equals || reserved(entry, length))
        return;
    snprintf(shown, sizeof(shown), VARIABLE_PREFIX "%.*s",
             (int)(length < sizeof(shown) ? length : sizeof(shown)), entry);
    option = option_find(name);
    if (!option || strcmp(option->name, name) != 0)
        unknown(layer, 0, shown, name, equals + 1);
    else if (layer->line[option - option_table] == 0) /* as getenv(): the first one counts */
        assign(layer, 1, shown, option, equals + 1);
}

unsigned config_parse_environment(char *const *environment, struct options *into,
                                  config_report *report, void *user)
{
    struct layer layer;

    layer_begin(&layer, "environment", into, report, user);
    layer.environment = true;
    for (; environment && *environment; environment++)
        if (strncmp(*environment, VARIABLE_PREFIX, sizeof(VARIABLE_PREFIX) - 1) == 0)
            parse_variable(&layer, *environment + sizeof(VARIABLE_PREFIX) - 1);
    relate(&layer);
    return layer.mistakes;
}
