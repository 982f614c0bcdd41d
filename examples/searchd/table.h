/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - things found by a 64-bit key. The loop thread's; links are parts of the things.
 */
#ifndef SEARCHD_TABLE_H
#define SEARCHD_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { TABLE_CHAINS = 1024 };

struct entry {
    struct entry *next;
    uint64_t key;
};

struct table {
    struct entry *chain[TABLE_CHAINS];
    size_t count;
};

static inline struct entry **table_chain(struct table *table, uint64_t key)
{
    return &table->chain[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

static inline struct entry *table_find(struct table *table, uint64_t key)
{
    struct entry *entry = *table_chain(table, key);
    while (entry != NULL && entry->key != key)
        entry = entry->next;
    return entry;
}

static inline void table_put(struct table *table, struct entry *entry)
{
    struct entry **chain = table_chain(table, entry->key);
    entry->next = *chain;
    *chain = entry;
    table->count++;
}

static inline void table_remove(struct table *table, struct entry *entry)
{
    struct entry **link = table_chain(table, entry->key);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    table->count--;
}

#endif
