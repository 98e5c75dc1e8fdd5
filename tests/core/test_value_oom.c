/* Arena, buffer, values and JSON with every allocation failing in turn: the answer is the memory error or the whole
 * value, never a part of it, a leak or a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "oom.h"

static void assert_json(const ps_value *v, const char *expected, bool failing) {
  char *text = ps_json(v, NULL);
  if (!failing) assert_non_null(text);
  if (text) assert_string_equal(text, expected);
  ps_free(text);
}

/* False: the tree is poisoned, for want of memory and nothing else. */
static bool has_memory(const ps_value *v, bool failing) {
  if (!ps_value_is_poisoned(v)) return true;
  assert_true(failing);
  assert_int_equal(ps_value_fault(v)->kind, PS_ERROR_MEMORY);
  assert_string_equal(ps_value_error(v), "no memory");
  return false;
}

static void run_arena(void *context, bool failing) {
  (void)context;
  ps_arena *a = ps_arena_new(300);
  for (int i = 0; a && i < 2000; i++) {
    char *s = ps_arena_strn(a, "0123456789", 10), *p = ps_arena_alloc(a, 40);
    if (!failing) assert_true(s && p);
    if (s) assert_string_equal(s, "0123456789");
    if (p) memset(p, 'x', 40);
  }
  ps_arena_free(a);
}

static void run_buffer(void *context, bool failing) {
  (void)context;
  ps_buf b = PS_BUF_INIT;
  for (int i = 0; i < 100; i++) {
    ps_buf_str(&b, "0123456789");
    ps_buf_format(&b, "%d,", 7);
    ps_buf_int(&b, -1);
    ps_buf_char(&b, ';');
  }
  assert_int_equal(strlen(ps_buf_text(&b)), b.failed ? 0 : 1500);
  bool failed = b.failed;
  char *text = ps_buf_take(&b, NULL);
  if (!failing || text) assert_int_equal(strlen(text), 1500);
  if (failed) assert_null(text);
  free(text);
}

/* As a careless program builds: it looks at nothing before the end. */
static void run_building(void *context, bool failing) {
  (void)context;
  ps_value *v =
    ps_params("email", "jenny@example.com", "metadata[order]", "6735", "items[0][price]", "p1", "items[]", "x", NULL);
  ps_value *more = ps_value_new(), *list = ps_map_set(more, "list");
  for (int i = 0; i < 200; i++)
    ps_value_set_str(ps_map_set(ps_list_add(list), "key"), "a string of some length, to fill the arena");
  ps_value_set_double(ps_map_set(more, "double"), 0.1);
  ps_value_set_number(ps_map_set(more, "number"), "1.50");
  ps_value_set_bool(ps_map_set(more, "bool"), true);
  ps_value_copy(ps_map_set(more, "copy"), v);
  ps_value_copy(ps_map_set(ps_map_set(more, "copy"), "self"), ps_get(more, "copy"));
  if (has_memory(more, failing)) {
    assert_int_equal(ps_count(ps_get(more, "list")), 200);
    assert_true(ps_value_equal(ps_get(more, "copy.items"), ps_get(v, "items")));
    ps_value_set_null(list);
    assert_json(more,
                "{\"list\":null,\"double\":0.1,\"number\":1.50,\"bool\":true,\"copy\":{\"email\":\"jenny@example.com\","
                "\"metadata\":{\"order\":\"6735\"},\"items\":[{\"price\":\"p1\"},\"x\"],\"self\":{\"email\":\"jenny@"
                "example.com\","
                "\"metadata\":{\"order\":\"6735\"},\"items\":[{\"price\":\"p1\"},\"x\"],\"self\":null}}}",
                failing);
  }
  has_memory(v, failing);
  ps_value_free(v);
  ps_value_free(more);
}

/* What has no memory from the start stays harmless, and the same for every thread. */
static void a_tree_without_memory_is_closed(void **state) {
  (void)state;
  oom_fail_at(1, true);
  ps_value *v = ps_value_new(), *other = ps_params("a", "b", NULL);
  assert_ptr_equal(v, other);
  ps_value *child = ps_map_set(ps_list_add(v), "x");
  ps_value_set_str(child, "x");
  ps_value_set_int(v, 1);
  ps_value_set_list(v);
  ps_value_fail(v, "reason");
  ps_value_copy(v, child);
  ps_value_poison(v, &(ps_fault){.kind = PS_ERROR_USAGE, .message = "other"});
  assert_non_null(ps_value_at_path(v, "a[b][]"));
  assert_int_equal(ps_type(v, NULL), PS_NULL);
  assert_int_equal(ps_value_fault(child)->kind, PS_ERROR_MEMORY);
  assert_string_equal(ps_value_error(v), "no memory");
  assert_null(ps_json(v, NULL));
  oom_stop();
  ps_value *rich = ps_value_new();
  ps_value_copy(ps_list_add(rich), v);
  assert_int_equal(ps_value_fault(rich)->kind, PS_ERROR_MEMORY);
  ps_value_free(rich);
  ps_value_free(child);
  ps_value_free(v);
  ps_value_free(other);
}

static const char list[] =
  "{\"data\":[{\"id\":\"ch_1\",\"amount\":2000,\"rate\":1.50,\"name\":\"\\ud83d\\ude00 \\ud83d\"},"
  "{\"id\":null,\"id\":true}]}";
static const char *const texts[] = {list, "[\"\\n\",[[[[[[[[[[]]]]]]]]]],12", "[1,]", "{} x", "[\"\xff\"]", "7"};

static void run_parsing(void *context, bool failing) {
  const char *text = context;
  char copy[512];
  ps_arena *arena = ps_arena_new(0);
  ps_fault fault = {.kind = PS_ERROR_NONE};
  ps_value *v = arena ? ps_json_parse(arena, strcpy(copy, text), strlen(text), &fault) : NULL;
  if (!failing) assert_true(v || fault.kind == PS_ERROR_PROTOCOL);
  if (arena && !v) assert_true(fault.kind == PS_ERROR_PROTOCOL || fault.kind == PS_ERROR_MEMORY);
  if (v) assert_int_equal(fault.kind, PS_ERROR_NONE);
  ps_arena_free(arena);

  v = ps_value_parse(text, strlen(text));
  ps_value *again = ps_value_parse(text, strlen(text));
  if (!ps_value_is_poisoned(v) && !ps_value_is_poisoned(again)) assert_true(ps_value_equal(v, again));
  if (!failing) assert_int_equal(ps_value_fault(v)->kind, ps_value_fault(again)->kind);
  if (ps_value_is_poisoned(v) && ps_value_fault(v)->kind != PS_ERROR_MEMORY)
    assert_memory_equal(ps_value_error(v), "not JSON: ", 10);
  ps_value_free(v);
  ps_value_free(again);
}

static void run_many_keys(void *context, bool failing) {
  (void)context;
  char text[8000] = "{";
  for (int i = 0; i < 300; i++) sprintf(text + strlen(text), "\"key%d\":%d,", i % 250, i);
  text[strlen(text) - 1] = '}';
  ps_value *v = ps_value_parse(text, strlen(text));
  if (has_memory(v, failing)) assert_int_equal(ps_count(v), 250);
  ps_value_free(v);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  assert_true(oom_each(run_arena, NULL) > 5);
  assert_true(oom_each(run_buffer, NULL) > 3);
  assert_true(oom_each(run_building, NULL) > 5);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_true(oom_each(run_parsing, (void *)(uintptr_t)texts[i]) > 3);
  assert_true(oom_each(run_many_keys, NULL) > 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_allocation_may_fail),
    cmocka_unit_test(a_tree_without_memory_is_closed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
