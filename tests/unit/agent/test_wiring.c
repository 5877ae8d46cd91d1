/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/wiring.h"

static void since_when(void **state)
{
    (void)state;
    struct state_network network = {.id = "n", .vlan = 1};
    struct state_port ports[] = {
        {.id = "remote", .admin_up = true, .tagged = true, .ofport = 4},
        {.id = "a", .local = true, .admin_up = true, .tagged = true, .ofport = 5},
        {.id = "b", .local = true, .admin_up = true, .ofport = 6},
    };
    struct state s = {.networks = &network, .n_networks = 1, .ports = ports, .n_ports = ARRAY_SIZE(ports)};
    struct wiring *w = NULL;
    size_t at = SIZE_MAX;

    wiring_pass(&w, &s, 1);
    assert_int_equal(wiring_since(w, "remote", NULL), 0);
    assert_int_equal(wiring_since(w, "a", &at), 1);
    assert_int_equal(at, 1);
    assert_int_equal(wiring_since(w, "b", NULL), 0); /* without a tag it has no flow that lets it speak */

    ports[2].tagged = true;
    ports[1].id = "b"; /* the order is any */
    ports[2].id = "a";
    wiring_pass(&w, &s, 2);
    assert_int_equal(wiring_since(w, "b", &at), 2);
    assert_int_equal(at, 1);
    assert_int_equal(wiring_since(w, "a", &at), 2); /* behind another OpenFlow port than before */
    wiring_pass(&w, &s, 3);
    assert_int_equal(wiring_since(w, "a", &at), 2);
    assert_int_equal(at, 2);

    ports[2].admin_up = false;
    wiring_pass(&w, &s, 4);
    assert_int_equal(wiring_since(w, "a", NULL), 0);
    s.n_ports = 1;
    wiring_pass(&w, &s, 5);
    assert_int_equal(wiring_since(w, "b", NULL), 0);
    assert_null(w);
    s.n_ports = 3;
    wiring_pass(&w, &s, 6);
    assert_int_equal(wiring_since(w, "b", NULL), 6);
    wiring_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(since_when)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
