/* Values: reading, building, poison, numbers without the locale. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "value.h"

static void assert_json(const ps_value *v, const char *expected) {
  char *text = ps_json(v, NULL);
  assert_string_equal(text, expected);
  ps_free(text);
}

static ps_value *parse(const char *json) {
  ps_value *v = ps_value_parse(json, strlen(json));
  assert_string_equal(ps_value_error(v), "");
  return v;
}

/* The tree is poisoned for a usage error that says `part`; it is freed. */
static void assert_poisoned(ps_value *v, const char *part) {
  assert_true(ps_value_is_poisoned(v));
  assert_int_equal(ps_value_fault(v)->kind, PS_ERROR_USAGE);
  assert_int_equal(ps_value_fault(v)->outcome, PS_OUTCOME_NOT_SENT);
  if (!strstr(ps_value_error(v), part)) fail_msg("\"%s\" does not say \"%s\"", ps_value_error(v), part);
  ps_value_free(v);
}

/* ---- Reading */

static void paths_lead_through_maps_and_lists(void **state) {
  (void)state;
  ps_value *v =
    parse("{\"data\":[{\"id\":\"ch_1\"},{\"id\":\"ch_2\",\"0\":{\"\":7}}],\"a.b\":1,\"\":{\"x\":2},\"l\":[[5]]}");
  assert_string_equal(ps_str(v, "data.0.id"), "ch_1");
  assert_string_equal(ps_str(v, "data.1.id"), "ch_2");
  assert_int_equal(ps_int(v, "data.1.0."), 7);
  assert_int_equal(ps_int(v, ".x"), 2);
  assert_int_equal(ps_int(v, "l.0.0"), 5);
  assert_ptr_equal(ps_get(v, NULL), v);
  assert_ptr_equal(ps_get(v, ""), v);
  const char *absent[] = {"none",
                          "data.2",
                          "data.00",
                          "data.-1",
                          "data.+1",
                          "data.1x",
                          "data.",
                          "data.id",
                          "a.b",
                          "data.0.id.0",
                          "data.18446744073709551616",
                          "data.0.id.",
                          "l.0.0.0",
                          ".",
                          "data..0"};
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
    assert_int_equal(ps_type(v, absent[i]), PS_NULL);
    assert_ptr_equal(ps_get(v, absent[i]), &ps_null_value);
  }
  assert_int_equal(ps_int(ps_map_get(v, "a.b", 3), NULL), 1);
  assert_null(ps_map_get(v, "a", 1));
  assert_null(ps_list_get(ps_get(v, "data"), 2));
  assert_null(ps_list_get(v, 0));
  assert_null(ps_map_get(ps_get(v, "data"), "0", 1));
  ps_value_free(v);
}

static void each_reader_reads_its_type_alone(void **state) {
  (void)state;
  ps_value *v = parse("[null,true,-7,1.50,\"1\",[1],{\"a\":1}]");
  const char *text[] = {"", "", "", "1.50", "1", "", ""};
  const int integer[] = {0, 0, -7, 0, 0, 0, 0};
  const double number[] = {0, 0, -7, 1.5, 0, 0, 0};
  const size_t count[] = {0, 0, 0, 0, 0, 1, 1};
  size_t i = 0;
  for (const ps_value *x = ps_first(v); x; x = ps_next(x), i++) {
    size_t length = 99;
    assert_int_equal(ps_type(x, NULL), i);
    assert_string_equal(ps_strn(x, NULL, &length), text[i]);
    assert_int_equal(length, strlen(text[i]));
    assert_int_equal(ps_int(x, NULL), integer[i]);
    assert_true(ps_double(x, NULL) == number[i]);
    assert_int_equal(ps_bool(x, NULL), i == 1);
    assert_int_equal(ps_count(x), count[i]);
    assert_ptr_equal(ps_list_get(v, i), x);
  }
  assert_int_equal(i, 7);
  ps_value_free(v);
}

