/* SPDX-License-Identifier: BSD-3-Clause */
/* Start-up: the constructor, or the first socket() if that comes earlier. */
#include "init.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "kernel/kernel.h"
#include "ledger.h"
#include "libc.h"
#include "params.h"
#include "process.h"
#include "rules.h"
#include "streams.h"
#include "userspace/rendezvous.h"

enum { COLD, WARMING, READY };

bool shim_ready(void)
{
    static atomic_int state;
    int seen = atomic_load_explicit(&state, memory_order_acquire);

    if (seen == READY)
        return true;
    /* A socket() made by dlsym or by reading the configuration itself must not come back here. */
    if (seen != COLD || !atomic_compare_exchange_strong(&state, &seen, WARMING))
        return false;

    int saved = errno;

    libc_resolve();
    config_load();
    for (size_t i = 0; i <= RULES_MAX; i++)
        if (rule_options[i])
            auth_load(rule_options[i]);
    rendezvous_start();
    ledger_start();
    errno = saved;
    atomic_store_explicit(&state, READY, memory_order_release);
    return true;
}

/* exit() and quick_exit() close what the program left open, and not through us. */
__attribute__((destructor)) static void stop(void)
{
    kernel_closing_range(0, ~0U);
}

/*
 * The library asks to be started before all others (-z initfirst): C++'s cin and cout take what
 * stdin and stdout are when they are made. libc itself has then not yet set its variables.
 */
static void set_libc_variables(int argc, char **argv, char **envp)
{
    if (!environ)
        environ = envp;
    if (argc > 0 && !*program_invocation_short_name) {
        const char *slash = strrchr(argv[0], '/');

        program_invocation_name = argv[0];
        program_invocation_short_name = slash ? (char *)slash + 1 : argv[0];
    }
}

__attribute__((constructor(101))) static void start(int argc, char **argv, char **envp)
{
    set_libc_variables(argc, argv, envp);
    (void)shim_ready();
    process_start();
    streams_start();
    at_quick_exit(stop);
}
