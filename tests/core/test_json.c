/* JSON: what is taken and what is not, to the byte; what comes out; and nothing of it by yajl's grace.
 *
 * Every text lies in a piece of memory of exactly its length, so that a sanitizer or valgrind sees a step over its end. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

typedef struct json_case {
  const char *text;
  size_t length;
  const char *written; /* NULL: refused */
} json_case;

#define ACCEPT(text, written) {(text), sizeof(text) - 1, (written)},
#define REJECT(text) {(text), sizeof(text) - 1, NULL},
static const json_case cases[] = {
#include "json_cases.h"
};
enum { CASES = sizeof cases / sizeof *cases };

/* Parses a copy that is gone when the value is read. The value's text, to be freed, or NULL with `fault` set. */
static char *read_and_write(const char *text, size_t length, ps_fault *fault) {
  ps_arena *arena = ps_arena_new(0);
  char *copy = malloc(length ? length : 1);
  memcpy(copy, text, length);
  *fault = (ps_fault){.kind = PS_ERROR_NONE};
  const ps_value *v = ps_json_parse(arena, copy, length, fault);
  memset(copy, 'x', length);
  free(copy);
  char *written = v ? ps_json(v, NULL) : NULL;
  assert_int_equal(v == NULL, fault->kind != PS_ERROR_NONE);
  ps_arena_free(arena);
  return written;
}

static bool accepts(const char *text, size_t length) {
  ps_fault fault;
  char *written = read_and_write(text, length, &fault);
  ps_free(written);
  return written != NULL;
}

static void assert_refused(const char *text, size_t length, const char *message) {
  ps_fault fault;
  assert_null(read_and_write(text, length, &fault));
  assert_int_equal(fault.kind, PS_ERROR_PROTOCOL);
  if (!strstr(fault.message, message)) fail_msg("\"%s\" does not say \"%s\"", fault.message, message);
}

static void assert_json_is(const ps_value *v, const char *expected) {
  char *text = ps_json(v, NULL);
  assert_string_equal(text, expected);
  ps_free(text);
}

/* As a reply is parsed: the text is changed in place. */
static const ps_value *parse_into(ps_arena *arena, char *text, size_t length) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  const ps_value *v = ps_json_parse(arena, text, length, &fault);
  assert_string_equal(fault.message, "");
  return v;
}

/* ---- The cases */

static void every_case_is_taken_or_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < CASES; i++) {
    ps_fault fault;
    char *written = read_and_write(cases[i].text, cases[i].length, &fault);
    if (!written != !cases[i].written) fail_msg("case %zu: %s: %s", i, cases[i].text, fault.message);
    if (written) assert_string_equal(written, cases[i].written);
    else assert_memory_equal(fault.message, "near line ", 10);
    assert_true(strlen(fault.message) < 120);
    ps_free(written);
  }
  print_message("== %d cases of JSON\n", (int)CASES);
}

/* What was written is taken again, and is the same; the same holds of ps_value_parse, which leaves its text alone. */
static void every_value_survives_its_own_text(void **state) {
  (void)state;
  for (size_t i = 0; i < CASES; i++) {
    char *text = malloc(cases[i].length + 1);
    memcpy(text, cases[i].text, cases[i].length);
    ps_value *v = ps_value_parse(text, cases[i].length);
    assert_memory_equal(text, cases[i].text, cases[i].length);
    free(text);
    assert_int_equal(ps_value_is_poisoned(v), cases[i].written == NULL);
    if (cases[i].written) {
      ps_value *again = ps_value_parse(cases[i].written, strlen(cases[i].written));
      assert_true(ps_value_equal(v, again));
      ps_value_free(again);
    } else {
      assert_int_equal(ps_value_fault(v)->kind, PS_ERROR_USAGE);
      assert_memory_equal(ps_value_error(v), "not JSON: near line ", 20);
    }
    ps_value_free(v);
  }
}

