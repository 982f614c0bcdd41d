/* SPDX-License-Identifier: Apache-2.0 */
/* stdatomic.h - C11's names on top of Relacy's atomics */
#ifndef SHIM_STDATOMIC_H
#define SHIM_STDATOMIC_H

#include <cassert>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <vector>

#include <relacy/relacy.hpp>

#undef assert                                  /* Relacy's own; the models use RL_ASSERT */

#define _Atomic(type) rl::atomic<type>
#define _Alignas alignas
#define _Alignof alignof
#define _Noreturn [[noreturn]]

#define memory_order_relaxed rl::mo_relaxed
#define memory_order_acquire rl::mo_acquire
#define memory_order_release rl::mo_release
#define memory_order_acq_rel rl::mo_acq_rel
#define memory_order_seq_cst rl::mo_seq_cst

#define atomic_init(p, v) ((p)->store((v), rl::mo_relaxed, $))
#define atomic_load_explicit(p, order) ((p)->load(order, $))
#define atomic_store_explicit(p, v, order) ((p)->store((v), order, $))
#define atomic_exchange_explicit(p, v, order) ((p)->exchange((v), order, $))
#define atomic_fetch_add_explicit(p, v, order) ((p)->fetch_add((v), order, $))
#define atomic_fetch_sub_explicit(p, v, order) ((p)->fetch_sub((v), order, $))
#define atomic_fetch_or_explicit(p, v, order) ((p)->fetch_or((v), order, $))
#define atomic_fetch_and_explicit(p, v, order) ((p)->fetch_and((v), order, $))
/* Relacy does not know "release, or on failure acquire": it gets acq_rel for that, which is a little stronger. */
static inline rl::memory_order model_order(rl::memory_order yes, rl::memory_order no)
{
    return yes == rl::mo_release && no != rl::mo_relaxed ? rl::mo_acq_rel : yes;
}
#define atomic_compare_exchange_weak_explicit(p, old, v, yes, no) \
    ((p)->compare_exchange_weak(*(old), (v), model_order(yes, no), $, no, $))
#define atomic_compare_exchange_strong_explicit(p, old, v, yes, no) \
    ((p)->compare_exchange_strong(*(old), (v), model_order(yes, no), $, no, $))
#define atomic_signal_fence(order) ((void)0)

/* Data that is not atomic: each access is checked for races. */
template <typename T> struct plain {
    rl::var<T> var;
    operator T() const { return var($); }
    plain &operator=(T value) { var($) = value; return *this; }
    plain &operator=(const plain &other) { var($) = (T)other; return *this; }
    T operator->() const { return var($); }
};

#endif
