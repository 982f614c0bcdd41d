/* SPDX-License-Identifier: Apache-2.0 */
/* test_op_graph.c - every life that an operation's word can lead
 *
 * All that threads agree on about one operation is one word, and each step is a pure function of it. So the lives of an
 * operation are a finite graph, however many threads take part: its nodes are the word and what each actor knows
 * besides (am I inside a callback, which one; do I write through the token), its edges the steps that some actor may
 * take. This test builds the whole graph for every kind of operation, checks each edge, and checks that from every
 * node the end can be reached and that a worker has something to do wherever nobody else owes anything.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "session/op_steps.h"

#define GENERATION (UINT64_C(7) << 32)

/* What is known besides the word. All one byte each: nodes are compared by memcmp. */
struct node {
    uint32_t word;                                             /* the lower half; 0: the operation is free, the end */
    uint8_t taken;                                        /* 1 + enum op_taken of the worker inside DELIVERY; 0: none */
    uint8_t writes;                                         /* who is inside HOLD: 0 nobody, 1 a post, 2 a completion */
    uint8_t reads;                                          /* who is inside WAITER: 0 nobody, 1 entered, 2 has taken */
    uint8_t finals;                                            /* given so far */
    uint8_t left;                                              /* the barrier */
    uint8_t unseen;                                            /* accepted results neither delivered nor discarded */
    uint8_t acks;                                         /* numbers given and not acknowledged, as ack.h counts them */
    uint8_t late;                                              /* who won the number has not done its step yet */
    uint8_t kept;                                              /* pull: items given to the caller and not dropped */
    uint8_t zero[3];
};

enum { NODES_MAX = 1 << 17, EDGES_MAX = 1 << 21, TABLE = 1 << 19 };

static struct node nodes[NODES_MAX];
static uint32_t table[TABLE];                                  /* 1 + number of a node; 0: empty */
static struct { uint32_t from, to; } edges[EDGES_MAX];
static uint32_t node_count, edge_count;
static uint32_t current;                                       /* the node whose edges are being built */
static uint32_t traits;

static uint64_t full(uint32_t half) { return GENERATION | half; }

static uint32_t find_or_add(const struct node *n)
{
    uint64_t hash = n->word;
    const uint8_t *rest = &n->taken;
    for (size_t i = 0; i < 12; i++)
        hash = (hash ^ rest[i]) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
    for (uint32_t at = (uint32_t)(hash >> 40) % TABLE;; at = (at + 1) % TABLE) {
        if (table[at] == 0) {
            assert_true(node_count < NODES_MAX);
            nodes[node_count] = *n;
            table[at] = ++node_count;
            return node_count - 1;
        }
        if (memcmp(&nodes[table[at] - 1], n, sizeof(*n)) == 0)
            return table[at] - 1;
    }
}

static _Noreturn void complain(const char *what, const struct node *from, uint64_t new)
{
    char old_text[160], new_text[160];
    op_word_print(full(from->word), old_text, sizeof(old_text));
    op_word_print(new, new_text, sizeof(new_text));
    fail_msg("%s: %s -> %s (traits %x)", what, old_text, new_text, traits);
    abort();
}

