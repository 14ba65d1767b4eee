/* SPDX-License-Identifier: BSD-3-Clause */
/* The wrappers as functions of our own: for calls made in a program's place, inside the library. */
#ifndef SCTPSHIM_HOOKS_H
#define SCTPSHIM_HOOKS_H

#include "libc.h"

#define DECLARE(ret, name, proto) __attribute__((used)) ret hook_##name proto;
#define HOOK(ret, name, proto, args, op, raw) DECLARE(ret, name, proto)
#define SPECIAL(ret, name, proto, args, raw) DECLARE(ret, name, proto)
#define TWIN(ret, name, proto, call, raw) DECLARE(ret, name, proto)
#include "hooks.def"
#undef DECLARE

#endif
