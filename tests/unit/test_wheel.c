/* SPDX-License-Identifier: Apache-2.0 */
/* test_wheel.c - deadlines come out when they are due, all of them, in order, and not before */

#include "workqueue/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/support.h"

#define GRAIN ((int64_t)1 << WHEEL_GRAIN_BITS)

/* The span of one slot of a level. */
static int64_t span(unsigned level)
{
    return GRAIN << (WHEEL_DIGIT_BITS * level);
}

static struct wheel *wheel_new(int64_t now)
{
    struct wheel *wheel = malloc(sizeof *wheel);
    assert_non_null(wheel);
    memset(wheel, 0xa5, sizeof *wheel);              /* init must not rely on zeros */
    wheel_init(wheel, now);
    return wheel;
}

static unsigned expire_count(struct wheel *wheel, int64_t now)
{
    unsigned count = 0;
    struct wheel_list list = wheel_expire(wheel, now);
    while (wheel_list_take(&list) != NULL)
        count++;
    return count;
}

static void an_empty_wheel_has_no_deadline_and_nothing_due(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(1000);
    assert_true(wheel_is_empty(wheel));
    assert_true(wheel_next_deadline(wheel) == WEIR_FOREVER);
    assert_int_equal(expire_count(wheel, INT64_MAX), 0);
    assert_null(wheel_drain(wheel).first);
    free(wheel);
}

static void a_node_is_due_at_its_very_nanosecond_and_not_before(void **unused)
{
    (void)unused;
    static const int64_t distances[] = { 0, 1, 2, 65535, 65536, 65537, 1000000, 123456789, 99999999999 };
    for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
        struct wheel *wheel = wheel_new(777);
        struct wheel_node node = { .deadline = 777 + distances[i] };
        wheel_insert(wheel, &node);
        assert_true(wheel_node_is_in(&node));
        assert_true(wheel_next_deadline(wheel) == node.deadline);
        assert_int_equal(expire_count(wheel, node.deadline - 1), 0);
        assert_true(wheel_node_is_in(&node));
        assert_int_equal(expire_count(wheel, node.deadline), 1);
        assert_false(wheel_node_is_in(&node));
        assert_true(wheel_is_empty(wheel));
        free(wheel);
    }
}

/* Three nodes around each boundary between slots and between wheels, from bases around it. */
static void boundaries_between_slots_and_wheels_lose_no_nanosecond(void **unused)
{
    (void)unused;
    for (unsigned level = 0; level < WHEEL_LEVELS - 1; level++)
        for (int64_t slot = 1; slot <= 64; slot += 21)
            for (int64_t from = -1; from <= 1; from++) {
                int64_t boundary = (int64_t)3 * span(WHEEL_LEVELS - 2) + slot * span(level);
                struct wheel *wheel = wheel_new(boundary - span(level) + from);
                struct wheel_node nodes[3];
                for (int i = 0; i < 3; i++) {
                    nodes[i].deadline = boundary + 1 - i;
                    wheel_insert(wheel, &nodes[i]);
                }
                for (int i = 2; i >= 0; i--) {
                    assert_true(wheel_next_deadline(wheel) == nodes[i].deadline);
                    assert_int_equal(expire_count(wheel, nodes[i].deadline - 1), 0);
                    assert_int_equal(expire_count(wheel, nodes[i].deadline), 1);
                    assert_false(wheel_node_is_in(&nodes[i]));
                }
                free(wheel);
            }
}

static void the_whole_range_of_time_has_a_place(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(INT64_MIN);
    struct wheel_node first = { .deadline = INT64_MIN }, negative = { .deadline = -1 };
    struct wheel_node zero = { .deadline = 0 }, last = { .deadline = INT64_MAX - 1 };
    wheel_insert(wheel, &last);
    wheel_insert(wheel, &zero);
    wheel_insert(wheel, &negative);
    wheel_insert(wheel, &first);
    assert_true(wheel_next_deadline(wheel) == INT64_MIN);
    assert_int_equal(expire_count(wheel, INT64_MIN), 1);
    assert_true(wheel_next_deadline(wheel) == -1);
    assert_int_equal(expire_count(wheel, -1), 1);
    assert_true(wheel_next_deadline(wheel) == 0);
    assert_int_equal(expire_count(wheel, INT64_MAX - 2), 1);
    assert_true(wheel_next_deadline(wheel) == INT64_MAX - 1);
    assert_int_equal(expire_count(wheel, INT64_MAX - 1), 1);
    free(wheel);
}

