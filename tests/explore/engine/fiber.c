/* SPDX-License-Identifier: Apache-2.0 */
/* fiber.c - switching stacks, on x86-64
 *
 * A suspended fiber is its stack pointer: above it lie the six registers that a function call
 * preserves, then the address to return to. Switching is: push, exchange stack pointers, pop,
 * return. A run that is given up leaves its fibers where they are; the next run prepares the same
 * stacks anew. */
#include "engine.h"

#if !defined(__x86_64__)
#    error "the explorer switches stacks by hand, and knows only x86-64"
#endif

__asm__(".text\n"
        ".globl fiber_switch\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n" /* rdi: where to save the stack pointer; rsi: the new one */
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch, . - fiber_switch\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

/* The first switch to the fiber "returns" into entry, which never returns. */
void *fiber_prepare(void *stack_top, void (*entry)(void))
{
    uintptr_t *sp = (uintptr_t *)((uintptr_t)stack_top & ~(uintptr_t)15);
    *--sp = 0; /* the ABI wants the stack off by eight after a call */
    *--sp = (uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    return sp;
}