/* What must hold on each edge, whoever takes it. */
static void check_edge(const struct node *from, const struct node *to, uint64_t new)
{
    uint64_t old = full(from->word);
    uint32_t duties = op_duties(old, new);
    if (op_reason(old) != 0 && op_reason(new) != op_reason(old) && !slot_word_is_free(new))
        complain("a reason changed", from, new);
    if (op_phase(new) == OP_QUEUED && op_reason(new) != 0)
        complain("cancelled work would run", from, new);
    if (op_phase(old) == OP_DONE && op_phase(new) != OP_DONE && !slot_word_is_free(new))
        complain("done work came back", from, new);
    if (op_is_decided(new) && op_has(new, OP_HOOK_SET | OP_TOKEN))
        complain("a hook or a token outlives the decision", from, new);
    if (op_has(new, OP_PULL) && op_has(new, OP_HANDLE) && to->kept != op_held(new) - op_pending(new))
        complain("an item was dropped twice, or never", from, new);
    if (op_is_decided(old) && !op_is_decided(new) && !slot_word_is_free(new))
        complain("a decision was taken back", from, new);
    if (op_has(new & ~old, OP_HOOK_BUSY) && op_is_decided(old))
        complain("a hook was entered after the decision", from, new);
    if (op_has(new, OP_HANDLE) && op_held(new) > (traits & OP_WINDOW))
        complain("the window is overfull", from, new);
    if (((duties & OP_LEAVE) != 0) == (from->left == to->left))
        complain("the barrier is left when it is not, or twice", from, new);
    if ((duties & OP_LEAVE) != 0 && to->finals != 1)
        complain("it left without its final", from, new);
    if (slot_word_is_free(new) != ((duties & OP_FREED) != 0))
        complain("freed without a word, or not at all", from, new);
    bool inside = to->taken != 0 || to->writes != 0 || to->reads != 0;
    if (slot_word_is_free(new) && (inside || to->unseen != 0 || to->left != 1))
        complain("freed while somebody is inside or something is unseen", from, new);
    bool gives_final = from->taken == 1 + OP_TAKEN_FINAL;
    if (op_is_sealed(old) && gives_final && new != old && !(to->finals == 1 && slot_word_is_free(new)))
        complain("a sealed word changed", from, new);
}

/* The edge from the current node to one that differs from it in what changed says. */
static void edge(struct node to, uint64_t new)
{
    const struct node *from = &nodes[current];
    to.word = slot_word_is_free(new) ? 0 : (uint32_t)new;
    to.left = (uint8_t)(from->left + ((op_duties(full(from->word), new) & OP_LEAVE) != 0));
    check_edge(from, &to, new);
    assert_true(edge_count < EDGES_MAX);
    edges[edge_count].from = current;
    edges[edge_count++].to = find_or_add(&to);
}

/* Tries a step on the current node; *new is the word to be. */
static weir_status try(op_step_fn *step, uint32_t arg, uint64_t *new)
{
    uint64_t old = full(nodes[current].word);
    *new = old;
    return step(old, arg, new);
}

static void edge_if_changed(struct node to, uint64_t new)
{
    if (new != full(to.word))
        edge(to, new);
}

/* ---- the actors ---- */

/* The short form of the sweep's step, where it applies, is the step. */
static void check_short_sweep(const struct node *n)
{
    uint64_t swept, old = full(n->word), in_short = op_swept(old, 64, traits);
    if (in_short == 0)
        return;
    if (try(op_sweep, (traits & OP_TRAITS) | UINT32_C(64) << 24, &swept) != WEIR_OK || swept != in_short
        || !op_is_sealed(in_short & ~(uint64_t)OP_HANDLE))
        complain("the short sweep is another step", n, in_short);
}

static void act_canceller(struct node n)
{
    uint64_t new;
    check_short_sweep(&n);
    if (try(op_cancel, 64, &new) == WEIR_OK)
        edge(n, new);
    (void)try(op_abandon, traits, &new);
    struct node abandoned = n;
    if (new != full(n.word))
        abandoned.acks = 0;                                    /* it acknowledges */
    edge_if_changed(abandoned, new);
    if (op_has(n.word, OP_HANDLE)) {
        (void)try(op_close, traits, &new);
        edge(n, new);
    }
}

/* An acknowledgement is two steps: the number is won (ack.h), then the word is told. */
static void act_acker(struct node n)
{
    uint64_t new;
    if (n.acks > 0 && n.late == 0) {
        struct node won = n;
        won.acks = 0;
        won.late = 1;
        edge(won, full(n.word));
    }
    if (n.late > 0) {
        weir_status status = try(op_ack, traits, &new);
        if (n.word != 0 && status == WEIR_STALE && op_phase(full(n.word)) < OP_ABANDONED)
            complain("an acknowledgement that won its number was lost", &n, new);
        n.late = 0;
        edge(n, new);
    }
}