static void nothing_reads_as_null(void **state) {
  (void)state;
  size_t length = 99;
  assert_int_equal(ps_type(NULL, NULL), PS_NULL);
  assert_int_equal(ps_type(NULL, "a.b"), PS_NULL);
  assert_string_equal(ps_strn(NULL, "a", &length), "");
  assert_int_equal(length, 0);
  assert_int_equal(ps_int(NULL, NULL), 0);
  assert_true(ps_double(NULL, NULL) == 0);
  assert_false(ps_bool(NULL, NULL));
  assert_int_equal(ps_count(NULL), 0);
  assert_null(ps_first(NULL));
  assert_null(ps_next(NULL));
  length = 99;
  assert_string_equal(ps_key(NULL, &length), "");
  assert_int_equal(length, 0);
  assert_null(ps_map_get(NULL, "a", 1));
  assert_null(ps_list_get(NULL, 0));
  assert_false(ps_value_is(NULL, ""));
  assert_false(ps_value_is_poisoned(NULL));
  assert_string_equal(ps_value_error(NULL), "");
  assert_json(NULL, "null");
  ps_value_free(NULL);
  ps_free(NULL);
}

static void keys_keep_their_length(void **state) {
  (void)state;
  ps_value *v = ps_value_new();
  ps_value_set_int(ps_map_setn(v, "a\0b", 3), 1);
  ps_value_set_int(ps_map_setn(v, "a", 1), 2);
  ps_value_set_int(ps_map_setn(v, "", 0), 3);
  ps_value_set_strn(ps_map_setn(v, "a\0c", 3), "x\0y", 3);
  size_t length;
  assert_memory_equal(ps_key(ps_first(v), &length), "a\0b\0", 4);
  assert_int_equal(length, 3);
  assert_int_equal(ps_int(ps_map_get(v, "a\0b", 3), NULL), 1);
  assert_int_equal(ps_int(ps_map_get(v, "a", 1), NULL), 2);
  assert_int_equal(ps_int(ps_map_get(v, "", 0), NULL), 3);
  assert_memory_equal(ps_strn(ps_map_get(v, "a\0c", 3), NULL, &length), "x\0y\0", 4);
  assert_int_equal(length, 3);
  assert_false(ps_value_is(ps_map_get(v, "a\0c", 3), "x"));
  assert_json(v, "{\"a\\u0000b\":1,\"a\":2,\"\":3,\"a\\u0000c\":\"x\\u0000y\"}");
  ps_value_free(v);
}

static void equality_is_of_content(void **state) {
  (void)state;
  const char *equal[][2] = {{"{\"a\":1,\"b\":[1,2.0]}", " { \"b\" : [1,2.0], \"a\" : 1 }"},
                            {"[]", "[]"},
                            {"{}", "{}"},
                            {"\"\\u0061\"", "\"a\""},
                            {"null", "null"},
                            {"-0", "-0"},
                            {"[true,false]", "[true,false]"}};
  const char *different[][2] = {{"1", "1.0"},
                                {"1.0", "1.00"},
                                {"[1,2]", "[2,1]"},
                                {"[]", "{}"},
                                {"{\"a\":1}", "{\"b\":1}"},
                                {"{\"a\":null}", "{}"},
                                {"{\"a\":null}", "{\"b\":null}"},
                                {"\"a\"", "\"a\\u0000\""},
                                {"null", "false"},
                                {"true", "false"},
                                {"1", "\"1\""},
                                {"{\"a\":[1]}", "{\"a\":[2]}"}};
  for (size_t i = 0; i < sizeof equal / sizeof *equal + sizeof different / sizeof *different; i++) {
    bool same = i < sizeof equal / sizeof *equal;
    const char **pair = same ? equal[i] : different[i - sizeof equal / sizeof *equal];
    ps_value *a = parse(pair[0]), *b = parse(pair[1]);
    assert_int_equal(ps_value_equal(a, b), same);
    assert_int_equal(ps_value_equal(b, a), same);
    ps_value_free(a);
    ps_value_free(b);
  }
  assert_true(ps_value_equal(NULL, NULL));
  assert_true(ps_value_equal(&ps_null_value, NULL));
}

/* ---- Building */

