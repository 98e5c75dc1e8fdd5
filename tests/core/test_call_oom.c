/* Whole calls, page by page and cursor by cursor, with every allocation failing in turn. What may come of it is the right
 * result, or the memory error with the right outcome: never a crash, a leak, a request that lacks something, an iterator
 * that ends early, or an item given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "drive.h"
#include "oom.h"

static stage s;

/* A client with everything that a client copies. */
static ps_client *full_client(const ps_transport *transport) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  ps_value *headers = ps_params("X-Shop", "6735", NULL), *app = ps_params("name", "shop", "version", "1", NULL);
  options.headers = headers;
  options.app_info = app;
  options.stripe_version = "2024-06-20";
  options.transport = transport;
  ps_client *client = drive_client(DRIVE_KEY, &options);
  ps_value_free(headers);
  ps_value_free(app);
  return client;
}

static char account[700] = "acct_1";

/* The options of a call, all of them; the headers are to be freed. */
static ps_call_options full_options(ps_value **headers) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  *headers = ps_params("X-Call", "c", NULL);
  options.headers = *headers;
  options.api_key = "sk_test_CALLS_own";
  options.stripe_account = account;
  options.stripe_context = "ctx_1";
  options.idempotency_key = "key-1";
  return options;
}

/* ---- What was sent ---- */

/* Boundaries and keys are random: they become all alike. */
static void even_out(char *text, size_t length) {
  for (char *p = text; (p = memmem(p, length - (size_t)(p - text), "pinstripe-", 10)); p += 10) {
    if (strspn(p + 10, "0123456789abcdef") >= 32) memset(p + 10, 'x', 32);
  }
  char *key = strstr(text, "Idempotency-Key: ");
  if (key && strcspn(key, "\n") == 17 + 36) memset(key + 17, 'x', 36);
}

static void check_sent(sent *got, sent *expected, bool headers_only) {
  even_out(got->headers, strlen(got->headers));
  even_out(got->body, got->body_length);
  if (!*expected->method) *expected = *got;
  assert_string_equal(got->headers, expected->headers);
  if (headers_only) return;
  assert_string_equal(got->method, expected->method);
  assert_string_equal(got->url, expected->url);
  assert_int_equal(got->announced, expected->announced);
  assert_int_equal(got->body_length, expected->body_length);
  assert_memory_equal(got->body, expected->body, got->body_length);
}

/* ---- Calls ---- */

typedef struct {
  const char *operation, *method, *path, *id; /* operation, or method and path */
  ps_value *(*params)(void);
  const reply *replies;
  size_t reply_count;
  void (*check)(const ps_result *r);
  sent expected; /* the first request of the first run */
} scenario;

static bool memory_error(const ps_result *r, bool failing) {
  if (ps_error_kind(r) != PS_ERROR_MEMORY) return false;
  assert_true(failing);
  assert_false(ps_result_ok(r));
  assert_string_equal(ps_error_message(r), "no memory");
  return true;
}

/* Of a call that ran out of memory, nothing is claimed that is not so. */
static void check_claim(const ps_result *r, const scenario *c) {
  bool last = s.sends == c->reply_count, good = last && c->replies[s.sends - 1].status < 300;
  assert_int_equal(ps_result_attempts(r), s.sends);
  assert_true((ps_error_outcome(r) == PS_OUTCOME_NOT_SENT) == (s.sends == 0));
  if (s.sends) assert_string_equal(ps_result_idempotency_key(r), "key-1");
  if (good) assert_int_equal(ps_error_outcome(r), PS_OUTCOME_UNKNOWN);
}

static ps_exchange *make(ps_client *client, const scenario *c, const ps_value *params, const ps_call_options *options) {
  const char *ids[] = {c->id, NULL};
  if (c->operation) return ps_exchange_new(client, c->operation, ids, params, options);
  return ps_exchange_new_request(client, c->method, c->path, params, options);
}