static void for_ever_is_never_due_but_is_drained(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(0);
    struct wheel_node never = { .deadline = WEIR_FOREVER }, soon = { .deadline = 5 };
    wheel_insert(wheel, &never);
    wheel_insert(wheel, &soon);
    assert_int_equal(expire_count(wheel, INT64_MAX), 1);
    assert_true(wheel_next_deadline(wheel) == WEIR_FOREVER);
    assert_int_equal(expire_count(wheel, INT64_MAX), 0);
    struct wheel_list rest = wheel_drain(wheel);
    assert_ptr_equal(wheel_list_take(&rest), &never);
    assert_null(wheel_list_take(&rest));
    assert_true(wheel_is_empty(wheel));
    free(wheel);
}

static void a_deadline_in_the_past_is_due_at_once(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(span(2) * 5);
    struct wheel_node past = { .deadline = 3 }, soon = { .deadline = span(2) * 5 + 10 };
    wheel_insert(wheel, &past);
    wheel_insert(wheel, &soon);
    assert_true(wheel_next_deadline(wheel) == 3);
    assert_int_equal(expire_count(wheel, span(2) * 5), 1);
    assert_false(wheel_node_is_in(&past));
    assert_int_equal(expire_count(wheel, soon.deadline), 1);
    free(wheel);
}

/* Or each look would walk through all that shares its slot with what is due. */
static void what_is_not_due_yet_moves_to_a_finer_wheel(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(0);
    struct wheel_node first = { .deadline = span(3) + 1 }, later = { .deadline = span(3) + span(2) };
    struct wheel_node last = { .deadline = span(3) + span(1) * 3 };
    wheel_insert(wheel, &first);
    wheel_insert(wheel, &later);
    wheel_insert(wheel, &last);
    assert_int_equal(wheel->levels_used, 1U << 3);
    assert_int_equal(expire_count(wheel, first.deadline), 1);
    assert_int_equal(wheel->levels_used, 1U << 2 | 1U << 1);
    assert_int_equal(expire_count(wheel, last.deadline), 1);
    assert_int_equal(wheel->levels_used, 1U << 2);
    assert_int_equal(expire_count(wheel, later.deadline), 1);
    free(wheel);
}

/* A clock that goes back must neither lose a node nor make the sleeper spin on one that is due. */
static void a_node_that_is_due_comes_out_also_when_the_clock_went_back(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(0);
    struct wheel_node early = { .deadline = span(1) * 9 }, past = { .deadline = 100 };
    wheel_insert(wheel, &early);
    assert_int_equal(expire_count(wheel, span(1) * 9), 1);
    wheel_insert(wheel, &past);
    assert_int_equal(expire_count(wheel, 99), 0);
    assert_int_equal(expire_count(wheel, 200), 1);
    free(wheel);
}

static void a_removed_node_never_comes_out(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(0);
    struct wheel_node nodes[4];
    for (int i = 0; i < 4; i++) {
        nodes[i].deadline = 1000 + i;                /* all in one slot */
        wheel_insert(wheel, &nodes[i]);
    }
    wheel_remove(wheel, &nodes[1]);
    wheel_remove(wheel, &nodes[0]);
    assert_false(wheel_node_is_in(&nodes[0]));
    struct wheel_list list = wheel_expire(wheel, 5000);
    assert_ptr_equal(wheel_list_take(&list), &nodes[2]);
    assert_ptr_equal(wheel_list_take(&list), &nodes[3]);
    assert_null(wheel_list_take(&list));
    free(wheel);
}

