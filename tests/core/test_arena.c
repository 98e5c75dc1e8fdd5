#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"

/* The address sanitizer shall answer a malloc of too much as every malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void any_size_is_aligned_and_its_own(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(0);
  unsigned char *blocks[400];
  for (size_t i = 0; i < 400; i++) {
    blocks[i] = ps_arena_alloc(a, i);
    assert_non_null(blocks[i]);
    assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
    memset(blocks[i], (int)(i & 255), i);
    assert_non_null(ps_arena_strn(a, "odd", i % 4)); /* text in between unsettles no alignment */
  }
  for (size_t i = 0; i < 400; i++) {
    for (size_t k = 0; k < i; k++) assert_int_equal(blocks[i][k], i & 255);
  }
  ps_arena_free(a);
}

static void size_0_is_unique(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(64);
  char *first = ps_arena_alloc(a, 0), *second = ps_arena_alloc(a, 0);
  assert_non_null(first);
  assert_non_null(second);
  assert_ptr_not_equal(first, second);
  ps_arena_free(a);
}

static void text_is_copied_whole(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(0);
  char *s = ps_arena_strn(a, "a\0b", 3);
  assert_memory_equal(s, "a\0b\0", 4);
  assert_string_equal(ps_arena_str(a, "longer than most"), "longer than most");
  assert_string_equal(ps_arena_strn(a, NULL, 0), "");
  ps_arena_free(a);
}

static void a_block_larger_than_all_fits(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(16);
  char *before = ps_arena_str(a, "before");
  char *large = ps_arena_alloc(a, 5 << 20);
  assert_non_null(large);
  memset(large, 1, 5 << 20);
  char *after = ps_arena_str(a, "after");
  assert_string_equal(before, "before");
  assert_string_equal(after, "after");
  ps_arena_free(a);
}

static void a_reserve_lies_in_one_piece(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(16);
  assert_true(ps_arena_reserve(a, 100000));
  char *first = ps_arena_strn(a, "x", 1), *last = first;
  for (int i = 1; i < 50000; i++) last = ps_arena_strn(a, "x", 1);
  assert_int_equal(last - first, 2 * 49999);
  ps_arena_free(a);
}

static void a_reset_arena_serves_again(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(0);
  char *first = NULL;
  for (int round = 0; round < 5; round++) {
    a = ps_arena_reset(a);
    size_t room = ps_arena_room(a);
    char *begin = ps_arena_alloc(a, 100);
    for (int i = 1; i < 1000; i++) memset(ps_arena_alloc(a, 100), round, 100);
    if (round >= 3) assert_ptr_equal(begin, first);
    if (round >= 3) assert_in_range(room, 1000 * 100, SIZE_MAX);
    first = begin;
  }
  ps_arena_free(a);
}

static void what_no_machine_has_is_refused(void **state) {
  (void)state;
  ps_arena *a = ps_arena_new(16);
  for (size_t less = 0; less < 64; less++) {
    assert_null(ps_arena_alloc(a, SIZE_MAX - less));
    assert_null(ps_arena_alloc(a, PTRDIFF_MAX - less));
    assert_null(ps_arena_strn(a, "", SIZE_MAX - less));
    assert_null(ps_arena_strn(a, "", PTRDIFF_MAX - less));
    assert_false(ps_arena_reserve(a, SIZE_MAX - less));
    assert_null(ps_arena_new(SIZE_MAX - less));
    assert_null(ps_arena_new(PTRDIFF_MAX - less));
  }
  assert_string_equal(ps_arena_str(a, "still good"), "still good");
  ps_arena_free(a);
  ps_arena_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(any_size_is_aligned_and_its_own),
    cmocka_unit_test(size_0_is_unique),
    cmocka_unit_test(text_is_copied_whole),
    cmocka_unit_test(a_block_larger_than_all_fits),
    cmocka_unit_test(a_reserve_lies_in_one_piece),
    cmocka_unit_test(a_reset_arena_serves_again),
    cmocka_unit_test(what_no_machine_has_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
