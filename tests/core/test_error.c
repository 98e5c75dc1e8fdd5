/* Faults, redaction, nearest words, and the kind of every error reply (WIRE: Errors), against the table's own list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

/* ---- Redaction ---- */

static void check_redacted(const char *text, const char *expected) {
  char copy[600];
  snprintf(copy, sizeof copy, "%s", text);
  ps_redact(copy);
  assert_string_equal(copy, expected);
  ps_redact(copy);
  assert_string_equal(copy, expected); /* what is redacted stays as it is */
}

static void every_secret_is_starred_but_for_its_end(void **state) {
  (void)state;
  static const char *const prefixes[] = {
    "sk_test_", "sk_live_", "rk_test_",     "rk_live_", "pk_test_",
    "pk_live_", "sk_",      "rk_",          "pk_",      "ek_",
    "ek_test_", "whsec_",   "pi_1_secret_", "rt_",      "https://files.stripe.com/links/"};
  static const char *const frames[][2] = {{"", ""}, {"key ", " was used"}, {"\"", "\""}, {"(", ")."}, {"a=", "&b=1"}};
  for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
    for (size_t f = 0; f < sizeof frames / sizeof *frames; f++) {
      char text[100], expected[100];
      snprintf(text, sizeof text, "%s%s51AbcDEF0123%s", frames[f][0], prefixes[p], frames[f][1]);
      snprintf(expected, sizeof expected, "%s%s********0123%s", frames[f][0], prefixes[p], frames[f][1]);
      check_redacted(text, expected);
    }
  }
}

static void a_password_in_an_address_is_starred(void **state) {
  (void)state;
  check_redacted("no proxy 'http://ann:p@ss@h:1'.", "no proxy 'http://********@h:1'.");
  check_redacted("https://a.b/c?d=e@f and https://a.b d@e", "https://a.b/c?d=e@f and https://a.b d@e");
}

static void a_short_secret_is_starred_whole(void **state) {
  (void)state;
  check_redacted("sk_test_abcdefghijk", "sk_test_***********");
  check_redacted("sk_test_abcdefghijkl", "sk_test_********ijkl");
  check_redacted("sk_a", "sk_*");
  check_redacted("sk_", "sk_");
  check_redacted("whsec_x y", "whsec_* y");
  check_redacted("/links/abc is not", "/links/*** is not");
}

static void a_token_in_broken_json_is_starred(void **state) {
  (void)state;
  check_redacted("{\"authentication_token\": \"abcdefghijklmnop\", \"id",
                 "{\"authentication_token\": \"************mnop\", \"id");
  check_redacted("{\"access_token\":\"abcdefgh", "{\"access_token\":\"********");
  check_redacted("{\"access_token\":", "{\"access_token\":");
  check_redacted("the token \"abcdefghijkl\"", "the token \"abcdefghijkl\"");
}

static void check_known(const char *text, const char *secret, const char *expected) {
  char copy[100];
  snprintf(copy, sizeof copy, "%s", text);
  ps_redact_known(copy, secret);
  assert_string_equal(copy, expected);
}

static void what_is_known_to_be_a_secret_is_starred(void **state) {
  (void)state;
  check_known("Bearer token_0123456789 or token_0123456789.", "token_0123456789",
              "Bearer ************6789 or ************6789.");
  check_known("a token_01 here", "token_01", "a ******** here");
  check_known("cut: token_012345", "token_0123456789", "cut: ************");
  check_known("cut: token_0", "token_0123456789", "cut: token_0");
  check_known("not: token_0123 x", "token_0123456789", "not: token_0123 x");
  check_known("a short one", "short", "a short one");
  check_known("none", "", "none");
  check_known("none", NULL, "none");
}

static void a_link_is_starred_to_its_end(void **state) {
  (void)state;
  check_redacted("/links/MDB8%7Cab.cd-ef~0123?x=1", "/links/****************0123?x=1");
  check_redacted("/v1/file_links/link_123456789012", "/v1/file_links/link_123456789012");
  check_redacted("start_abcdefgh and cart_abcdefgh", "start_abcdefgh and cart_abcdefgh");
}