static void act_puller(struct node n)
{
    uint64_t new;
    if (n.reads == 0) {
        if (op_has(n.word, OP_PULL | OP_HANDLE) && try(op_next_enter, traits, &new) == WEIR_OK) {
            n.reads = 1;
            if ((traits & OP_DROPS) == 0 && op_has(n.word, OP_UNACKED))
                n.kept--;
            edge(n, new);
        }
        return;
    }
    struct node out = n;
    out.reads = 0;
    (void)try(op_next_exit, traits, &new);
    edge(out, new);                                            /* a time-out comes at any time */
    if (n.reads == 2)
        return;
    struct node took = n;
    if (try(op_next_take, traits, &new) == WEIR_OK) {
        took.reads = 2;
        took.unseen--;
        took.kept = (uint8_t)(took.kept + 1);
    }
    if ((traits & OP_DROPS) == 0 && op_has(n.word, OP_UNACKED))
        took.kept--;                                           /* nothing to drop: acknowledged is over */
    edge_if_changed(took, new);
}

static void act_token(struct node n)
{
    uint64_t new;
    if (n.writes == 0) {
        struct node to = n;
        if (try(op_hold_to_post, traits, &new) == WEIR_OK)
            to.writes = 1;
        edge_if_changed(to, new);
        to = n;
        if (try(op_hold_to_complete, traits, &new) == WEIR_OK)
            to.writes = 2;
        edge_if_changed(to, new);
        return;
    }
    if (try(n.writes == 1 ? op_commit_post : op_commit_complete, traits, &new) == WEIR_OK && n.writes == 1)
        n.unseen++;
    n.writes = 0;
    edge(n, new);
}

static void act_work(struct node n)
{
    uint64_t new;
    if (!op_has(n.word, OP_STACK))
        return;
    (void)try(op_return, traits, &new);
    edge(n, new);
    (void)try(op_return, traits | OP_AGAIN, &new);
    edge(n, new);
    (void)try(op_defer, traits, &new);
    edge_if_changed(n, new);
    (void)try(op_hook_set, traits, &new);
    edge_if_changed(n, new);
    if (try(op_hook_clear, traits, &new) == WEIR_OK)
        edge_if_changed(n, new);
    if (!op_has(n.word, OP_TOKEN)) {                           /* with a token it posts as the token does */
        struct node posted = n;
        if (try(op_post, traits, &new) == WEIR_OK)
            posted.unseen++;
        edge_if_changed(posted, new);
        (void)try(op_want, traits, &new);
        edge_if_changed(n, new);
    }
}

static void act_worker_that_delivers(struct node n)
{
    static op_step_fn *const puts[] = {
        [OP_TAKEN_ITEM] = op_put_item, [OP_TAKEN_FINAL] = op_put_final, [OP_TAKEN_DISCARD] = op_put_discard,
        [OP_TAKEN_DROP] = op_put_drop, [OP_TAKEN_PURGE] = op_put_purge,
    };
    uint64_t new;
    enum op_taken taken = (enum op_taken)(n.taken - 1);
    (void)try(puts[taken], traits, &new);
    if (taken == OP_TAKEN_ITEM)
        n.unseen--;
    if (taken == OP_TAKEN_DROP && op_has(n.word, OP_PULL))
        n.kept--;
    if (taken == OP_TAKEN_PURGE)
        n.kept = 0;
    if (taken == OP_TAKEN_DISCARD || taken == OP_TAKEN_PURGE)
        n.unseen = (uint8_t)(n.unseen - op_pending(full(n.word)));
    n.finals = (uint8_t)(n.finals + (taken == OP_TAKEN_FINAL));
    n.taken = 0;
    edge(n, new);
}

