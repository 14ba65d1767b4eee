/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wrappers of calls that are only counted. A wrapper with a frame of its own would break
 * vfork(), whose child returns through it while the parent still needs it: so each is a jump.
 */
#include "sharing.h"

#include "libc.h"

__attribute__((visibility("hidden"))) uint32_t sharing_count;

/*
 * <name> counts and jumps to the function behind counted_<name>. Until that is resolved it is
 * cold_<name>, which resolves everything, with the arguments kept, and jumps then. Where there are
 * sockets that nothing is decided of, that is done before, in the same way.
 */
#define KEEPING_ARGUMENTS(function)                                                           \
    "\tpush %rdi\n\tpush %rsi\n\tpush %rdx\n\tpush %rcx\n\tpush %r8\n\tpush %r9\n"            \
    "\tpush %rax\n"                                                                           \
    "\tcall " function "\n"                                                                   \
    "\tpop %rax\n"                                                                            \
    "\tpop %r9\n\tpop %r8\n\tpop %rcx\n\tpop %rdx\n\tpop %rsi\n\tpop %rdi\n"

#define COUNTED(name)                                                                         \
    __asm__(".pushsection .text\n"                                                            \
            ".globl " #name "\n.type " #name ", %function\n"                                  \
            #name ":\n"                                                                       \
            "\tendbr64\n"                                                                     \
            "\tcmpb $0, undecided_any(%rip)\n"                                                \
            "\tjne 2f\n"                                                                      \
            "1:\tlock incl sharing_count(%rip)\n"                                             \
            "\tjmp *counted_" #name "(%rip)\n"                                                \
            "2:\n" KEEPING_ARGUMENTS("undecided_end_all")                                     \
            "\tjmp 1b\n"                                                                      \
            ".type cold_" #name ", %function\n"                                               \
            "cold_" #name ":\n"                                                               \
            "\tendbr64\n"                                                                     \
            KEEPING_ARGUMENTS("libc_resolve")                                                 \
            "\tjmp *counted_" #name "(%rip)\n"                                                \
            ".popsection");                                                                   \
    __attribute__((visibility("hidden"))) extern void cold_##name(void);                      \
    void (*counted_##name)(void) = cold_##name;
#include "hooks.def"