static void several_secrets_are_all_starred(void **state) {
  (void)state;
  check_redacted("sk_test_abcdefghijkl,rk_live_abcdefghijkl whsec_abcdefghijkl",
                 "sk_test_********ijkl,rk_live_********ijkl whsec_********ijkl");
  check_redacted("{\"k\":\"a\\nsk_live_abcdefghijkl\"}", "{\"k\":\"a\\nsk_live_********ijkl\"}");
  check_redacted("x%20sk_test_abcdefghijkl%22", "x%20sk_test_********ijkl%22");
  check_redacted("seti_1abc_secret_abcdefghijklmnop.", "seti_1abc_secret_************mnop.");
}

static void other_words_are_left_alone(void **state) {
  (void)state;
  static const char *const words[] = {"task_list", "risk_score", "desk_1234567890123456",
                                      "_sk_x",     "1sk_x",      "sk",
                                      "",          "SK_TEST_1",  "acct_1sk_a",
                                      "work_item", "leek_soup",  "secret_key",
                                      "a secret"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) check_redacted(words[i], words[i]);
}

static void what_a_server_has_starred_stays_but_hides_nothing_else(void **state) {
  (void)state;
  check_redacted("Invalid API Key provided: sk_test_*****cdef", "Invalid API Key provided: sk_test_*****cdef");
  check_redacted("sk_test_abcd****************wxyz", "sk_test_abcd****************wxyz");
  check_redacted("**sk_live_abcdefghijklmnop**", "**sk_live_**************op**");
}

/* ---- Faults ---- */

static void the_first_fault_stays(void **state) {
  (void)state;
  ps_fault f = {.kind = PS_ERROR_NONE};
  ps_fault_set(&f, PS_ERROR_TLS, "certificate %d of %s", 2, "host");
  f.outcome = PS_OUTCOME_UNKNOWN;
  ps_fault_set(&f, PS_ERROR_USAGE, "another");
  ps_fault_memory(&f);
  assert_int_equal(f.kind, PS_ERROR_TLS);
  assert_int_equal(f.outcome, PS_OUTCOME_UNKNOWN);
  assert_string_equal(f.message, "certificate 2 of host");
  ps_fault m = {.kind = PS_ERROR_NONE, .outcome = PS_OUTCOME_UNKNOWN};
  ps_fault_memory(&m);
  assert_int_equal(m.kind, PS_ERROR_MEMORY);
  assert_int_equal(m.outcome, PS_OUTCOME_NOT_SENT);
}

static const char *message_of(const char *text) {
  static ps_fault f;
  f = (ps_fault){.kind = PS_ERROR_NONE};
  ps_fault_set(&f, PS_ERROR_API, "%s", text);
  return f.message;
}

static void a_message_is_one_line_without_secrets(void **state) {
  (void)state;
  assert_string_equal(message_of("a\r\nb\tc\x1b[31m\x7f"), "a  b c [31m ");
  assert_string_equal(message_of("with sk_live_abcdefghijkl\nin it"), "with sk_live_********ijkl in it");
}

static void a_message_is_cut_at_a_whole_character(void **state) {
  (void)state;
  static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
  const size_t most = sizeof((ps_fault *)0)->message - 1;
  for (size_t c = 0; c < 4; c++) {
    size_t size = strlen(characters[c]);
    for (size_t before = 0; before < 9; before++) {
      char text[600] = {0}, *end = text + before;
      memset(text, '.', before);
      for (; end < text + 560; end += size) memcpy(end, characters[c], size);
      const char *message = message_of(text);
      size_t length = strlen(message);
      assert_true(ps_utf8_valid(message, length));
      assert_int_equal(length, most - (most - before) % size);
      assert_memory_equal(message, text, length);
    }
  }
}