/* Cut anywhere, a text is refused, unless what is left is whole: white space was cut off, or digits of a number. */
static void every_cut_is_noticed(void **state) {
  (void)state;
  for (size_t i = 0; i < CASES; i++) {
    const json_case *c = &cases[i];
    for (size_t length = 0; length < c->length; length++) {
      bool taken = accepts(c->text, length);
      if (!taken || !c->written) continue;
      bool only_space_cut = strspn(c->text + length, " \t\r\n") == c->length - length;
      bool number = strchr("0123456789", c->text[length - 1]) != NULL;
      if (!only_space_cut && !number) fail_msg("case %zu, cut at %zu: %.*s", i, length, (int)length, c->text);
    }
  }
}

/* ---- A second reading of RFC 8259 and RFC 3629, written for this test, judges texts that nobody thought of. Each function
 * returns what follows, NULL if it is not there. */

static const unsigned char *judge_value(const unsigned char *s, const unsigned char *end, int depth);

static const unsigned char *judge_space(const unsigned char *s, const unsigned char *end) {
  while (s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')) s++;
  return s;
}

static const unsigned char *judge_character(const unsigned char *s, const unsigned char *end) {
  uint32_t c = *s, more = c < 0x80                ? 0
                          : c >= 0xc0 && c < 0xe0 ? 1
                          : c >= 0xe0 && c < 0xf0 ? 2
                          : c >= 0xf0 && c < 0xf8 ? 3
                                                  : 9;
  static const uint32_t least[] = {0x20, 0x80, 0x800, 0x10000};
  if (more == 9 || (size_t)(end - s) <= more) return NULL;
  uint32_t point = more == 0 ? c : c & (0x3fu >> more);
  for (uint32_t i = 1; i <= more; i++) {
    if (s[i] >> 6 != 2) return NULL;
    point = point << 6 | (s[i] & 0x3f);
  }
  bool exists = point >= least[more] && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
  return exists ? s + more + 1 : NULL;
}

static const unsigned char *judge_string(const unsigned char *s, const unsigned char *end) {
  if (s == end || *s++ != '"') return NULL;
  while (s && s < end && *s != '"') {
    if (*s != '\\') {
      s = judge_character(s, end);
    } else if (end - s >= 6 && s[1] == 'u') {
      for (int i = 2; i < 6; i++) {
        if (!memchr("0123456789abcdefABCDEF", s[i], 22)) return NULL;
      }
      s += 6;
    } else {
      s = end - s >= 2 && memchr("\"\\/bfnrt", s[1], 8) ? s + 2 : NULL;
    }
  }
  return s && s < end ? s + 1 : NULL;
}

static const unsigned char *judge_digits(const unsigned char *s, const unsigned char *end) {
  const unsigned char *first = s;
  while (s < end && *s >= '0' && *s <= '9') s++;
  return s > first ? s : NULL;
}

static const unsigned char *judge_number(const unsigned char *s, const unsigned char *end) {
  if (s < end && *s == '-') s++;
  s = s < end && *s == '0' ? s + 1 : judge_digits(s, end);
  if (s && s < end && *s == '.') s = judge_digits(s + 1, end);
  if (s && s < end && (*s == 'e' || *s == 'E')) {
    s++;
    if (s < end && (*s == '+' || *s == '-')) s++;
    s = judge_digits(s, end);
  }
  return s;
}

static const unsigned char *judge_container(const unsigned char *s, const unsigned char *end, int depth) {
  unsigned char close = *s == '{' ? '}' : ']';
  s = judge_space(s + 1, end);
  if (s < end && *s == close) return s + 1;
  while (s) {
    if (close == '}') {
      s = judge_string(judge_space(s, end), end);
      s = s ? judge_space(s, end) : end;
      if (s == end || *s++ != ':') return NULL;
    }
    s = judge_value(s, end, depth);
    if (!s || s == end) return NULL;
    if (*s == close) return s + 1;
    if (*s++ != ',') return NULL;
  }
  return NULL;
}

static const unsigned char *judge_value(const unsigned char *s, const unsigned char *end, int depth) {
  s = judge_space(s, end);
  size_t left = (size_t)(end - s);
  if (left == 0) return NULL;
  if (*s == '{' || *s == '[') s = depth < 128 ? judge_container(s, end, depth + 1) : NULL;
  else if (*s == '"') s = judge_string(s, end);
  else if (left >= 4 && (memcmp(s, "null", 4) == 0 || memcmp(s, "true", 4) == 0)) s += 4;
  else if (left >= 5 && memcmp(s, "false", 5) == 0) s += 5;
  else s = judge_number(s, end);
  return s ? judge_space(s, end) : NULL;
}

static bool judge(const char *text, size_t length) {
  const unsigned char *s = (const unsigned char *)text, *end = s + length;
  if (length >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) s += 3;
  return judge_value(s, end, 0) == end;
}

static uint32_t dice_state = 1;
static size_t dice(size_t sides) {
  dice_state = dice_state * 1664525u + 1013904223u;
  return (dice_state >> 8) % sides;
}

/* One edit: a byte, or a piece of JSON, put in, put over, or taken out. */
static size_t edit(char *text, size_t length) {
  static const char *const pieces[] = {"\"",
                                       "\\",
                                       "\\u",
                                       "\\ud83d",
                                       "\\ude00",
                                       "\\n",
                                       "{",
                                       "}",
                                       "[",
                                       "]",
                                       ",",
                                       ":",
                                       "-",
                                       "0",
                                       "7",
                                       ".",
                                       "e",
                                       "+",
                                       "E-1",
                                       "true",
                                       "null",
                                       "fals",
                                       " ",
                                       "\n",
                                       "\t",
                                       "\v",
                                       "\f",
                                       "\r",
                                       "\x01",
                                       "\x7f",
                                       "\x80",
                                       "\xbf",
                                       "\xc0",
                                       "\xc3\xbc",
                                       "\xe2\x82\xac",
                                       "\xed\xa0\x80",
                                       "\xf0\x9f\x98\x80",
                                       "\xf5",
                                       "/",
                                       "'",
                                       "a",
                                       "\"a\":",
                                       "[[",
                                       "\xef\xbb\xbf",
                                       "u",
                                       "d",
                                       "8"};
  const char *piece = pieces[dice(sizeof pieces / sizeof *pieces)];
  size_t at = dice(length + 1), out = dice(3) == 0 ? 0 : dice(length - at + 1) % 4,
         in = dice(4) == 0 ? 0 : strlen(piece);
  memmove(text + at + in, text + at + out, length - at - out);
  memcpy(text + at, piece, in);
  return length + in - out;
}

static void random_edits_are_judged_alike(void **state) {
  (void)state;
  size_t taken = 0, all = 0;
  for (size_t i = 0; i < CASES; i++) {
    for (int round = 0; round < 200; round++, all++) {
      char text[512];
      size_t length = cases[i].length;
      memcpy(text, cases[i].text, length);
      for (size_t edits = dice(3) + 1; edits > 0; edits--) length = edit(text, length);
      ps_fault fault;
      char *written = read_and_write(text, length, &fault);
      if (!written != !judge(text, length)) fail_msg("%.*s: %s", (int)length, text, fault.message);
      if (!written) continue;
      taken++;
      assert_true(judge(written, strlen(written)));
      char *again = read_and_write(written, strlen(written), &fault);
      assert_string_equal(again, written);
      ps_free(again);
      ps_free(written);
    }
  }
  print_message("== %zu edited texts, %zu of them JSON\n", all, taken);
  assert_true(taken > all / 20);
}

static void the_judge_agrees_on_the_cases(void **state) {
  (void)state;
  for (size_t i = 0; i < CASES; i++) assert_int_equal(judge(cases[i].text, cases[i].length), cases[i].written != NULL);
}

/* ---- The published suite, JSONTestSuite: y_ must be taken, n_ refused; i_ is our choice, as the judge has it */

static void the_published_suite_passes(void **state) {
  (void)state;
  const char *folder = getenv("PS_JSON_SUITE");
  if (!folder) folder = PS_SOURCE_DIR "/build/tools/json-suite";
  DIR *d = opendir(folder);
  if (!d) {
    print_message("== SKIPPED: no JSONTestSuite in %s: .ci/install test fetches it\n", folder);
    skip();
    return;
  }
  size_t counts[2] = {0, 0};
  for (struct dirent *e; (e = readdir(d));) {
    if (!strchr("yni", e->d_name[0]) || e->d_name[1] != '_') continue;
    char path[1024], *text = malloc(1 << 20);
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t length = fread(text, 1, 1 << 20, f);
    fclose(f);
    bool taken = accepts(text, length), expected = e->d_name[0] == 'y' || (e->d_name[0] == 'i' && judge(text, length));
    if (taken != expected) fail_msg("%s was %s", e->d_name, taken ? "taken" : "refused");
    counts[taken]++;
    free(text);
  }
  closedir(d);
  print_message("== JSONTestSuite: %zu texts taken, %zu refused\n", counts[1], counts[0]);
  assert_true(counts[0] + counts[1] > 300);
}

/* ---- Depth */

static char *nested(size_t depth, const char *open, const char *inner, const char *close, size_t *length) {
  ps_buf b = PS_BUF_INIT;
  for (size_t i = 0; i < depth; i++) ps_buf_str(&b, open);
  ps_buf_str(&b, inner);
  for (size_t i = 0; i < depth; i++) ps_buf_str(&b, close);
  return ps_buf_take(&b, length);
}

static void depth_128_is_taken_and_129_is_not(void **state) {
  (void)state;
  const struct {
    const char *open, *inner, *close;
    size_t within; /* how deep `inner` and `close` go below their level */
  } forms[] = {{"[", "", "]", 0},
               {"[", "1", "]", 0},
               {"{\"a\":", "1", "}", 0},
               {"[1,", "\"\\n\"", ",{\"a\":[]}]", 2},
               {"[", "[{}]", "]", 2}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    for (size_t depth = 100; depth <= 140; depth++) {
      size_t length;
      char *text = nested(depth, forms[i].open, forms[i].inner, forms[i].close, &length);
      if (depth + forms[i].within <= 128) assert_true(accepts(text, length));
      else assert_refused(text, length, "nested deeper than 128");
      free(text);
    }
  }
  size_t length;
  char *text = nested(100000, "[", "", "]", &length);
  assert_refused(text, length, "near line 1, byte 129: lists and maps are nested deeper than 128");
  assert_refused(text, 100000, "deeper than 128");
  free(text);
  text = nested(50000, "[{\"a\":", "", "}]", &length);
  assert_refused(text, length, "deeper than 128");
  free(text);
}

/* `length` bytes, an escape among them now and then, so that the buffer grows in many steps. */
static void add_run(ps_buf *b, const char *open, size_t length, const char *close) {
  ps_buf_str(b, open);
  for (size_t i = 0; i < length; i++) ps_buf_str(b, i % 100 == 50 ? "\\n" : "x");
  ps_buf_str(b, close);
}

/* ---- Keys that come again, in maps of any size, against a table that keeps the last value in the first's place */

static void duplicates_in_maps_of_any_size(void **state) {
  (void)state;
  static const size_t sizes[] = {2, 10, 60, 127, 128, 129, 130, 131, 200, 256, 257, 1000, 5000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int spread = 0; spread < 3; spread++) {
      size_t kinds = spread == 0 ? sizes[i] * 4 : spread == 1 ? sizes[i] : sizes[i] / 3 + 1, used = 0;
      size_t *last = calloc(kinds, sizeof *last), *order = calloc(kinds, sizeof *order);
      ps_buf text = PS_BUF_INIT, expected = PS_BUF_INIT;
      for (size_t k = 1; k <= sizes[i]; k++) {
        size_t kind = dice(kinds);
        if (!last[kind]) order[used++] = kind;
        last[kind] = k;
        ps_buf_format(&text, "%s\"key_number_%zu_of_many\":[%zu]", k > 1 ? "," : "{\"outer\":{", kind, k);
      }
      ps_buf_str(&text, "},\"z\":1,\"outer\":null,\"z\":2}");
      ps_value *v = ps_value_parse(text.data, text.length);
      assert_json_is(v, "{\"outer\":null,\"z\":2}");
      ps_value_free(v);
      text.length -= strlen("},\"z\":1,\"outer\":null,\"z\":2}");
      ps_buf_str(&text, "}}");
      for (size_t k = 0; k < used; k++) {
        ps_buf_format(&expected, "%s\"key_number_%zu_of_many\":[%zu]", k ? "," : "{\"outer\":{", order[k],
                      last[order[k]]);
      }
      ps_buf_str(&expected, "}}");
      v = ps_value_parse(text.data, text.length);
      assert_int_equal(ps_count(ps_get(v, "outer")), used);
      assert_json_is(v, ps_buf_text(&expected));
      ps_value_free(v);
      ps_buf_dispose(&text);
      ps_buf_dispose(&expected);
      free(last);
      free(order);
    }
  }
}