static void a_tree_is_built_as_the_manual_says(void **state) {
  (void)state;
  ps_value *params = ps_value_new();
  assert_int_equal(ps_type(params, NULL), PS_NULL);
  ps_value_set_int(ps_map_set(params, "amount"), 2000);
  ps_value *items = ps_map_set(params, "items");
  ps_value_set_str(ps_map_set(ps_list_add(items), "price"), "price_1");
  ps_value_set_bool(ps_list_add(items), true);
  ps_value_set_null(ps_list_add(items));
  ps_value_set_double(ps_list_add(items), 0.5);
  ps_value_set_number(ps_list_add(items), "1.50");
  ps_value_set_list(ps_list_add(items));
  ps_value_set_map(ps_list_add(items));
  assert_json(params, "{\"amount\":2000,\"items\":[{\"price\":\"price_1\"},true,null,0.5,1.50,[],{}]}");
  assert_string_equal(ps_value_error(params), "");
  ps_value_free(params);
}

static void setting_again_drops_what_was(void **state) {
  (void)state;
  ps_value *v = ps_value_new(), *a = ps_map_set(v, "a");
  ps_value_set_str(ps_map_set(a, "x"), "deep");
  assert_ptr_equal(ps_map_set(v, "a"), a); /* the same place, and the order of keys stays */
  ps_value_set_int(ps_map_set(v, "b"), 1);
  ps_value_set_str(ps_map_set(v, "a"), "shallow");
  assert_json(v, "{\"a\":\"shallow\",\"b\":1}");
  ps_value_set_str(a, ps_str(a, NULL) + 3); /* from its own text */
  assert_string_equal(ps_str(v, "a"), "llow");
  ps_value_set_null(a);
  ps_value_set_int(ps_list_add(a), 1); /* null again: it may become either */
  ps_value_set_map(a);
  assert_json(v, "{\"a\":{},\"b\":1}");
  ps_value_set_list(v);
  assert_json(v, "[]");
  ps_value_free(v);
}

static void numbers_are_one_type_however_set(void **state) {
  (void)state;
  const struct {
    const char *text;
    ps_value_type type;
  } cases[] = {{"0", PS_INT},
               {"-0", PS_NUMBER},
               {"12", PS_INT},
               {"9223372036854775807", PS_INT},
               {"-9223372036854775808", PS_INT},
               {"9223372036854775808", PS_NUMBER},
               {"-9223372036854775809", PS_NUMBER},
               {"18446744073709551617", PS_NUMBER},
               {"1.0", PS_NUMBER},
               {"1e3", PS_NUMBER},
               {"-1.5E-7", PS_NUMBER},
               {"123456789012345678901234567890.10", PS_NUMBER},
               {"1E+2", PS_NUMBER},
               {"0.0", PS_NUMBER}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ps_value *v = ps_value_new(), *parsed = parse(cases[i].text);
    ps_value_set_number(v, cases[i].text);
    assert_int_equal(ps_type(v, NULL), cases[i].type);
    assert_json(v, cases[i].text);
    assert_true(ps_value_equal(v, parsed));
    ps_value_free(v);
    ps_value_free(parsed);
  }
  const char *wrong[] = {"",    "-",        "+1",  "01",  "1.", ".5",   "1e", "1e+", "0x1",   "1 ",    " 1",
                         "NaN", "Infinity", "1,5", "--1", "-a", "1.e1", "00", "-01", "1e1.5", "1_000", "\xd9\xa1"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    ps_value *v = ps_value_new();
    ps_value_set_number(v, wrong[i]);
    assert_poisoned(v, "is not a number");
  }
}

static void each_misuse_poisons_with_its_reason(void **state) {
  (void)state;
  ps_value *v = ps_value_new();
  ps_value_set_list(v);
  ps_map_set(v, "price");
  assert_poisoned(v, "\"price\" for a list");
  v = ps_value_new();
  ps_value_set_str(v, "x");
  ps_list_add(v);
  assert_poisoned(v, "item for a string");
  v = ps_value_new();
  ps_value_set_double(v, INFINITY);
  assert_poisoned(v, "finite");
  v = ps_value_new();
  ps_value_set_double(ps_list_add(v), NAN);
  assert_poisoned(v, "finite");
  v = ps_value_new();
  ps_value_set_str(v, NULL);
  assert_poisoned(v, "NULL");
  v = ps_value_new();
  ps_map_set(v, NULL);
  assert_poisoned(v, "NULL");
  v = ps_value_new();
  ps_value_set_number(v, NULL);
  assert_poisoned(v, "not a number");
  v = ps_value_new();
  ps_value_set_strn(v, "", UINT32_MAX);
  assert_poisoned(v, "more than a string can hold");
  v = ps_value_new();
  ps_value_fail(ps_map_set(v, "a"), "params.items[2].price is a function");
  assert_poisoned(v, "params.items[2].price is a function");
}