static void act_worker(struct node n)
{
    uint64_t new, old = full(n.word);
    if (try(op_claim, traits, &new) == WEIR_OK)
        edge(n, new);
    if (try(op_hook_enter, traits, &new) == WEIR_OK)
        edge(n, new);
    if (op_has(n.word, OP_HOOK_BUSY))
        for (uint32_t answer = 0; answer < 2; answer++) {
            (void)try(op_hook_leave, answer, &new);
            edge(n, new);
        }
    if (n.taken != 0) {
        act_worker_that_delivers(n);
        return;
    }
    if (try(op_take, traits, &new) != WEIR_OK)
        return;
    struct node to = n;
    enum op_taken taken = op_taken(old, traits);
    to.taken = (uint8_t)(1 + taken);
    if (taken == OP_TAKEN_FINAL) {
        if (op_has(n.word, OP_STACK) && op_phase(old) != OP_ABANDONED)
            complain("the final came while the work is on its stack", &n, new);
        if (op_has(n.word, OP_HOOK_BUSY | OP_HOLD) || n.finals != 0)
            complain("the final came too early, or twice", &n, new);
        to.unseen = (uint8_t)(n.unseen - (op_pending(old) - op_pending(new)));
    }
    if (taken == OP_TAKEN_PURGE && n.reads != 0)
        complain("an item is purged while a thread reads it", &n, new);
    if (op_has(new & ~old, OP_UNACKED))
        to.acks = 1;
    edge(to, new);
}

/* ---- the whole graph ---- */

/* Wherever nobody outside owes a step, a worker has one. */
static void check_that_somebody_is_next(const struct node *n)
{
    const uint32_t owed = OP_STACK | OP_TOKEN | OP_HOLD | OP_HOOK_BUSY | OP_DELIVERY | OP_UNACKED | OP_HANDLE
                        | OP_WAITER;
    if (!op_has(n->word, owed) && op_steps(full(n->word)) == 0)
        complain("nobody is next", n, full(n->word));
}

/* From every node the end is reached, if everybody goes on: nothing hangs for ever. */
static void check_that_all_lives_end(void)
{
    static bool ends[NODES_MAX];
    memset(ends, 0, sizeof(ends));
    for (uint32_t i = 0; i < node_count; i++)
        ends[i] = nodes[i].word == 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = edge_count; i-- > 0;)
            if (!ends[edges[i].from] && ends[edges[i].to])
                changed = ends[edges[i].from] = true;
    }
    for (uint32_t i = 0; i < node_count; i++)
        if (!ends[i])
            complain("from here no end is reached", &nodes[i], full(nodes[i].word));
}

static void walk(bool handle, bool pull)
{
    memset(table, 0, sizeof(table));
    node_count = edge_count = 0;
    find_or_add(&(struct node){ .word = (uint32_t)op_born(GENERATION, handle, pull) });
    for (current = 0; current < node_count; current++) {
        struct node n = nodes[current];
        if (n.word == 0)
            continue;
        check_that_somebody_is_next(&n);
        act_canceller(n);
        act_acker(n);
        act_puller(n);
        act_token(n);
        act_work(n);
        act_worker(n);
    }
    check_that_all_lives_end();
}

static void every_life_of_every_kind_keeps_the_promises(void **unused)
{
    (void)unused;
    uint32_t most_nodes = 0, most_edges = 0;
    for (uint32_t kind = 0; kind < 64; kind++) {
        bool handle = kind & 1, pull = kind & 2;
        if (pull && !handle)
            continue;                                          /* refused at the start: nobody could read it */
        traits = 1 + (kind >> 5 & 1);
        traits |= (kind & 4 ? (uint32_t)OP_MANUAL : 0) | (kind & 8 ? (uint32_t)OP_DROPS : 0)
                | (kind & 16 ? (uint32_t)OP_DISCARDS : 0);
        walk(handle, pull);
        most_nodes = node_count > most_nodes ? node_count : most_nodes;
        most_edges = edge_count > most_edges ? edge_count : most_edges;
    }
    print_message("largest graph: %u nodes, %u edges\n", most_nodes, most_edges);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_life_of_every_kind_keeps_the_promises) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
