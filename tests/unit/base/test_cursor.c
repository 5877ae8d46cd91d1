/* SPDX-License-Identifier: Apache-2.0 */
/* Each boundary from both sides: the last that is good, the first that is bad. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cursor.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void reads_in_order(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes, sizeof bytes);

    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_be16(&r), htons(0x0405));
    assert_int_equal(reader_u32(&r), 0x06070809);
    assert_int_equal(r.left, 0);
    assert_int_equal(r.error, 0);
    reader_skip(&r, 0);
    assert_int_equal(r.error, 0);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(r.error, -EBADMSG);
}

static void the_end_is_exact(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 9; len++) {
        struct reader r8 = reader_of(bytes, len), r16 = r8, r32 = r8, r64 = r8, take = r8;

        reader_u8(&r8);
        reader_u16(&r16);
        reader_u32(&r32);
        reader_u64(&r64);
        assert_int_equal(r8.error, len >= 1 ? 0 : -EBADMSG);
        assert_int_equal(r16.error, len >= 2 ? 0 : -EBADMSG);
        assert_int_equal(r32.error, len >= 4 ? 0 : -EBADMSG);
        assert_int_equal(r64.error, len >= 8 ? 0 : -EBADMSG);
        assert_non_null(reader_take(&take, len));
        assert_null(reader_take(&take, 1));
    }
}

static void the_error_is_sticky_and_zeros_follow(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes, 3);
    uint8_t dst[2] = {9, 9};

    assert_int_equal(reader_u32(&r), 0);
    assert_int_equal(reader_u8(&r), 0);
    reader_copy(&r, dst, sizeof dst);
    assert_int_equal(dst[0] | dst[1], 0);
    reader_fail(&r, -ERANGE);
    assert_int_equal(r.error, -EBADMSG);
    struct reader sub = reader_sub(&r, 1);
    assert_int_equal(sub.error, -EBADMSG);
}

static void a_sub_reader_ends_where_it_should(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes, sizeof bytes), sub = reader_sub(&r, 2);

    assert_int_equal(reader_u16(&sub), 0x0102);
    reader_u8(&sub);
    assert_int_equal(sub.error, -EBADMSG);
    assert_int_equal(r.error, 0);
    assert_int_equal(reader_u8(&r), 3);
    sub = reader_sub(&r, 6);
    assert_int_equal(sub.error, 0);
    sub = reader_sub(&r, 1);
    assert_int_equal(r.error, -EBADMSG);
}

static void huge_lengths_do_not_wrap(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes, sizeof bytes);

    assert_null(reader_take(&r, SIZE_MAX));
    assert_int_equal(r.error, -EBADMSG);
}

static void writer_limit_is_exact(void **state)
{
    (void)state;
    struct writer w = {.limit = 4};

    writer_u32(&w, 0x01020304);
    assert_int_equal(w.error, 0);
    writer_u8(&w, 5);
    assert_int_equal(w.error, -EMSGSIZE);
    assert_int_equal(w.len, 4);
    assert_memory_equal(w.data, bytes, 4);
    writer_done(&w);
}

static void writer_pads_and_patches(void **state)
{
    (void)state;
    static const uint8_t wanted[] = {9, 0, 8, 1, 2, 3, 0, 0, 0, 0, 0};
    struct writer w = {0};
    size_t len;

    writer_u8(&w, 9);
    writer_u16(&w, 0);
    writer_bytes(&w, bytes, 3);
    writer_pad(&w, 3, 8);
    writer_patch_u16(&w, 1, 8);
    writer_pad(&w, 3, 8);
    uint8_t *data = writer_take(&w, &len);
    assert_int_equal(len, sizeof wanted);
    assert_memory_equal(data, wanted, len);
    assert_null(w.data);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_in_order),
        cmocka_unit_test(the_end_is_exact),
        cmocka_unit_test(the_error_is_sticky_and_zeros_follow),
        cmocka_unit_test(a_sub_reader_ends_where_it_should),
        cmocka_unit_test(huge_lengths_do_not_wrap),
        cmocka_unit_test(writer_limit_is_exact),
        cmocka_unit_test(writer_pads_and_patches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
