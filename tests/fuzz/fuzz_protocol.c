/* SPDX-License-Identifier: BSD-3-Clause */
/* libFuzzer over what the broker and the library receive of each other. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was found valid must be safe to use, as legs.c does. */
static void use(const struct request *request)
{
    union address name = request->leg, leg;
    char text[ADDRESS_TEXT];

    address_unmap(&name);
    if (name.any.sa_family != AF_UNSPEC && name.any.sa_family != AF_INET)
        abort(); /* a leg is IPv4 */
    address_format(&request->local, text);
    address_format(&request->remote, text);
    address_to_leg(&request->local, request->v6only, &leg);
    if (!address_is_leg(&leg) || address_port(&leg) != address_port(&request->local))
        abort();
    name = request->remote;
    address_fit(&name, AF_INET6);
    address_unmap(&name);
    if (request->kind == REQUEST_CONNECT && address_is_any(&name))
        abort();
}

static union address name_of(uint32_t host, uint16_t port)
{
    return (union address){.in = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(host)}};
}

/* A good request, of the kind that the first byte says, with single bytes changed. */
static void make(struct request *request, const uint8_t *data, size_t size)
{
    request_begin(request, (enum request_kind)(size ? data[0] % REQUEST_KINDS : 0));
    request->leg = name_of(LEG_NET | LEG_OUT, 40000);
    request->local = name_of(INADDR_ANY, 80);
    if (request->kind == REQUEST_CONNECT)
        request->remote = name_of(0xc0000201, 80);
    parameters_take(&request->parameters, &options_default);
    for (size_t i = 1; i + 2 < size; i += 3)
        ((unsigned char *)request)[(data[i] << 8 | data[i + 1]) % sizeof *request] = data[i + 2];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;

    if (request_valid(data, size)) {
        memcpy(&request, data, sizeof request);
        use(&request);
    }
    make(&request, data, size);
    if (request_valid(&request, sizeof request))
        use(&request);
    for (int kind = 0; kind < REQUEST_KINDS; kind++)
        (void)answer_valid(data, size, (enum request_kind)kind);
    return 0;
}