/* Keys that are beginnings of each other, the longest first and then again. */
static void keys_that_begin_alike_stay_apart(void **state) {
  (void)state;
  enum { KEYS = 1000 };
  ps_buf text = PS_BUF_INIT;
  for (int again = 0; again < 2; again++) {
    for (int i = KEYS; i > 0; i--) {
      add_run(&text, i == KEYS && !again ? "{\"" : ",\"", (size_t)i, "\":");
      ps_buf_int(&text, i + again);
    }
  }
  ps_buf_char(&text, '}');
  ps_arena *arena = ps_arena_new(0);
  const ps_value *v = parse_into(arena, text.data, text.length);
  assert_int_equal(ps_count(v), KEYS);
  int64_t i = KEYS;
  for (const ps_value *c = ps_first(v); c; c = ps_next(c), i--) {
    size_t length, end = strlen(ps_key(c, &length));
    assert_int_equal(length, i);
    assert_int_equal(end, i);
    assert_int_equal(ps_int(c, NULL), i + 1);
  }
  ps_arena_free(arena);
  ps_buf_dispose(&text);
}

/* A map made to defeat any filter: half a million keys alike in length, head and tail. (In quadratic time: hours.) */
static void hostile_keys_cost_no_more(void **state) {
  (void)state;
  ps_buf text = PS_BUF_INIT;
  for (int i = 0; i < 500000; i++) ps_buf_format(&text, "%s\"the_same%06dthe_same\":0", i ? "," : "{", i);
  ps_buf_str(&text, ",\"the_same000000the_same\":1}");
  ps_arena *arena = ps_arena_new(0);
  ps_fault fault = {.kind = PS_ERROR_NONE};
  const ps_value *v = ps_json_parse(arena, text.data, text.length, &fault);
  assert_int_equal(ps_count(v), 500000);
  assert_int_equal(ps_int(ps_first(v), NULL), 1);
  ps_arena_free(arena);
  ps_buf_dispose(&text);
}