static void run_call(void *context, bool failing) {
  scenario *c = context;
  ps_value *params = c->params ? c->params() : NULL, *headers;
  ps_client *client = full_client(NULL);
  ps_call_options options = full_options(&headers);
  s = (stage){.replies = c->replies, .reply_count = c->reply_count};
  ps_result *r = drive_call(&s, make(client, c, params, &options));
  for (size_t i = 0; i < s.sends; i++) check_sent(&s.sent[i], &c->expected, false);
  if (memory_error(r, failing)) check_claim(r, c);
  else c->check(r);
  ps_result_free(r);
  ps_client_free(client);
  ps_value_free(params);
  ps_value_free(headers);
}

static void fail_each(scenario *c) {
  run_call(c, false);
  assert_int_equal(s.sends, c->reply_count);
  assert_true(oom_each(run_call, c) > 10);
}

static ps_value *nested_params(void) {
  ps_value *params =
    ps_params("email", "jenny@example.com", "metadata[order]", "6735", "expand[]", "a", "expand[]", "b", NULL);
  ps_value *address = ps_map_set(params, "address");
  ps_value_set_null(ps_map_set(address, "line2"));
  ps_value_set_double(ps_map_set(address, "x"), 0.25);
  ps_value_set_number(ps_map_set(address, "y"), "12345678901234567890.5");
  for (int i = 0; i < 40; i++) ps_value_set_int(ps_list_add(ps_map_set(params, "numbers")), i);
  return params;
}

static void check_customer(const ps_result *r) {
  assert_string_equal(ps_error_message(r), "");
  assert_string_equal(ps_str(ps_data(r), "id"), "cus_1");
  assert_int_equal(ps_count(ps_get(ps_data(r), "list")), 3);
  assert_int_equal(ps_result_status(r), 200);
  assert_int_equal(ps_result_attempts(r), 3);
  assert_string_equal(ps_result_request_id(r), "req_3");
  assert_string_equal(ps_result_header(r, "x-last"), "yes");
  assert_string_equal(ps_result_idempotency_key(r), "key-1");
  assert_non_null(strstr(ps_result_body(r, NULL), "\"cus_1\""));
  assert_string_equal(ps_type_name(ps_result_type(r)), "customer");
}

static void a_retried_call_is_right_or_says_no_memory(void **state) {
  (void)state;
  const reply replies[] = {
    {503, "Request-Id: req_1\nStripe-Notice: busy", "{\"error\":{\"message\":\"busy\"}}", 0, 0},
    {0, NULL, NULL, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN},
    {200, "Request-Id: req_3\nX-A: a\nX-B: b\nX-Last: yes",
     "{\"id\":\"cus_1\",\"object\":\"customer\",\"list\":[1,\"two\",3.0]}", 0, 0},
  };
  scenario c = {.operation = PS_CUSTOMERS_UPDATE,
                .id = "cus_1",
                .params = nested_params,
                .replies = replies,
                .reply_count = 3,
                .check = check_customer};
  fail_each(&c);
}

static void check_kept(const ps_result *r) {
  const ps_origin *o = &r->origin;
  assert_string_equal(ps_error_message(r), "");
  assert_string_equal(ps_result_header(r, "X-Last"), "yes");
  assert_string_equal(ps_result_idempotency_key(r), "key-1");
  assert_string_equal(o->path, "/v1/balance");
  assert_string_equal(o->options.api_key, "sk_test_CALLS_own");
  assert_string_equal(o->options.stripe_account, account);
  assert_string_equal(o->options.stripe_context, "ctx_1");
  assert_string_equal(ps_str(o->headers, "X-Call"), "c");
}

