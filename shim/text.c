/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses a file's text into options and rules; no input or output. */
#define _GNU_SOURCE
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "layer.h"
#include "matchers.h"

#define SECTION "sctpshim"

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
    struct rules *rules;
    struct rule *rule; /* the rule in whose section the text is, or NULL */
    bool spoiled;      /* that rule might match more than was meant */
    bool unhandled;    /* the line handed over last must reach the handler */
    char current[160]; /* that line, for the message if it does not */
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* A mistake that no option has made: in a rule it may have been meant to narrow it down. */
static void mistake(struct text *text, const char *expected)
{
    layer_mistake(&text->layer, text->line, "", expected, text->current);
    text->spoiled = true;
}

/* Reports the line before this one if inih did not find a key and a value in it. */
static void settle(struct text *text)
{
    if (text->unhandled)
        mistake(text, "name = value");
    text->unhandled = false;
}

/* Of names that come twice the second rule would not do what its author believes. */
static bool is_taken(const struct text *text, const char *name)
{
    for (unsigned i = 0; i < text->rules->count; i++)
        if (text->rules->list[i].where.place == text->layer.place &&
            strcmp(text->rules->list[i].name, name) == 0)
            return true;
    return false;
}

static void end_rule(struct text *text)
{
    const struct rule *rule = text->rule;

    if (rule && text->spoiled)
        layer_tell(&text->layer,
                   "%s:%u: rule %s is ignored: without what is wrong it might match too much",
                   text->layer.name, rule->where.line, rule->name);
    else if (rule)
        text->rules->count++;
    text->rule = NULL;
}

static bool begin_rule(struct text *text, const char *heading)
{
    struct rule *rule = &text->rules->list[text->rules->count];

    if (text->rules->count == RULES_MAX) {
        mistake(text, "no more than 64 rules");
        return false;
    }
    memset(rule, 0, sizeof(*rule));
    if (!rule_heading(rule, heading)) {
        mistake(text, "section [" SECTION "] or [rule NAME]");
        return false;
    }
    if (is_taken(text, rule->name)) {
        mistake(text, "a name that no other rule of this file has");
        return false;
    }
    rule->where = (struct origin){.line = text->line, .place = (uint8_t)text->layer.place};
    text->rule = rule;
    text->spoiled = false;
    return true;
}

static void begin_section(struct text *text, const char *line)
{
    static const char ours[] = "[" SECTION "]";
    bool base = strncmp(line, ours, sizeof(ours) - 1) == 0;

    end_rule(text);
    if (base) {
        const char *rest = line + sizeof(ours) - 1;

        while (blank(*rest))
            rest++;
        base = *rest == '\0' || *rest == ';' || *rest == '#';
    }
    text->foreign = !base && !begin_rule(text, line);
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
        mistake(text, expected);
        return false;
    }
    if (memchr(line, '\0', length)) {
        mistake(text, "text without zero bytes");
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

static void handle_matcher(struct text *text, const struct matcher *matcher, const char *name,
                           const char *value)
{
    if (matcher_add(text->rule, matcher, value))
        return;
    layer_mistake(&text->layer, text->line, name, matcher->expected, value);
    text->spoiled = true;
}

static void handle_rule_option(struct text *text, const struct option_info *option,
                               const char *name, const char *value)
{
    struct layer layer = {
        .place = text->layer.place,
        .name = text->layer.name,
        .into = &text->rule->options,
        .report = text->layer.report,
        .user = text->layer.user,
    };
    size_t place = (size_t)(option - option_table);

    layer.line[place] = text->rule->origin[place].line; /* a list may have several lines */
    if (option->scope == OPTION_SCOPE_RULE)
        layer_assign(&layer, text->line, name, option, value);
    else
        layer_mistake(&layer, text->line, name,
                      "an option of single sockets: this one is the whole process's", value);
    layer_record(&layer, text->rule->origin);
    text->layer.mistakes += layer.mistakes;
}

static void handle_rule_pair(struct text *text, const char *name, const char *value)
{
    const struct option_info *option = option_find(name);
    const struct matcher *matcher = matcher_find(name);

    if (matcher) {
        handle_matcher(text, matcher, name, value);
    } else if (option) {
        handle_rule_option(text, option, name, value);
    } else {
        option = option_nearest(name);
        matcher = matcher_nearest(name);
        layer_unknown(&text->layer, text->line, name, "the name of a matcher or an option",
                      matcher ? matcher->key : option ? option->key : NULL, value);
        text->spoiled = true;
    }
}

static void handle_base_pair(struct text *text, const char *name, const char *value)
{
    const struct option_info *option = option_find(name);

    if (option) {
        layer_assign(&text->layer, text->line, name, option, value);
        return;
    }
    option = option_nearest(name);
    layer_unknown(&text->layer, text->line, name, "the name of an option",
                  option ? option->key : NULL, value);
}

static int handle_pair(void *user, const char *section, const char *name, const char *value)
{
    struct text *text = user;

    (void)section;
    if (name[0] == '\0')
        return 0; /* settle() reports the line */
    text->unhandled = false;
    if (text->rule)
        handle_rule_pair(text, name, value);
    else
        handle_base_pair(text, name, value);
    return 1;
}

unsigned config_parse_text(const char *source, size_t length, enum place place, const char *file,
                           struct config *into, config_report *report, void *user)
{
    static const char mark[3] = "\xef\xbb\xbf"; /* some editors begin UTF-8 with it */
    struct text text;

    memset(&text, 0, sizeof(text));
    layer_begin(&text.layer, place, file, into, report, user);
    text.rules = &into->rules;
    text.next = source;
    text.end = source + length;
    if (length >= sizeof(mark) && memcmp(source, mark, sizeof(mark)) == 0)
        text.next += sizeof(mark);
    ini_parse_stream(read_line, &text, handle_pair, &text);
    settle(&text);
    end_rule(&text);
    layer_relate(&text.layer);
    layer_record(&text.layer, into->origin);
    return text.layer.mistakes;
}