static void removing_the_last_of_a_slot_forgets_its_deadline(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(0);
    struct wheel_node near = { .deadline = 1000 }, far = { .deadline = span(3) };
    wheel_insert(wheel, &near);
    wheel_insert(wheel, &far);
    wheel_remove(wheel, &near);
    assert_true(wheel_next_deadline(wheel) == far.deadline);
    wheel_remove(wheel, &far);
    assert_true(wheel_is_empty(wheel));
    free(wheel);
}

static void removing_the_earliest_of_a_slot_costs_at_most_one_idle_look(void **unused)
{
    (void)unused;
    struct wheel *wheel = wheel_new(0);
    struct wheel_node near = { .deadline = span(2) }, far = { .deadline = span(2) + 10 };
    wheel_insert(wheel, &near);
    wheel_insert(wheel, &far);
    wheel_remove(wheel, &near);
    assert_true(wheel_next_deadline(wheel) == near.deadline);
    assert_int_equal(expire_count(wheel, near.deadline), 0);
    assert_true(wheel_next_deadline(wheel) == far.deadline);
    assert_int_equal(expire_count(wheel, far.deadline), 1);
    free(wheel);
}

static void what_is_due_comes_out_by_deadline_and_equal_ones_by_insertion(void **unused)
{
    (void)unused;
    static const int64_t deadlines[] = { 70000000, 5, 70000000, 3, 500000, 5, 70000001, 5, 400000, 3 };
    static const int order[] = { 3, 9, 1, 5, 7, 8, 4, 0, 2, 6 };
    struct wheel *wheel = wheel_new(0);
    struct wheel_node nodes[10];
    for (int i = 0; i < 10; i++) {
        nodes[i].deadline = deadlines[i];
        wheel_insert(wheel, &nodes[i]);
    }
    struct wheel_list list = wheel_expire(wheel, span(7));
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(wheel_list_take(&list), &nodes[order[i]]);
    assert_null(wheel_list_take(&list));
    free(wheel);
}

/* ---- against a list that is plainly right ------------------------------------------------------ */

enum { NODES = 400 };

struct entry {
    struct wheel_node node;
    uint64_t inserted;                               /* the how-manieth insertion it was */
    bool in;
};

struct model {
    struct wheel *wheel;
    struct entry entries[NODES];
    uint64_t insertions;
    int64_t now;
    uint64_t random;
};

static int64_t model_distance(struct model *m)
{
    unsigned bits = (unsigned)(test_random(&m->random) % 46);
    return (int64_t)(test_random(&m->random) & ((UINT64_C(1) << bits) - 1));
}

static int64_t model_earliest(const struct model *m)
{
    int64_t earliest = WEIR_FOREVER;
    for (int i = 0; i < NODES; i++)
        if (m->entries[i].in && m->entries[i].node.deadline < earliest)
            earliest = m->entries[i].node.deadline;
    return earliest;
}

static unsigned model_due(const struct model *m)
{
    unsigned due = 0;
    for (int i = 0; i < NODES; i++)
        due += m->entries[i].in && m->entries[i].node.deadline <= m->now;
    return due;
}

static void model_insert(struct model *m, struct entry *entry)
{
    entry->node.deadline = m->now + model_distance(m);
    entry->inserted = ++m->insertions;
    entry->in = true;
    wheel_insert(m->wheel, &entry->node);
}

static void model_expire(struct model *m)
{
    unsigned expected = model_due(m), got = 0;
    const struct entry *before = NULL;
    struct wheel_list list = wheel_expire(m->wheel, m->now);
    for (struct wheel_node *node; (node = wheel_list_take(&list)) != NULL; got++) {
        struct entry *entry = (struct entry *)(void *)node;
        assert_true(entry->in);
        assert_true(node->deadline <= m->now);
        if (before != NULL)
            assert_true(before->node.deadline < node->deadline ||
                        (before->node.deadline == node->deadline && before->inserted < entry->inserted));
        entry->in = false;
        before = entry;
    }
    assert_int_equal(got, expected);
}

/* Forward by a random step, or to the time that the wheel asks for. */
static void model_advance(struct model *m)
{
    int64_t next = wheel_next_deadline(m->wheel);
    if (test_random(&m->random) % 2 == 0 && next != WEIR_FOREVER && next > m->now)
        m->now = next;
    else
        m->now += model_distance(m);
    model_expire(m);
}