static void a_key_that_is_cut_is_starred(void **state) {
  (void)state;
  char text[600];
  memset(text, ' ', sizeof text);
  memcpy(text + 460, "sk_live_0123456789012345678901234567890", 40);
  assert_string_equal(message_of(text) + 460, "sk_live_***********");
}

static void bytes_that_are_not_utf8_become_question_marks(void **state) {
  (void)state;
  assert_string_equal(message_of("caf\xe9 \xff\xfe ok \xc3\xa9 \xed\xa0\x80."), "caf? ?? ok \xc3\xa9 ???.");
  char text[600];
  memset(text, '\x80', sizeof text);
  text[599] = '\0';
  assert_int_equal(strspn(message_of(text), "?"), 479);
}

/* ---- Nearest words ---- */

static const char *word_of(void *context, size_t index) { return ((const char **)context)[index]; }

static const char *nearest(const char *name) {
  static const char *words[] = {"customer", "currency", "amount", "metadata", "description", "a", NULL};
  return ps_nearest(name, word_of, words);
}

static void the_nearest_word_is_named(void **state) {
  (void)state;
  assert_string_equal(nearest("custmoer"), "customer");
  assert_string_equal(nearest("amount"), "amount");
  assert_string_equal(nearest("ammount"), "amount");
  assert_string_equal(nearest("meta_data"), "metadata");
  assert_string_equal(nearest("b"), "a");
}

static void nothing_is_named_when_nothing_is_near(void **state) {
  (void)state;
  const char *none[] = {NULL};
  char wide[300];
  memset(wide, 'x', sizeof wide - 1);
  wide[299] = '\0';
  char long_name[97]; /* 96 is the longest that is compared */
  memset(long_name, 'x', sizeof long_name - 1);
  long_name[96] = '\0';
  const char *huge[] = {wide, NULL};
  assert_null(nearest("payment_method"));
  assert_null(nearest("desc"));
  assert_null(nearest(wide));
  assert_null(ps_nearest("customer", word_of, none));
  assert_null(ps_nearest("customer", word_of, huge));
  wide[97] = '\0';
  assert_null(ps_nearest(long_name, word_of, huge));
  wide[96] = '\0';
  assert_ptr_equal(ps_nearest(long_name, word_of, huge), wide);
}

/* ---- Kinds ---- */

static void every_kind_has_a_name_and_a_class_of_its_own(void **state) {
  (void)state;
  static const char *const names[] = {
    "none",
#define PS_ERROR(constant, name, class, meaning) name,
#include "errors.def"
#undef PS_ERROR
  };
  const int count = sizeof names / sizeof *names;
  assert_int_equal(PS_ERROR_MEMORY, count - 1);
  assert_string_equal(ps_error_class_name(PS_ERROR_NONE), "");
  for (int i = 0; i < count; i++) {
    assert_string_equal(ps_error_kind_name((ps_error)i), names[i]);
    if (i > 0) assert_non_null(strstr(ps_error_class_name((ps_error)i), "Error"));
    for (int j = 0; j < i; j++) assert_string_not_equal(names[i], names[j]);
  }
  assert_string_equal(ps_error_kind_name((ps_error)count), "");
  assert_string_equal(ps_error_class_name((ps_error)-1), "");
}

static void every_outcome_has_a_name(void **state) {
  (void)state;
  assert_string_equal(ps_outcome_name(PS_OUTCOME_OK), "ok");
  assert_string_equal(ps_outcome_name(PS_OUTCOME_NOT_SENT), "not_sent");
  assert_string_equal(ps_outcome_name(PS_OUTCOME_REJECTED), "rejected");
  assert_string_equal(ps_outcome_name(PS_OUTCOME_UNKNOWN), "unknown");
  assert_string_equal(ps_outcome_name((ps_outcome)4), "");
  assert_string_equal(ps_version(), PS_VERSION);
}

