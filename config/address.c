/* An address to listen on: host:port, [IPv6]:port, unix:/path. */
#include "config/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <sys/un.h>

#include "config/list.h"

#define UNIX_PREFIX "unix:"

static_assert(ADDRESS_PATH_MAX + 1 == sizeof(((struct sockaddr_un *)NULL)->sun_path), "a path and its NUL");

static void copy_text(char *to, struct span from)
{
    memcpy(to, from.bytes, from.len);
    to[from.len] = '\0';
}

static int parse_port(struct span digits, uint16_t *port)
{
    unsigned value = 0;
    if (digits.len == 0 || digits.len > 5)
        return -EINVAL;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
            return -EINVAL;
        value = value * 10 + (digits.bytes[i] - '0');
    }
    if (value > UINT16_MAX)
        return -EINVAL;
    *port = (uint16_t)value;
    return 0;
}

/* An IPv6 address, perhaps with a zone: fe80::1%eth0. */
static bool is_ipv6(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    size_t len = strcspn(text, "%");
    if (len >= sizeof(address) || (text[len] == '%' && text[len + 1] == '\0'))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    return inet_pton(AF_INET6, address, &ignored) == 1;
}

/* A name as DNS has it, or a whole IPv4 address: "127.1" is a slip, not an address. */
static bool is_host(const char *text)
{
    const char *digits_and_dots = "0123456789.";
    struct in_addr ignored;
    if (text[0] == '\0' ||
        text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])
        return false;
    return text[strspn(text, digits_and_dots)] != '\0' || inet_pton(AF_INET, text, &ignored) == 1;
}

static int parse_unix(struct address *a, struct span path)
{
    if (path.len == 0 || path.len > ADDRESS_PATH_MAX || memchr(path.bytes, '\0', path.len) != NULL)
        return -EINVAL;
    a->kind = ADDRESS_UNIX;
    copy_text(a->name, path);
    return 0;
}

static int parse_bracketed(struct address *a, struct span text)
{
    const uint8_t *end = memchr(text.bytes, ']', text.len);
    if (end == NULL)
        return -EINVAL;
    size_t len = (size_t)(end - text.bytes);
    if (len - 1 >= sizeof(a->name) || len + 1 >= text.len || end[1] != ':')
        return -EINVAL;
    copy_text(a->name, span_of(text.bytes + 1, len - 1));
    if (!is_ipv6(a->name))
        return -EINVAL;
    return parse_port(span_of(end + 2, text.len - len - 2), &a->port);
}

static int parse_host(struct address *a, struct span text)
{
    struct span host, port = text;
    if (!span_cut(&port, ':', &host) || host.len >= sizeof(a->name) ||
        memchr(host.bytes, '\0', host.len) != NULL)
        return -EINVAL;
    copy_text(a->name, host);
    return is_host(a->name) ? parse_port(port, &a->port) : -EINVAL;
}

int address_parse(struct address *a, struct span text)
{
    size_t prefix = strlen(UNIX_PREFIX);
    *a = (struct address){.kind = ADDRESS_TCP};
    if (text.len == 0 || text.len >= sizeof(a->text))
        return -EINVAL;
    copy_text(a->text, text);
    if (span_starts_with(text, UNIX_PREFIX))
        return parse_unix(a, span_of(text.bytes + prefix, text.len - prefix));
    return text.bytes[0] == '[' ? parse_bracketed(a, text) : parse_host(a, text);
}

int address_parse_list(struct address *addresses, size_t cap, struct span list)
{
    struct span item;
    size_t count = 0;
    if (span_trim(list).len == 0)
        return 0;
    while (list_next(&list, &item)) {
        if (count == cap)
            return -E2BIG;
        if (address_parse(&addresses[count++], item) < 0)
            return -EINVAL;
    }
    return (int)count;
}
