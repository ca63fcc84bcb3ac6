/* The floor of an MCP server: constants over stdio. It knows two requests and echoes their ids; it checks nothing. */

#include <string.h>
#include <unistd.h>

/* One JSON line, the list that codex-oauth itself answers. */
__asm__(".section .rodata\n"
        "tools: .incbin \"tools.json\"\n"
        "tools_end:\n"
        ".previous\n");
extern const char tools[], tools_end[];

static const char INITIALIZE[] =
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
    "\"serverInfo\":{\"name\":\"limit\",\"version\":\"1\"}}";

static char in[65536], out[65536];

static size_t put(size_t at, const char *bytes, size_t length)
{
    memcpy(out + at, bytes, length);
    return at + length;
}

#define PUT(at, text) put((at), (text), sizeof(text) - 1)

/* Answers one line, which ends in a zero. A line without an id is a notification. */
static void answer(const char *line)
{
    const char *id = strstr(line, "\"id\":");
    if (!id)
        return;
    id += 5;
    size_t at = PUT(0, "{\"jsonrpc\":\"2.0\",\"id\":");
    at = put(at, id, strcspn(id, ",}"));
    at = PUT(at, ",\"result\":");
    if (strstr(line, "\"tools/list\"")) {
        at = PUT(at, "{\"tools\":");
        at = put(at, tools, (size_t)(tools_end - tools));
        at = PUT(at, "}");
    } else {
        at = PUT(at, INITIALIZE);
    }
    at = PUT(at, "}\n");
    for (size_t done = 0; done < at;) {
        ssize_t written = write(1, out + done, at - done);
        if (written <= 0)
            _exit(1);
        done += (size_t)written;
    }
}

int main(void)
{
    size_t held = 0;
    for (;;) {
        ssize_t got = read(0, in + held, sizeof in - 1 - held);
        if (got <= 0)
            return got < 0;
        held += (size_t)got;
        in[held] = 0;
        char *start = in, *end;
        while ((end = memchr(start, '\n', held - (size_t)(start - in)))) {
            *end = 0;
            answer(start);
            start = end + 1;
        }
        held -= (size_t)(start - in);
        memmove(in, start, held);
        if (held == sizeof in - 1)
            return 1;
    }
}