/* Wherever a block of memory ends: the result keeps all or is none. */
static void a_result_keeps_its_headers_and_options_or_says_no_memory(void **state) {
  (void)state;
  for (int padding = 1; padding < 80; padding++) {
    char headers[500];
    snprintf(headers, sizeof headers, "X-Padding: %0*d\nX-Last: yes", 4 * padding, 0);
    snprintf(account, sizeof account, "acct_%0*d", 8 * padding, 0);
    const reply row = {200, headers, "{}", 0, 0};
    scenario c = {.operation = PS_BALANCE_RETRIEVE, .replies = &row, .reply_count = 1, .check = check_kept};
    fail_each(&c);
  }
  snprintf(account, sizeof account, "acct_1");
}

static void check_decline(const ps_result *r) {
  assert_int_equal(ps_error_kind(r), PS_ERROR_CARD);
  assert_int_equal(ps_error_outcome(r), PS_OUTCOME_REJECTED);
  assert_string_equal(ps_error_message(r), "declined");
  assert_string_equal(ps_error_code(r), "card_declined");
  assert_string_equal(ps_error_field(r, "decline_code"), "fraudulent");
  assert_string_equal(ps_result_request_id(r), "req_402");
  assert_string_equal(ps_result_idempotency_key(r), "key-1");
}

static void an_error_reply_is_right_or_says_no_memory(void **state) {
  (void)state;
  const reply declined = {402, "Request-Id: req_402",
                          "{\"error\":{\"type\":\"card_error\",\"code\":\"card_declined\",\"decline_code\":"
                          "\"fraudulent\",\"message\":\"declined\"}}",
                          0, 0};
  scenario c = {.operation = PS_CHARGES_CREATE,
                .params = nested_params,
                .replies = &declined,
                .reply_count = 1,
                .check = check_decline};
  fail_each(&c);
}

static ps_value *account_params(void) {
  ps_value *params = ps_params("display_name", "x", "contact_email", "a@example.com", NULL);
  ps_value_set_list(ps_map_set(params, "include"));
  return params;
}

static void check_id(const ps_result *r) {
  assert_string_equal(ps_error_message(r), "");
  assert_string_equal(ps_str(ps_data(r), "id"), "x_1");
}

static const reply x_1 = {200, "Request-Id: req_1", "{\"id\":\"x_1\"}", 0, 0};

static void a_v2_call_is_right_or_says_no_memory(void **state) {
  (void)state;
  scenario c = {.operation = PS_V2_CORE_ACCOUNTS_CREATE,
                .params = account_params,
                .replies = &x_1,
                .reply_count = 1,
                .check = check_id};
  fail_each(&c);
}

static ps_value *query_params(void) { return ps_params("limit", "2", "expand[]", "b", NULL); }

static void a_raw_request_is_right_or_says_no_memory(void **state) {
  (void)state;
  scenario c = {.method = "GET",
                .path = "/v1/charges?limit=5&expand[]=a&created%5Bgte%5D=1",
                .params = query_params,
                .replies = &x_1,
                .reply_count = 1,
                .check = check_id};
  fail_each(&c);
  assert_non_null(strstr(c.expected.url, "?limit=2&expand[0]=a&expand[1]=b&created[gte]=1"));
  c = (scenario){.method = "POST",
                 .path = "/v1/things?limit=5&expand[]=a&created%5Bgte%5D=1",
                 .params = query_params,
                 .replies = &x_1,
                 .reply_count = 1,
                 .check = check_id};
  fail_each(&c);
  assert_non_null(strstr(c.expected.url, "/v1/things?created[gte]=1"));
  assert_string_equal(c.expected.body, "limit=2&expand[0]=a&expand[1]=b");
}

static char file_path[600];

static ps_value *upload_params(void) {
  ps_value *params = ps_params("purpose", "dispute_evidence", "file[path]", file_path, NULL);
  ps_value_set_bool(ps_map_set(ps_map_set(params, "file_link_data"), "create"), true);
  return params;
}

static ps_value *content_params(void) {
  ps_value *params = ps_params("purpose", "dispute_evidence", "file[filename]", "a.bin", NULL);
  char bytes[700];
  memset(bytes, 'z', sizeof bytes);
  ps_value_set_strn(ps_map_set(ps_map_set(params, "file"), "content"), bytes, sizeof bytes);
  return params;
}