/* ---- yajl's block: texts that make each of its buffers as large as it gets, each at every size around a doubling */

static void yajl_always_has_memory(void **state) {
  (void)state;
  static const size_t sizes[] = {0,    1,    1000, 2040,  2046,  2047,  2048,  2049,   4095,
                                 4096, 4097, 8190, 16383, 16385, 65535, 65537, 262143, 262145};
  enum { SIZES = sizeof sizes / sizeof *sizes };
  for (size_t i = 0; i < SIZES; i++) {
    ps_buf alone = PS_BUF_INIT; /* one string is the whole text */
    add_run(&alone, "\"", sizes[i], "\"");
    assert_true(accepts(alone.data, alone.length));
    assert_false(accepts(alone.data, alone.length - 1));
    ps_buf_dispose(&alone);
    for (size_t k = 0; k < SIZES; k++) {
      ps_buf b = PS_BUF_INIT;
      for (int depth = 0; depth < 120; depth++) ps_buf_char(&b, '[');
      add_run(&b, "\"\\n", sizes[i], "\",");
      for (int depth = 0; depth < 8; depth++) ps_buf_char(&b, '['); /* the stack grows behind the buffer */
      add_run(&b, "\"\\n", sizes[k], "\",");
      add_run(&b, "\"\\n", sizes[i] + sizes[k] + 1, "\",");
      size_t complete = b.length;
      add_run(&b, "\"\\n", sizes[SIZES - 1 - k], "");
      assert_refused(b.data, b.length, "premature EOF"); /* inside a string */
      b.length = complete;
      ps_buf_char(&b, '1');
      for (int depth = 0; depth < 128; depth++) ps_buf_char(&b, ']');
      assert_true(accepts(b.data, b.length));
      ps_buf_dispose(&b);
    }
  }
}