static void a_poisoned_tree_takes_anything_and_changes_no_more(void **state) {
  (void)state;
  ps_value *v = ps_value_new(), *other = parse("{\"z\":[1]}");
  ps_value *kept = ps_map_set(v, "kept");
  ps_value_set_int(kept, 1);
  ps_value_fail(v, "first");
  ps_value_fail(v, "second");
  ps_value_poison(v, &(ps_fault){.kind = PS_ERROR_MEMORY, .message = "third"});
  ps_value *spare = ps_list_add(ps_map_set(ps_map_set(v, "a"), "kept"));
  ps_value *all[] = {v, kept, spare};
  for (size_t i = 0; i < 3; i++) {
    ps_value_set_int(all[i], 2);
    ps_value_set_bool(all[i], true);
    ps_value_set_str(all[i], "x");
    ps_value_set_number(all[i], "no number");
    ps_value_set_double(all[i], 2.5);
    ps_value_set_list(all[i]);
    ps_value_set_map(all[i]);
    ps_value_copy(all[i], other);
    ps_value_set_null(all[i]);
    assert_string_equal(ps_value_error(all[i]), "first");
    assert_non_null(ps_map_set(all[i], "x"));
    assert_non_null(ps_list_add(all[i]));
    assert_non_null(ps_value_at_path(all[i], "a[b]"));
  }
  assert_int_equal(ps_type(spare, NULL), PS_NULL);
  assert_json(v, "{\"kept\":1}");
  ps_value_copy(ps_map_set(other, "copied"), v); /* poison travels with a copy */
  assert_poisoned(other, "first");
  assert_poisoned(v, "first");
}

static void only_a_root_is_freed(void **state) {
  (void)state;
  ps_value *v = ps_value_new(), *child = ps_list_add(v);
  ps_value_free(child);
  ps_value_set_str(child, "still there");
  assert_json(v, "[\"still there\"]");
  ps_value_free(v);
  ps_value *parsed = parse("[[1]]");
  ps_value_free((ps_value *)(uintptr_t)ps_first(parsed));
  assert_json(parsed, "[[1]]");
  ps_value_free(parsed);
}

/* `v` with `depth` lists in each other; the innermost. */
static ps_value *nest(ps_value *v, int depth) {
  for (int i = 1; i < depth; i++) v = ps_list_add(v);
  ps_value_set_list(v);
  return v;
}

static void depth_128_is_the_most(void **state) {
  (void)state;
  ps_value *v = ps_value_new(), *inner = nest(v, 128);
  ps_value *leaf = ps_list_add(inner);
  ps_value_set_str(leaf, "a leaf does not count");
  assert_string_equal(ps_value_error(v), "");
  ps_value_set_map(leaf);
  assert_poisoned(v, "deeper than 128");

  v = ps_value_new();
  ps_list_add(ps_list_add(nest(v, 128)));
  assert_poisoned(v, "deeper than 128");

  ps_value *deep = ps_value_new();
  nest(deep, 128);
  v = ps_value_new();
  ps_value_copy(v, deep);
  assert_true(ps_value_equal(v, deep));
  ps_value_copy(ps_list_add(v), ps_first(deep)); /* 127 in 1 */
  assert_string_equal(ps_value_error(v), "");
  ps_value_copy(ps_list_add(v), deep);
  assert_poisoned(v, "deeper than 128");
  ps_value_free(deep);
}