static void an_upload_is_right_or_says_no_memory(void **state) {
  (void)state;
  const reply replies[] = {{500, NULL, "{}", 0, 0}, x_1};
  int lowest = dup(0);
  close(lowest);
  snprintf(file_path, sizeof file_path, "%s/oom-upload-%d", PS_BUILD_DIR, (int)getpid());
  FILE *f = fopen(file_path, "wb");
  assert_non_null(f);
  for (int i = 0; i < 100; i++) fprintf(f, "line %d\n", i);
  fclose(f);
  scenario c = {
    .operation = PS_FILES_CREATE, .params = upload_params, .replies = replies, .reply_count = 2, .check = check_id};
  fail_each(&c);
  unlink(file_path);
  scenario d = {
    .operation = PS_FILES_CREATE, .params = content_params, .replies = replies, .reply_count = 2, .check = check_id};
  fail_each(&d);
  assert_int_equal(dup(0), lowest); /* no file was left open */
  close(lowest);
}

/* ---- Pages ---- */

#define PAGE(more, items)                                                                                              \
  { 200, NULL, "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":" more ",\"data\":[" items "]}", 0, 0 }
#define ITEM(number) "{\"id\":\"ch_" number "\"}"

/* What follows ch_2, ch_3, ... */
static const reply pages[] = {
  PAGE("false", ITEM("1")),
  PAGE("false", ITEM("2") "," ITEM("1")),
  PAGE("true", ITEM("3") "," ITEM("2")),
  PAGE("true", ITEM("4") "," ITEM("3")),
  PAGE("true", ITEM("5") "," ITEM("4")),
};

/* The server of the pages above: what is asked for decides. */
static const reply *list_charges(const sent *request) {
  static const char url[] = "https://api.stripe.com/v1/charges?customer=cus_1&limit=100";
  int after = 6;
  const char *rest = request->url + strlen(url);
  bool known =
    strncmp(request->url, url, strlen(url)) == 0 && (!*rest || sscanf(rest, "&starting_after=ch_%d", &after) == 1);
  if (!known || after < 2) fail_msg("unexpected: %s", request->url);
  return &pages[after - 2];
}

static const reply v2_pages[] = {
  {200, NULL, "{\"data\":[{\"id\":\"ch_5\"},{\"id\":\"ch_4\"}],\"next_page_url\":\"/v2/new/search?page=2\"}", 0, 0},
  {200, NULL, "{\"data\":[],\"next_page_url\":\"/v2/new/search?page=3\"}", 0, 0},
  {200, NULL, "{\"data\":[{\"id\":\"ch_3\"},{\"id\":\"ch_2\"},{\"id\":\"ch_1\"}],\"next_page_url\":null}", 0, 0},
};

static const reply *search_v2(const sent *request) {
  static const char *const urls[] = {"https://api.stripe.com/v2/new/search",
                                     "https://api.stripe.com/v2/new/search?page=2",
                                     "https://api.stripe.com/v2/new/search?page=3"};
  size_t i = 0;
  while (i < 3 && strcmp(request->url, urls[i]) != 0) i++;
  if (i == 3) fail_msg("unexpected: %s", request->url);
  assert_string_equal(request->body, "{\"query\":\"x\"}");
  assert_string_equal(request->method, "POST");
  return &v2_pages[i];
}

/* Takes all that is left, `given` items having been taken before. Memory is there again after the first error, which must
 * be an end only if there was none for the iterator itself. */