/* ---- What comes out */

static void numbers_keep_their_type_and_text(void **state) {
  (void)state;
  const char text[] =
    "[9223372036854775807,-9223372036854775808,9223372036854775808,-0,0,1.0,1e3,-9223372036854775809,10.00]";
  ps_value *v = ps_value_parse(text, strlen(text));
  static const ps_value_type types[] = {PS_INT,    PS_INT,    PS_NUMBER, PS_NUMBER, PS_INT,
                                        PS_NUMBER, PS_NUMBER, PS_NUMBER, PS_NUMBER};
  for (size_t i = 0; i < 9; i++) assert_int_equal(ps_list_get(v, i)->type, types[i]);
  assert_true(ps_int(v, "0") == INT64_MAX && ps_int(v, "1") == INT64_MIN);
  assert_string_equal(ps_str(v, "2"), "9223372036854775808");
  assert_string_equal(ps_str(v, "3"), "-0");
  assert_string_equal(ps_str(v, "8"), "10.00");
  assert_true(ps_double(v, "6") == 1000);
  ps_value_free(v);
}

static void strings_and_keys_have_lengths_and_end_in_nul(void **state) {
  (void)state;
  char text[] = "{\"k\\u0000\\u0000\":\"\\u0000a\\u0000\",\"plain\":\"text\",\"list\":[1,[2]],\"number\":1.50}";
  ps_arena *arena = ps_arena_new(0);
  const ps_value *v = parse_into(arena, text, strlen(text));
  size_t length;
  assert_memory_equal(ps_key(ps_first(v), &length), "k\0\0\0", 4);
  assert_int_equal(length, 3);
  assert_memory_equal(ps_strn(ps_first(v), NULL, &length), "\0a\0\0", 4);
  assert_int_equal(length, 3);
  assert_string_equal(ps_str(v, "plain"), "text");
  assert_string_equal(ps_str(v, "number"), "1.50");
  assert_string_equal(ps_key(ps_get(v, "number"), NULL), "number");
  const char *unnamed[] = {"list.0", "list.1", "list.1.0", NULL};
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(ps_key(ps_get(v, unnamed[i]), &length), "");
    assert_int_equal(length, 0);
  }
  ps_arena_free(arena);
}