static void a_v1_error_is_told_by_its_status(void **state) {
  (void)state;
  static const struct {
    int status;
    const char *type, *code;
    ps_error kind;
  } rows[] = {
    {400, "invalid_request_error", "", PS_ERROR_INVALID_REQUEST},
    {404, "invalid_request_error", "resource_missing", PS_ERROR_INVALID_REQUEST},
    {400, "", "", PS_ERROR_INVALID_REQUEST},
    {400, "card_error", "card_declined", PS_ERROR_INVALID_REQUEST}, /* the status decides */
    {400, "idempotency_error", "", PS_ERROR_IDEMPOTENCY},
    {404, "idempotency_error", "", PS_ERROR_IDEMPOTENCY},
    {400, "invalid_request_error", "rate_limit", PS_ERROR_RATE_LIMIT},
    {404, "invalid_request_error", "rate_limit", PS_ERROR_INVALID_REQUEST},
    {401, "invalid_request_error", "", PS_ERROR_AUTHENTICATION},
    {402, "card_error", "card_declined", PS_ERROR_CARD},
    {403, "invalid_request_error", "", PS_ERROR_PERMISSION},
    {409, "idempotency_error", "", PS_ERROR_CONFLICT},
    {429, "invalid_request_error", "rate_limit", PS_ERROR_RATE_LIMIT},
    {500, "api_error", "", PS_ERROR_API},
    {503, "", "", PS_ERROR_API},
    {418, "", "", PS_ERROR_API},
    {302, "", "", PS_ERROR_API},
    {100, "", "", PS_ERROR_API},
    {400, "insufficient_funds", "", PS_ERROR_INVALID_REQUEST}, /* a type of v2 means nothing in v1 */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(ps_error_classify(rows[i].status, rows[i].type, rows[i].code, false, false), rows[i].kind);
  }
}

static ps_value *error_lists(void) {
  FILE *f = fopen(PS_SOURCE_DIR "/core/api/errors.json", "rb");
  assert_non_null(f);
  ps_buf text = PS_BUF_INIT;
  for (int c; (c = fgetc(f)) != EOF;) ps_buf_char(&text, (char)c);
  fclose(f);
  ps_value *v = ps_value_parse(ps_buf_text(&text), text.length);
  ps_buf_dispose(&text);
  assert_string_equal(ps_value_error(v), "");
  return v;
}

/* Python's class has the table's name, without the word that only some of them begin with. */
static void every_v2_type_has_its_own_class(void **state) {
  (void)state;
  ps_value *lists = error_lists();
  const ps_value *classes = ps_get(lists, "v2_classes");
  assert_true(ps_count(classes) >= 20);
  for (const ps_value *v = ps_first(classes); v; v = ps_next(v)) {
    const char *class = ps_str(v, NULL);
    if (strncmp(class, "Stripe", 6) == 0) class += 6;
    for (int status = 400; status <= 500; status += 100) {
      ps_error kind = ps_error_classify(status, ps_key(v, NULL), "", true, false);
      assert_string_equal(ps_error_class_name(kind), class);
    }
  }
  ps_value_free(lists);
}

static void a_v2_error_without_a_known_type_is_told_by_its_status(void **state) {
  (void)state;
  assert_int_equal(ps_error_classify(400, "brand_new", "", true, false), PS_ERROR_INVALID_REQUEST);
  assert_int_equal(ps_error_classify(401, "", "", true, false), PS_ERROR_AUTHENTICATION);
  assert_int_equal(ps_error_classify(429, "", "", true, false), PS_ERROR_RATE_LIMIT);
  assert_int_equal(ps_error_classify(500, "api_error", "", true, false), PS_ERROR_API);
  /* Kinds of the library's own are no types that a server could send. */
  assert_int_equal(ps_error_classify(400, "usage", "", true, false), PS_ERROR_INVALID_REQUEST);
  assert_int_equal(ps_error_classify(400, "memory", "", true, false), PS_ERROR_INVALID_REQUEST);
  assert_int_equal(ps_error_classify(400, "none", "", true, false), PS_ERROR_INVALID_REQUEST);
}