static int take_rest(ps_iter *it, int given, bool failing, sent *expected) {
  bool failed = false;
  for (;;) {
    size_t before = s.sends;
    const ps_value *item = drive_next(&s, it);
    if (s.sends > before && s.sends <= MOST_SENT) check_sent(&s.sent[s.sends - 1], expected, true);
    if (item) {
      char id[20];
      snprintf(id, sizeof id, "ch_%d", 5 - given++);
      assert_string_equal(ps_str(item, "id"), id);
    } else if (ps_result_ok(ps_iter_result(it))) {
      assert_int_equal(given, 5);
      return given;
    } else {
      assert_true(memory_error(ps_iter_result(it), failing));
      oom_stop();
      if (failed) return given; /* for good */
      failed = true;
    }
  }
}

static ps_iter *begin_charges(ps_client *client) {
  ps_value *headers, *params = ps_params("customer", "cus_1", NULL);
  ps_call_options options = full_options(&headers);
  ps_iter *it = ps_iter_new(client, PS_CHARGES_LIST, NULL, params, &options);
  ps_value_free(params);
  ps_value_free(headers);
  return it;
}

static void run_list(void *context, bool failing) {
  s = (stage){.choose = list_charges};
  ps_client *client = full_client(NULL);
  ps_iter *it = begin_charges(client);
  ps_client_free(client);
  int given = take_rest(it, 0, failing, context);
  if (given != 5) assert_int_equal(given, 0); /* there never was an iterator */
  if (!failing) assert_int_equal(s.sends, 3);
  ps_iter_free(it);
}

static void a_list_is_whole_or_says_no_memory(void **state) {
  (void)state;
  for (int length = 440; length < 500; length += 4) {
    snprintf(account, sizeof account, "%0*d", length, 0);
    sent expected = {.method = ""};
    run_list(&expected, false);
    assert_true(oom_each(run_list, &expected) > 50);
  }
  snprintf(account, sizeof account, "acct_1");
}

typedef struct {
  int take;             /* so many items before the cursor */
  bool search, stubbed; /* what the page to go on from is */
  sent expected;        /* its first request */
} variant;

/* A cursor after each count of items: none, or one that leads to the rest. */
static void run_cursor(void *context, bool failing) {
  variant *v = context;
  int take = v->take, given = 0;
  s = (stage){.choose = list_charges};
  ps_client *client = full_client(NULL);
  ps_iter *it = begin_charges(client);
  while (given < take && drive_next(&s, it)) given++;
  char *cursor = given == take ? ps_iter_cursor(it) : NULL;
  if (!failing) assert_non_null(cursor);
  ps_iter_free(it);
  it = cursor ? ps_iter_resume(client, cursor) : NULL;
  if (it) given = take_rest(it, given, failing, &v->expected);
  if (it && given != 5) assert_int_equal(given, take);
  ps_iter_free(it);
  ps_free(cursor);
  ps_client_free(client);
}

static void a_cursor_leads_to_the_rest_or_says_no_memory(void **state) {
  (void)state;
  for (int take = 0; take <= 5; take++) {
    variant v = {.take = take};
    run_cursor(&v, false);
    assert_true(oom_each(run_cursor, &v) > 50);
  }
}

/* From the first page of a call, by way of a stub or not. */
static void run_from_page(void *context, bool failing) {
  variant *v = context;
  bool search = v->search;
  ps_client *client = full_client(NULL);
  ps_value *headers, *params = ps_params(search ? "query" : "customer", search ? "x" : "cus_1", NULL);
  ps_call_options options = full_options(&headers);
  s = (stage){.choose = search ? search_v2 : list_charges};
  if (!search) ps_value_set_int(ps_map_set(params, "limit"), 100);
  options.idempotency_key = NULL;
  ps_exchange *x = search ? ps_exchange_new_request(client, "POST", "/v2/new/search", params, &options)
                          : ps_exchange_new(client, PS_CHARGES_LIST, NULL, params, &options);
  ps_result *r = drive_call(&s, x), *stub = v->stubbed ? ps_result_stub(r, ps_data(r)) : NULL;
  ps_iter *it = ps_iter_from(client, stub ? stub : r, NULL);
  ps_result_free(r);
  ps_result_free(stub);
  int given = take_rest(it, 0, failing, &v->expected);
  if (given != 5 && failing) assert_in_range(given, 0, 2);
  ps_iter_free(it);
  ps_client_free(client);
  ps_value_free(params);
  ps_value_free(headers);
}