static void one_arena_takes_many_texts(void **state) {
  (void)state;
  ps_arena *arena = ps_arena_new(100);
  const ps_value *all[300];
  ps_fault fault = {.kind = PS_ERROR_NONE};
  for (int i = 0; i < 300; i++) {
    char text[100];
    int length = snprintf(text, sizeof text, "{\"number\":%d,\"list\":[\"%d\",{\"key\":null}]}", i, i);
    all[i] = ps_json_parse(arena, text, (size_t)length, &fault);
  }
  for (int i = 0; i < 300; i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    assert_int_equal(ps_int(all[i], "number"), i);
    assert_string_equal(ps_str(all[i], "list.0"), number);
    assert_null(ps_next(all[i]));
  }
  ps_arena_free(arena);
}

/* ---- What is said */

/* ---- Fields */

/* What is left of `text`, as text to be freed; NULL: refused. */
static char *read_fields(const char *text, size_t length, const char *fields, ps_fault *fault) {
  ps_value *wanted = ps_value_parse(fields, strlen(fields));
  ps_arena *arena = ps_arena_new(0);
  char *copy = malloc(length + 1);
  memcpy(copy, text, length);
  *fault = (ps_fault){.kind = PS_ERROR_NONE};
  const ps_value *v = ps_json_parse_fields(arena, copy, length, wanted, fault);
  free(copy);
  ps_value_free(wanted);
  char *left = v ? ps_json(v, NULL) : NULL;
  ps_arena_free(arena);
  return left;
}