static void copies_are_deep_and_end(void **state) {
  (void)state;
  ps_value *v = parse("{\"a\":{\"b\":[1,\"two\",3.0]},\"c\":null}"), *copy = ps_value_new();
  ps_value_copy(ps_map_set(copy, "within"), v);
  ps_value_set_bool(ps_map_set(v, "c"), true);
  assert_json(copy, "{\"within\":{\"a\":{\"b\":[1,\"two\",3.0]},\"c\":null}}");
  ps_value *b = ps_map_set(ps_map_set(v, "a"), "b");
  ps_value_copy(ps_list_add(b), v); /* an ancestor into its own descendant: as it was */
  assert_json(v, "{\"a\":{\"b\":[1,\"two\",3.0,{\"a\":{\"b\":[1,\"two\",3.0,null]},\"c\":true}]},\"c\":true}");
  ps_value_copy(v, v);
  assert_int_equal(ps_count(ps_get(v, "a.b")), 4);
  ps_value_copy(v, ps_get(v, "a.b.3")); /* a descendant into its ancestor */
  assert_json(v, "{\"a\":{\"b\":[1,\"two\",3.0,null]},\"c\":true}");
  ps_value_copy(v, NULL);
  assert_json(v, "null");
  ps_value_free(v);
  assert_json(copy, "{\"within\":{\"a\":{\"b\":[1,\"two\",3.0]},\"c\":null}}");
  ps_value_free(copy);
}

static void params_take_the_apis_paths(void **state) {
  (void)state;
  ps_value *v =
    ps_params("email", "jenny@example.com", "metadata[order]", "6735", "items[0][price]", "p1", "items[1][price]", "p2",
              "items[0][quantity]", "2", "expand[]", "a", "expand[]", "b.c", "metadata[6735]", "x", "codes[77]", "y",
              "email", "last", "deep[a][b][c][0]", "z", "nothing", "", NULL);
  assert_string_equal(ps_value_error(v), "");
  assert_json(v, "{\"email\":\"last\",\"metadata\":{\"order\":\"6735\",\"6735\":\"x\"},"
                 "\"items\":[{\"price\":\"p1\",\"quantity\":\"2\"},{\"price\":\"p2\"}],\"expand\":[\"a\",\"b.c\"],"
                 "\"codes\":{\"77\":\"y\"},\"deep\":{\"a\":{\"b\":{\"c\":[\"z\"]}}},\"nothing\":\"\"}");
  ps_value_free(v);
  v = ps_params(NULL);
  assert_json(v, "{}");
  ps_value_free(v);
}