static struct model *model_new(uint64_t seed)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->random = seed;
    m->now = (int64_t)(test_random(&m->random) >> 20);
    m->wheel = wheel_new(m->now);
    return m;
}

static void model_free(struct model *m)
{
    unsigned left = 0, drained = 0;
    for (int i = 0; i < NODES; i++)
        left += m->entries[i].in;
    struct wheel_list rest = wheel_drain(m->wheel);
    while (wheel_list_take(&rest) != NULL)
        drained++;
    assert_int_equal(drained, left);
    assert_true(wheel_is_empty(m->wheel));
    free(m->wheel);
    free(m);
}

static void without_removals_the_next_deadline_is_exact(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 20; round++) {
        struct model *m = model_new(test_seed() + round);
        for (int step = 0; step < 2000; step++) {
            struct entry *entry = &m->entries[test_random(&m->random) % NODES];
            if (!entry->in)
                model_insert(m, entry);
            else
                model_advance(m);
            assert_true(wheel_next_deadline(m->wheel) == model_earliest(m));
        }
        model_free(m);
    }
}

static void random_insertions_removals_and_steps_agree_with_a_list(void **unused)
{
    (void)unused;
    for (uint64_t round = 0; round < 40; round++) {
        struct model *m = model_new(test_seed() + 1000 + round);
        for (int step = 0; step < 2000; step++) {
            struct entry *entry = &m->entries[test_random(&m->random) % NODES];
            if (!entry->in) {
                model_insert(m, entry);
            } else if (test_random(&m->random) % 4 != 0) {
                wheel_remove(m->wheel, &entry->node);
                entry->in = false;
            } else {
                model_advance(m);
            }
            assert_true(wheel_next_deadline(m->wheel) <= model_earliest(m));
            assert_int_equal(wheel_is_empty(m->wheel), model_earliest(m) == WEIR_FOREVER);
        }
        model_free(m);
    }
}

/* Whoever sleeps until the next deadline and then looks gets on: the next one is later, or empty. */
static void following_the_next_deadline_always_moves_forward(void **unused)
{
    (void)unused;
    struct model *m = model_new(test_seed() + 5000);
    for (int i = 0; i < NODES; i++)
        model_insert(m, &m->entries[i]);
    for (int i = 0; i < NODES; i += 2) {
        wheel_remove(m->wheel, &m->entries[i].node);
        m->entries[i].in = false;
    }
    unsigned looks = 0;
    for (int64_t next; (next = wheel_next_deadline(m->wheel)) != WEIR_FOREVER; looks++) {
        assert_true(next >= m->now);
        m->now = next;
        model_expire(m);
        assert_true(wheel_next_deadline(m->wheel) > next);
    }
    assert_true(looks <= NODES);                     /* one for each that is due, one for each removed */
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_wheel_has_no_deadline_and_nothing_due),
        cmocka_unit_test(a_node_is_due_at_its_very_nanosecond_and_not_before),
        cmocka_unit_test(boundaries_between_slots_and_wheels_lose_no_nanosecond),
        cmocka_unit_test(the_whole_range_of_time_has_a_place),
        cmocka_unit_test(for_ever_is_never_due_but_is_drained),
        cmocka_unit_test(a_deadline_in_the_past_is_due_at_once),
        cmocka_unit_test(what_is_not_due_yet_moves_to_a_finer_wheel),
        cmocka_unit_test(a_node_that_is_due_comes_out_also_when_the_clock_went_back),
        cmocka_unit_test(a_removed_node_never_comes_out),
        cmocka_unit_test(removing_the_last_of_a_slot_forgets_its_deadline),
        cmocka_unit_test(removing_the_earliest_of_a_slot_costs_at_most_one_idle_look),
        cmocka_unit_test(what_is_due_comes_out_by_deadline_and_equal_ones_by_insertion),
        cmocka_unit_test(without_removals_the_next_deadline_is_exact),
        cmocka_unit_test(random_insertions_removals_and_steps_agree_with_a_list),
        cmocka_unit_test(following_the_next_deadline_always_moves_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