static void what_follows_a_page_is_whole_or_says_no_memory(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    variant v = {.search = i & 1, .stubbed = i & 2};
    run_from_page(&v, false);
    assert_true(oom_each(run_from_page, &v) > 50);
  }
}

/* ---- Through a client's own transport ---- */

static void send_scripted(void *context, const ps_http_request *request, ps_http_response *response) {
  (void)context;
  sent *to = &s.sent[s.sends < MOST_SENT ? s.sends : MOST_SENT - 1];
  drive_write_down(to, request);
  assert_true(drive_read_body(to, request->body));
  drive_answer(response, s.choose ? s.choose(to) : &s.replies[s.sends]);
  s.sends++;
}

static void do_not_sleep(void *context, int64_t ms) {
  (void)context;
  drive_now += ms;
}

static const ps_transport transport = {send_scripted, do_not_sleep, NULL};

static void run_blocking_call(void *context, bool failing) {
  scenario *c = context;
  ps_value *params = nested_params(), *headers;
  ps_client *client = full_client(&transport);
  ps_call_options options = full_options(&headers);
  s = (stage){.replies = c->replies, .reply_count = c->reply_count};
  ps_result *r = ps_call(client, PS_CUSTOMERS_CREATE, NULL, params, &options);
  for (size_t i = 0; i < s.sends; i++) check_sent(&s.sent[i], &c->expected, false);
  if (!memory_error(r, failing)) check_id(r);
  else if (s.sends) assert_int_not_equal(ps_error_outcome(r), PS_OUTCOME_NOT_SENT);
  ps_result_free(r);
  ps_client_free(client);
  ps_value_free(params);
  ps_value_free(headers);
}

static void a_blocking_call_is_right_or_says_no_memory(void **state) {
  (void)state;
  const reply replies[] = {{503, NULL, "{}", 0, 0}, x_1};
  scenario c = {.replies = replies, .reply_count = 2};
  assert_true(oom_each(run_blocking_call, &c) > 20);
}

static void run_blocking_list(void *context, bool failing) {
  (void)context;
  s = (stage){.choose = list_charges};
  ps_client *client = full_client(&transport);
  ps_iter *it = begin_charges(client);
  ps_client_free(client);
  int given = 0, errors = 0;
  while (errors < 2) {
    const ps_value *item = ps_iter_next(it);
    if (item) given++;
    else if (ps_result_ok(ps_iter_result(it))) break;
    else assert_true(memory_error(ps_iter_result(it), failing) && ++errors);
    if (!item) oom_stop();
  }
  if (errors < 2) assert_int_equal(given, 5);
  else assert_int_equal(given, 0);
  ps_iter_free(it);
}

static void a_blocking_list_is_whole_or_says_no_memory(void **state) {
  (void)state;
  assert_true(oom_each(run_blocking_list, NULL) > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_retried_call_is_right_or_says_no_memory),
    cmocka_unit_test(a_result_keeps_its_headers_and_options_or_says_no_memory),
    cmocka_unit_test(an_error_reply_is_right_or_says_no_memory),
    cmocka_unit_test(a_v2_call_is_right_or_says_no_memory),
    cmocka_unit_test(a_raw_request_is_right_or_says_no_memory),
    cmocka_unit_test(an_upload_is_right_or_says_no_memory),
    cmocka_unit_test(a_list_is_whole_or_says_no_memory),
    cmocka_unit_test(a_cursor_leads_to_the_rest_or_says_no_memory),
    cmocka_unit_test(what_follows_a_page_is_whole_or_says_no_memory),
    cmocka_unit_test(a_blocking_call_is_right_or_says_no_memory),
    cmocka_unit_test(a_blocking_list_is_whole_or_says_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