static void every_oauth_error_is_one(void **state) {
  (void)state;
  ps_value *lists = error_lists();
  assert_int_equal(ps_count(ps_get(lists, "oauth_classes")), 6);
  ps_value_free(lists);
  static const int statuses[] = {400, 401, 403, 429, 500};
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(ps_error_classify(statuses[i], "", "", false, true), PS_ERROR_OAUTH);
    assert_int_equal(ps_error_classify(statuses[i], "rate_limit", "", true, true), PS_ERROR_OAUTH);
  }
}

/* ---- Log lines ---- */

static void an_event_is_one_line(void **state) {
  (void)state;
  static const struct {
    ps_call_event event;
    const char *line;
  } rows[] = {
    {{PS_EVENT_REQUEST, PS_LOG_DEBUG, "charges.create", "POST", "/v1/charges", 1, 0, 0, "", ""},
     "POST /v1/charges: attempt 1"},
    {{PS_EVENT_RESPONSE, PS_LOG_WARN, "charges.create", "POST", "/v1/charges", 1, 402, 0.21, "req_1", ""},
     "POST /v1/charges: 402 after 210 ms, attempt 1, req_1"},
    {{PS_EVENT_RESPONSE, PS_LOG_WARN, "", "GET", "/v1/x", 3, 0, 1, "", "timeout"},
     "GET /v1/x: no answer (timeout) after 1000 ms, attempt 3"},
    {{PS_EVENT_RETRY, PS_LOG_INFO, "", "GET", "/v1/x", 1, 0, 0.75, "", ""}, "GET /v1/x: again in 750 ms"},
    {{PS_EVENT_NOTICE, PS_LOG_WARN, "", "GET", "/v1/x", 1, 0, 0, "", "use sk_live_abcdefghijkl no more"},
     "GET /v1/x: notice: use sk_live_********ijkl no more"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *line = ps_log_line(&rows[i].event);
    assert_string_equal(line, rows[i].line);
    ps_free(line);
  }
}

static void levels_have_names(void **state) {
  (void)state;
  for (int i = PS_LOG_OFF; i <= PS_LOG_DEBUG; i++) {
    assert_int_equal(ps_log_level_find(ps_log_level_name((ps_log_level)i)), i);
  }
  assert_int_equal(ps_log_level_find("verbose"), PS_LOG_OFF);
  assert_string_equal(ps_log_level_name((ps_log_level)5), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_secret_is_starred_but_for_its_end),
    cmocka_unit_test(a_token_in_broken_json_is_starred),
    cmocka_unit_test(what_is_known_to_be_a_secret_is_starred),
    cmocka_unit_test(a_password_in_an_address_is_starred),
    cmocka_unit_test(a_short_secret_is_starred_whole),
    cmocka_unit_test(a_link_is_starred_to_its_end),
    cmocka_unit_test(several_secrets_are_all_starred),
    cmocka_unit_test(other_words_are_left_alone),
    cmocka_unit_test(what_a_server_has_starred_stays_but_hides_nothing_else),
    cmocka_unit_test(the_first_fault_stays),
    cmocka_unit_test(a_message_is_one_line_without_secrets),
    cmocka_unit_test(a_message_is_cut_at_a_whole_character),
    cmocka_unit_test(a_key_that_is_cut_is_starred),
    cmocka_unit_test(bytes_that_are_not_utf8_become_question_marks),
    cmocka_unit_test(the_nearest_word_is_named),
    cmocka_unit_test(nothing_is_named_when_nothing_is_near),
    cmocka_unit_test(every_kind_has_a_name_and_a_class_of_its_own),
    cmocka_unit_test(every_outcome_has_a_name),
    cmocka_unit_test(a_v1_error_is_told_by_its_status),
    cmocka_unit_test(every_v2_type_has_its_own_class),
    cmocka_unit_test(a_v2_error_without_a_known_type_is_told_by_its_status),
    cmocka_unit_test(every_oauth_error_is_one),
    cmocka_unit_test(an_event_is_one_line),
    cmocka_unit_test(levels_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