static void paths_that_lead_nowhere_poison(void **state) {
  (void)state;
  const char *paths[] = {"", "[a]", "a[b", "a]b", "a[b]c", "a[b]]", "a[[b]]", "a[", "]", "a[b][", "a[]x"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    assert_poisoned(ps_params(paths[i], "x", NULL), "is not a path");
  assert_poisoned(ps_params("a", NULL), "\"a\" has no value");
  assert_poisoned(ps_params("a", "1", "b[c]", NULL), "\"b[c]\" has no value");
  assert_poisoned(ps_params("a[0]", "x", "a[2]", "y", NULL), "the next one is [1]");
  assert_poisoned(ps_params("a", "x", "a[b]", "y", NULL), "\"b\" for a string");
  assert_poisoned(ps_params("a[0]", "x", "a[b]", "y", NULL), "\"b\" for a list");
  assert_poisoned(ps_params("a[b]", "x", "a[]", "y", NULL), "item for a map");
}

/* ---- UTF-8 */

static void utf8_is_told_to_the_byte(void **state) {
  (void)state;
  const char *good[] = {"",
                        "plain",
                        "\x7f",
                        "\xc2\x80",
                        "\xdf\xbf",
                        "\xe0\xa0\x80",
                        "\xed\x9f\xbf",
                        "\xee\x80\x80",
                        "\xef\xbf\xbf",
                        "\xf0\x90\x80\x80",
                        "\xf4\x8f\xbf\xbf",
                        "\xef\xb7\x90",
                        "Z\xc3\xbcrich, \xe6\x9d\xb1\xe4\xba\xac, \xf0\x9f\x98\x80"};
  const char *bad[] = {"\x80",
                       "\xbf",
                       "\xc0\x80",
                       "\xc1\xbf",
                       "\xc2",
                       "\xc2 ",
                       "\xe0\x80\x80",
                       "\xe0\x9f\xbf",
                       "\xe2\x82",
                       "\xe2 \x82",
                       "\xe2\x82 ",
                       "\xed\xa0\x80",
                       "\xed\xbf\xbf",
                       "\xf0\x80\x80\x80",
                       "\xf0\x8f\xbf\xbf",
                       "\xf4\x90\x80\x80",
                       "\xf5\x80\x80\x80",
                       "\xf0\x9f\x98",
                       "\xf0\x9f ",
                       "\xf8\x88\x80\x80\x80",
                       "\xfc",
                       "\xfe",
                       "\xff",
                       "\xc3\xc3"};
  for (size_t pad = 0; pad < 70; pad++) {
    for (size_t i = 0; i < sizeof good / sizeof *good + sizeof bad / sizeof *bad; i++) {
      bool valid = i < sizeof good / sizeof *good;
      const char *piece = valid ? good[i] : bad[i - sizeof good / sizeof *good];
      size_t length = pad + strlen(piece);
      char *s = malloc(length + 1); /* to the byte, for the sanitizer */
      memset(s, 'x', pad);
      memcpy(s + pad, piece, strlen(piece));
      assert_int_equal(ps_utf8_span(s, length), valid ? length : pad);
      assert_int_equal(ps_utf8_valid(s, length), valid);
      free(s);
    }
  }
  assert_true(ps_utf8_valid("a\0b", 3));
}

/* ---- Numbers and the locale */

static void assert_double(double d, const char *expected) {
  ps_buf text = PS_BUF_INIT;
  ps_number_format(&text, d);
  assert_string_equal(ps_buf_text(&text), expected);
  ps_buf_dispose(&text);
}

static double read_back(const char *text) {
  ps_value *v = ps_value_new();
  ps_value_set_number(v, text);
  double d = ps_double(v, NULL);
  ps_value_free(v);
  return d;
}

static void doubles_are_written_short_and_plain(void **state) {
  (void)state;
  const struct {
    double d;
    const char *text;
  } cases[] = {{0, "0"},
               {-0.0, "0"},
               {1, "1"},
               {-1, "-1"},
               {0.1, "0.1"},
               {-0.1, "-0.1"},
               {19.99, "19.99"},
               {0.1 + 0.2, "0.30000000000000004"},
               {1.0 / 3, "0.3333333333333333"},
               {2000, "2000"},
               {1e14, "100000000000000"},
               {9007199254740991.0, "9007199254740991"},
               {9007199254740992.0, "9007199254740992"},
               {1e21, "1000000000000000000000"},
               {1e-7, "0.0000001"},
               {1.5e-9, "0.0000000015"},
               {123456.789, "123456.789"},
               {5e-1, "0.5"},
               {100.25, "100.25"},
               {1e22, "10000000000000000000000"},
               {2.5e15, "2500000000000000"},
               {1234567890123456.7, "1234567890123456.8"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_double(cases[i].d, cases[i].text);
  ps_buf text = PS_BUF_INIT;
  ps_number_format(&text, NAN);
  ps_number_format(&text, -INFINITY);
  assert_int_equal(text.length, 0);
}

/* Any double, by its bits, comes back; its text is a number of JSON without exponent. */
static void every_double_reads_back(void **state) {
  (void)state;
  uint64_t bits = 1;
  for (int i = 0; i < 5000; i++) {
    double d;
    uint64_t pattern = i < 8 ? (uint64_t)i : i < 16 ? UINT64_C(0x7fefffffffffffff) - (uint64_t)i + 8 : bits;
    memcpy(&d, &pattern, sizeof d);
    bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (!isfinite(d)) continue;
    ps_buf text = PS_BUF_INIT;
    ps_number_format(&text, d);
    assert_true(ps_number_valid(ps_buf_text(&text), text.length));
    assert_int_equal(strcspn(text.data, "eE"), text.length);
    assert_true(read_back(text.data) == d);
    ps_buf_dispose(&text);
  }
  ps_value *v = ps_value_new();
  ps_value_set_double(v, 5.0);
  assert_int_equal(ps_type(v, NULL), PS_INT);
  ps_value_set_double(v, 1e300);
  assert_true(ps_double(v, NULL) == 1e300);
  ps_value_free(v);
}

static void any_number_text_reads_as_the_nearest_double(void **state) {
  (void)state;
  assert_true(read_back("12.5e3") == 12500);
  assert_true(read_back("-12.5E-1") == -1.25);
  assert_true(signbit(read_back("-0")) && signbit(read_back("-0.0")) && signbit(read_back("-0e7")));
  assert_true(read_back("1e400") == HUGE_VAL && read_back("-1e400") == -HUGE_VAL);
  assert_true(read_back("1e-400") == 0 && read_back("0e99999999999999999999") == 0);
  assert_true(read_back("1e99999999999999999999") == HUGE_VAL && read_back("1e-99999999999999999999") == 0);
  assert_true(read_back("9007199254740993") == 9007199254740992.0); /* half way: to the even one */
  assert_true(read_back("9007199254740993.0") == 9007199254740992.0);
  char text[4096] = "9007199254740993.";
  memset(text + 17, '0', 3000);
  assert_true(read_back(text) == 9007199254740992.0);
  strcpy(text + 2000, "1"); /* a little more than half way, told by a digit far behind */
  assert_true(read_back(text) == 9007199254740994.0);
  strcpy(text, "0.");
  memset(text + 2, '0', 3000);
  strcpy(text + 3002, "25e3001");
  assert_true(read_back(text) == 2.5);
  memset(text, '1', 3000);
  strcpy(text + 3000, "e-2999");
  assert_true(read_back(text) == 1.1111111111111112);
  memset(text, '0', sizeof text);
  text[0] = '4';
  strcpy(text + 3001, ".0e-3000");
  assert_true(read_back(text) == 4);
}

static void numbers_are_what_they_were(void **state) {
  doubles_are_written_short_and_plain(state);
  every_double_reads_back(state);
  any_number_text_reads_as_the_nearest_double(state);
  ps_value *v = parse("[1.5,0.25e1]");
  assert_true(ps_double(v, "0") == 1.5 && ps_double(v, "1") == 2.5);
  assert_json(v, "[1.5,0.25e1]");
  ps_value_free(v);
}

/* A comma in German; two bytes in Pashto. The locales are made here, as few machines have them. */
static void no_locale_changes_a_number(void **state) {
  const char *folder = PS_BUILD_DIR "/tests/locale", *names[] = {"de_DE", "ps_AF"}, *points[] = {",", "\xd9\xab"};
  mkdir(folder, 0755);
  setenv("LOCPATH", folder, 1);
  for (int i = 0; i < 2; i++) {
    char command[1024], name[32];
    snprintf(command, sizeof command, "localedef -i %s -f UTF-8 '%s/%s.UTF-8' >/dev/null 2>&1", names[i], folder,
             names[i]);
    snprintf(name, sizeof name, "%s.UTF-8", names[i]);
    if (system(command) != 0 || !setlocale(LC_ALL, name)) {
      print_message("== SKIPPED: no locale %s: install the package \"locales\"\n", name);
      skip();
    }
    assert_string_equal(localeconv()->decimal_point, points[i]);
    numbers_are_what_they_were(state);
    assert_string_equal(localeconv()->decimal_point, points[i]);
  }
  setlocale(LC_ALL, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(paths_lead_through_maps_and_lists),
    cmocka_unit_test(each_reader_reads_its_type_alone),
    cmocka_unit_test(nothing_reads_as_null),
    cmocka_unit_test(keys_keep_their_length),
    cmocka_unit_test(equality_is_of_content),
    cmocka_unit_test(a_tree_is_built_as_the_manual_says),
    cmocka_unit_test(setting_again_drops_what_was),
    cmocka_unit_test(numbers_are_one_type_however_set),
    cmocka_unit_test(each_misuse_poisons_with_its_reason),
    cmocka_unit_test(a_poisoned_tree_takes_anything_and_changes_no_more),
    cmocka_unit_test(only_a_root_is_freed),
    cmocka_unit_test(depth_128_is_the_most),
    cmocka_unit_test(copies_are_deep_and_end),
    cmocka_unit_test(params_take_the_apis_paths),
    cmocka_unit_test(paths_that_lead_nowhere_poison),
    cmocka_unit_test(utf8_is_told_to_the_byte),
    cmocka_unit_test(doubles_are_written_short_and_plain),
    cmocka_unit_test(every_double_reads_back),
    cmocka_unit_test(any_number_text_reads_as_the_nearest_double),
    cmocka_unit_test(no_locale_changes_a_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
