#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"

/* The address sanitizer shall answer a malloc of too much as every malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void what_is_added_stands_in_order(void **state) {
  (void)state;
  ps_buf b = PS_BUF_INIT;
  assert_string_equal(ps_buf_text(&b), "");
  ps_buf_add(&b, NULL, 0);
  ps_buf_str(&b, "a=");
  ps_buf_int(&b, -12);
  ps_buf_char(&b, '&');
  ps_buf_format(&b, "%s[%d]=%%", "b", 7);
  ps_buf_add(&b, "\0x", 2);
  assert_false(b.failed);
  assert_int_equal(b.length, 14);
  assert_memory_equal(ps_buf_text(&b), "a=-12&b[7]=%\0x", 14);
  ps_buf_dispose(&b);
  assert_null(b.data);
}

static void every_integer_is_written(void **state) {
  (void)state;
  const int64_t numbers[] = {0, 1, -1, 9, 10, -10, 99, 100, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    char expected[32];
    snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
    ps_buf b = PS_BUF_INIT;
    ps_buf_int(&b, numbers[i]);
    assert_string_equal(ps_buf_text(&b), expected);
    ps_buf_dispose(&b);
  }
}

static void it_grows_by_any_step(void **state) {
  (void)state;
  for (size_t step = 1; step < 200; step++) {
    ps_buf b = PS_BUF_INIT;
    char piece[200];
    memset(piece, 'x', sizeof piece);
    for (size_t i = 0; i < 20; i++) {
      ps_buf_add(&b, piece, step);
      assert_int_equal(strlen(ps_buf_text(&b)), (i + 1) * step); /* the NUL always has room */
    }
    for (size_t i = 0; i < 20; i++) ps_buf_format(&b, "%.*s", (int)step, piece);
    assert_int_equal(b.length, 40 * step);
    ps_buf_dispose(&b);
  }
}

static void what_is_taken_is_the_callers(void **state) {
  (void)state;
  ps_buf b = PS_BUF_INIT;
  size_t length = 99;
  char *nothing = ps_buf_take(&b, &length);
  assert_string_equal(nothing, "");
  assert_int_equal(length, 0);
  free(nothing);
  ps_buf_add(&b, "a\0b", 3);
  char *text = ps_buf_take(&b, &length);
  assert_int_equal(length, 3);
  assert_memory_equal(text, "a\0b\0", 4);
  assert_null(b.data);
  assert_int_equal(b.length, 0);
  free(text);
}

static void the_first_failure_stays(void **state) {
  (void)state;
  ps_buf b = PS_BUF_INIT;
  ps_buf_str(&b, "before");
  assert_false(ps_buf_reserve(&b, SIZE_MAX));
  assert_true(b.failed);
  ps_buf_str(&b, "after");
  ps_buf_char(&b, 'x');
  ps_buf_int(&b, 1);
  ps_buf_format(&b, "%d", 1);
  assert_int_equal(b.length, 6);
  assert_string_equal(ps_buf_text(&b), "");
  size_t length = 99;
  assert_null(ps_buf_take(&b, &length));
  assert_int_equal(length, 0);
  assert_false(b.failed); /* taken: it may be used again */
  ps_buf_dispose(&b);
}

static void no_size_overflows(void **state) {
  (void)state;
  for (size_t less = 0; less < 130; less++) {
    ps_buf b = PS_BUF_INIT;
    ps_buf_str(&b, "0123456789");
    assert_false(ps_buf_reserve(&b, SIZE_MAX - less));
    ps_buf_dispose(&b);
    ps_buf_str(&b, "0123456789");
    assert_false(ps_buf_reserve(&b, PTRDIFF_MAX - less));
    ps_buf_dispose(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_added_stands_in_order), cmocka_unit_test(every_integer_is_written),
    cmocka_unit_test(it_grows_by_any_step),          cmocka_unit_test(what_is_taken_is_the_callers),
    cmocka_unit_test(the_first_failure_stays),       cmocka_unit_test(no_size_overflows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