static void only_wanted_fields_of_items_are_built(void **state) {
  (void)state;
  static const char *const rows[][3] = {
    /* of items; the list itself stays, whatever the order of its keys */
    {"{\"a\":true}", "{\"x\":{\"y\":[1]},\"data\":[{\"a\":1,\"b\":2},{\"b\":[{}],\"a\":null},{}],\"has_more\":true}",
     "{\"x\":{\"y\":[1]},\"data\":[{\"a\":1},{\"a\":null},{}],\"has_more\":true}"},
    {"{\"a\":true}", "{\"a\":1,\"b\":{\"c\":2}}", "{\"a\":1,\"b\":{\"c\":2}}"},
    {"{\"a\":true}", "[{\"a\":1,\"b\":2},{\"b\":3}]", "[{\"a\":1},{}]"},
    {"{\"a\":true}", "{\"data\":\"text\",\"b\":5}", "{\"data\":\"text\",\"b\":5}"},
    /* nested, through lists, and where a value is no map */
    {"{\"a\":{\"b\":true}}",
     "{\"data\":[{\"a\":{\"b\":{\"c\":1},\"d\":2}},{\"a\":5},{\"a\":[{\"b\":1,\"c\":2},[{\"c\":3}]]}]}",
     "{\"data\":[{\"a\":{\"b\":{\"c\":1}}},{\"a\":5},{\"a\":[{\"b\":1},[{}]]}]}"},
    /* what objects and pages are known by; items of nested pages, spelt in both ways */
    {"{\"a\":{\"b\":true}}",
     "{\"data\":[{\"id\":1,\"object\":2,\"url\":3,\"idd\":4,\"a\":{\"has_more\":true,\"data\":[{\"b\":5,\"c\":6}],"
     "\"q\":7}}]}",
     "{\"data\":[{\"id\":1,\"object\":2,\"url\":3,\"a\":{\"has_more\":true,\"data\":[{\"b\":5}]}}]}"},
    {"{\"a\":{\"data\":{\"b\":true}}}", "{\"data\":[{\"a\":{\"data\":[{\"b\":5,\"c\":6}],\"total_count\":1}}]}",
     "{\"data\":[{\"a\":{\"data\":[{\"b\":5}],\"total_count\":1}}]}"},
    {"{\"data\":{\"b\":true}}", "{\"data\":[{\"b\":5,\"c\":6}]}", "{\"data\":[{\"b\":5,\"c\":6}]}"},
    /* the last of a key that comes twice, wanted or not */
    {"{\"a\":{\"b\":true}}", "{\"data\":[{\"a\":{\"b\":1},\"c\":1,\"c\":{\"b\":1},\"a\":{\"c\":3,\"b\":2}}]}",
     "{\"data\":[{\"a\":{\"b\":2}}]}"},
    {"{}", "{\"data\":[{\"\":1,\"a\":{}}]}", "{\"data\":[{}]}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ps_fault fault;
    char *left = read_fields(rows[i][1], strlen(rows[i][1]), rows[i][0], &fault);
    assert_string_equal(fault.message, "");
    assert_string_equal(left, rows[i][2]);
    ps_free(left);
  }
}

/* Passing over a value judges it as building it does. */
static void what_is_not_built_is_checked(void **state) {
  (void)state;
  for (size_t i = 0; i < CASES; i++) {
    ps_buf text = PS_BUF_INIT;
    ps_fault fault;
    ps_buf_str(&text, "{\"data\":[{\"no\":[");
    ps_buf_add(&text, cases[i].text, cases[i].length);
    ps_buf_str(&text, "],\"a\":1}]}");
    bool taken = accepts(text.data, text.length);
    char *left = read_fields(text.data, text.length, "{\"a\":true}", &fault);
    if ((left != NULL) != taken) fail_msg("case %zu: %s: %s", i, cases[i].text, fault.message);
    if (left) assert_string_equal(left, "{\"data\":[{\"a\":1}]}");
    ps_free(left);
    ps_buf_dispose(&text);
  }
}

static void errors_say_where_and_what(void **state) {
  (void)state;
  const struct {
    const char *text, *message;
  } wrong[] = {
    {"", "near line 1, byte 0: the text is empty"},
    {"{\"a\":1,}", "near line 1, byte 8: parse error"},
    {"[1,\n2,\n  x]", "near line 3, byte 3: lexical error: invalid char in json text."},
    {"[1,\n2", "near line 2, byte 1: parse error: premature EOF"},
    {"[\"a\\qb\"]",
     "near line 1, byte 4: lexical error: inside a string, '\\' occurs before a character which it may not."},
    {"{}\n\n x", "near line 3, byte 2: more text behind the value"},
    {"[\n\"\xff\"]", "near line 2, byte 2: a byte that is not UTF-8"},
    {"[1,\v2]", "near line 1, byte 4: a vertical tab or form feed"},
    {"<html>\n", "near line 1, byte 1: lexical error: invalid char in json text."},
    {"\xef\xbb\xbf[}", "near line 1, byte 2: parse error"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_refused(wrong[i].text, strlen(wrong[i].text), wrong[i].message);
}

static void errors_never_quote_the_text(void **state) {
  (void)state;
  const char *texts[] = {"sk_test_secret", "[\"sk_test_secret", "{\"sk_test_secret\":1,}", "{\"a\":\"sk_test_secret\"]",
                         "[1] sk_test_secret"};
  for (size_t i = 0; i < 5; i++) {
    ps_fault fault;
    assert_null(read_and_write(texts[i], strlen(texts[i]), &fault));
    assert_null(strstr(fault.message, "sk_"));
    assert_null(strstr(fault.message, "secret"));
  }
}

static void a_length_beyond_all_is_refused(void **state) {
  (void)state;
  ps_arena *arena = ps_arena_new(0);
  ps_fault fault = {.kind = PS_ERROR_NONE};
  char text[4] = "[1]";
  assert_null(ps_json_parse(arena, text, SIZE_MAX, &fault)); /* looks at no byte beyond the first three */
  assert_non_null(strstr(fault.message, "longer than 2 GiB"));
  ps_arena_free(arena);
}

/* ---- Writing */

static void every_character_is_written_as_json(void **state) {
  (void)state;
  for (int c = 0; c < 0x80; c++) {
    char s[3] = {'<', (char)c, '>'}, *text;
    ps_value *v = ps_value_new(), *again;
    ps_value_set_strn(ps_map_setn(v, s, 3), s, 3);
    size_t length;
    text = ps_json(v, &length);
    assert_int_equal(strlen(text), length);
    assert_true(judge(text, length));
    for (size_t i = 0; i < length; i++) assert_true((unsigned char)text[i] >= 0x20);
    again = ps_value_parse(text, length);
    assert_true(ps_value_equal(v, again));
    ps_free(text);
    ps_value_free(again);
    ps_value_free(v);
  }
}

static void bytes_that_are_not_utf8_are_replaced(void **state) {
  (void)state;
  const struct {
    const char *bytes, *written;
  } strings[] = {{"\xff", "\"\xef\xbf\xbd\""},
                 {"a\xc3", "\"a\xef\xbf\xbd\""},
                 {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
                 {"\x80\"\n\xc3\xbc\xfe", "\"\xef\xbf\xbd\\\"\\n\xc3\xbc\xef\xbf\xbd\""}};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
    ps_value *v = ps_value_new();
    ps_value_set_str(v, strings[i].bytes);
    assert_json_is(v, strings[i].written);
    ps_value_set_map(v);
    ps_map_set(ps_list_add(ps_map_set(v, "list")), strings[i].bytes);
    char expected[200], *text = ps_json(v, NULL);
    snprintf(expected, sizeof expected, "{\"list\":[{%s:null}]}", strings[i].written);
    assert_string_equal(text, expected);
    assert_true(judge(text, strlen(text)));
    ps_free(text);
    ps_value_free(v);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_case_is_taken_or_refused),
    cmocka_unit_test(every_value_survives_its_own_text),
    cmocka_unit_test(every_cut_is_noticed),
    cmocka_unit_test(the_judge_agrees_on_the_cases),
    cmocka_unit_test(random_edits_are_judged_alike),
    cmocka_unit_test(the_published_suite_passes),
    cmocka_unit_test(depth_128_is_taken_and_129_is_not),
    cmocka_unit_test(duplicates_in_maps_of_any_size),
    cmocka_unit_test(keys_that_begin_alike_stay_apart),
    cmocka_unit_test(hostile_keys_cost_no_more),
    cmocka_unit_test(yajl_always_has_memory),
    cmocka_unit_test(numbers_keep_their_type_and_text),
    cmocka_unit_test(strings_and_keys_have_lengths_and_end_in_nul),
    cmocka_unit_test(one_arena_takes_many_texts),
    cmocka_unit_test(only_wanted_fields_of_items_are_built),
    cmocka_unit_test(what_is_not_built_is_checked),
    cmocka_unit_test(errors_say_where_and_what),
    cmocka_unit_test(errors_never_quote_the_text),
    cmocka_unit_test(a_length_beyond_all_is_refused),
    cmocka_unit_test(every_character_is_written_as_json),
    cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
