/* The configuration file: name = value, under [section]. */
#include "config/ini.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

void ini_init(struct ini *ini, struct span text)
{
    size_t mark = span_starts_with(text, BYTE_ORDER_MARK) ? strlen(BYTE_ORDER_MARK) : 0;
    *ini = (struct ini){.rest = span_of(text.bytes + mark, text.len - mark), .section = SPAN_NONE};
}

static struct span next_line(struct ini *ini)
{
    struct span line;
    span_cut(&ini->rest, '\n', &line);
    ini->line++;
    if (line.len > 0 && line.bytes[line.len - 1] == '\r')
        line.len--;
    return span_trim(line);
}

static enum ini_result bad(struct ini_entry *entry, const char *why)
{
    entry->why = why;
    return INI_BAD;
}

/* Opens a section. NULL, or what is wrong. */
static const char *read_section(struct ini *ini, struct span line)
{
    if (line.bytes[line.len - 1] != ']')
        return "a section without a ] at its end";
    ini->section = span_trim(span_of(line.bytes + 1, line.len - 2));
    return ini->section.len == 0 ? "a section without a name" : NULL;
}

static enum ini_result read_entry(const struct ini *ini, struct span line, struct ini_entry *entry)
{
    struct span name, value = line;
    if (!span_cut(&value, '=', &name))
        return bad(entry, "neither `name = value` nor [section] nor a comment");
    entry->section = ini->section;
    entry->name = span_trim(name);
    entry->value = span_trim(value);
    return entry->name.len == 0 ? bad(entry, "a value without a name") : INI_ENTRY;
}

enum ini_result ini_next(struct ini *ini, struct ini_entry *entry)
{
    while (ini->rest.len > 0) {
        struct span line = next_line(ini);
        if (line.len == 0 || line.bytes[0] == '#' || line.bytes[0] == ';')
            continue;
        if (memchr(line.bytes, '\0', line.len) != NULL)
            return bad(entry, "a NUL byte");
        if (line.bytes[0] != '[')
            return read_entry(ini, line, entry);
        const char *why = read_section(ini, line);
        if (why != NULL)
            return bad(entry, why);
    }
    return INI_END;
}
