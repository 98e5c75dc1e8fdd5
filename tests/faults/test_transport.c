/* A transport of the caller's own in place of libcurl: it sees what the wire would, and answers as it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#include <cmocka.h>

typedef struct {
  ps_error failure; /* of the first attempts */
  ps_outcome outcome;
  int failures;
  const char *answer;
  int sends;
  char method[8], url[200], key[2][64];
  double timeout, connect_timeout, deadline;
  ps_buf bodies[2];
  int64_t announced;
  int64_t slept[4];
  int sleeps;
} recorder;

static recorder seen;
static ps_client *client;

static const char *header(const ps_http_request *request, const char *name) {
  for (size_t i = 0; i < request->header_count; i++) {
    if (strcmp(request->headers[i].name, name) == 0) return request->headers[i].value;
  }
  return "";
}

static void read_body(ps_buf *out, const ps_body *body) {
  char piece[7];
  ptrdiff_t n;
  while ((n = body->read(body->context, piece, sizeof piece)) > 0) ps_buf_add(out, piece, (size_t)n);
  assert_int_equal(n, 0);
}

static void send_recorded(void *context, const ps_http_request *request, ps_http_response *response) {
  recorder *r = context;
  int at = r->sends < 2 ? r->sends : 1;
  r->sends++;
  snprintf(r->method, sizeof r->method, "%s", request->method);
  snprintf(r->url, sizeof r->url, "%s", request->url);
  snprintf(r->key[at], sizeof r->key[at], "%s", header(request, "Idempotency-Key"));
  r->timeout = request->timeout;
  r->connect_timeout = request->connect_timeout;
  r->deadline = request->deadline;
  if (request->body) {
    r->announced = request->body->length;
    read_body(&r->bodies[at], request->body);
  }
  if (r->sends <= r->failures) {
    if (r->failure != PS_ERROR_NONE) ps_http_response_fail(response, r->failure, r->outcome, "as\nscripted");
    return;
  }
  ps_http_response_status(response, 200);
  ps_http_response_header(response, "Request-Id", "req_transport");
  ps_http_response_write(response, r->answer, strlen(r->answer));
}

static void sleep_recorded(void *context, int64_t ms) {
  recorder *r = context;
  if (r->sleeps < 4) r->slept[r->sleeps++] = ms;
}

static const ps_transport transport = {send_recorded, sleep_recorded, &seen};

static int begin(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  seen = (recorder){.answer = "{\"id\":\"x\"}", .bodies = {PS_BUF_INIT, PS_BUF_INIT}};
  options.transport = &transport;
  client = ps_client_new(TEST_KEY, &options);
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  ps_buf_dispose(&seen.bodies[0]);
  ps_buf_dispose(&seen.bodies[1]);
  return 0;
}

static void a_transport_carries_a_call(void **state) {
  (void)state;
  ps_result *r = post(client, NULL);
  assert_true(ps_result_ok(r));
  assert_string_equal(ps_str(ps_data(r), "id"), "x");
  assert_string_equal(ps_result_request_id(r), "req_transport");
  assert_string_equal(seen.method, "POST");
  assert_string_equal(seen.url, "https://api.stripe.com/v1/customers");
  assert_string_equal(ps_buf_text(&seen.bodies[0]), "email=jenny%40example.com");
  assert_int_equal(seen.announced, 25);
  assert_true(seen.timeout == 80 && seen.connect_timeout == 10 && seen.deadline > 99 && seen.deadline <= 100);
  ps_result_free(r);
}

static void a_transports_failures_are_tried_again(void **state) {
  (void)state;
  seen.failure = PS_ERROR_CONNECTION;
  seen.outcome = PS_OUTCOME_NOT_SENT;
  seen.failures = 1;
  ps_result *r = post(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 2);
  assert_int_equal(seen.sleeps, 1);
  assert_true(seen.slept[0] >= 500 && seen.slept[0] <= 1000);
  assert_string_equal(seen.key[0], seen.key[1]);
  assert_string_equal(ps_buf_text(&seen.bodies[1]), ps_buf_text(&seen.bodies[0]));
  ps_result_free(r);
}

static void what_a_transport_says_is_kept(void **state) {
  (void)state;
  seen.failure = PS_ERROR_TLS;
  seen.outcome = PS_OUTCOME_NOT_SENT;
  seen.failures = 9;
  ps_result *r = post(client, NULL);
  assert_int_equal(ps_error_kind(r), PS_ERROR_TLS);
  assert_int_equal(ps_error_outcome(r), PS_OUTCOME_NOT_SENT);
  assert_string_equal(ps_error_message(r), "as scripted");
  assert_int_equal(seen.sends, 1);
  ps_result_free(r);
}

static void an_empty_response_is_a_lost_connection(void **state) {
  (void)state;
  seen.failures = 9;
  ps_result *r = post(client, NULL);
  assert_int_equal(ps_error_kind(r), PS_ERROR_CONNECTION);
  assert_int_equal(ps_error_outcome(r), PS_OUTCOME_UNKNOWN);
  assert_int_equal(seen.sends, 3);
  ps_result_free(r);
}

static void an_iterator_never_asks_ahead_of_a_transport(void **state) {
  (void)state;
  seen.answer =
    "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}";
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a");
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "b");
  assert_int_equal(seen.sends, 1);
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a");
  assert_int_equal(seen.sends, 2);
  assert_non_null(strstr(seen.url, "starting_after=b"));
  ps_iter_free(charges);
}

static void a_page_that_was_taken_outlives_its_iterator(void **state) {
  (void)state;
  seen.answer = "{\"has_more\": true, \"data\": [{\"id\": \"a\"}, {\"id\": \"b\"}]}";
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_null(ps_iter_take_page(charges));
  const ps_value *first = ps_iter_next(charges);
  ps_result *page = ps_iter_take_page(charges);
  assert_null(ps_iter_take_page(charges));
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "b");
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a");
  ps_result *second = ps_iter_take_page(charges);
  assert_ptr_not_equal(second, page);
  ps_iter_free(charges);
  assert_string_equal(ps_str(first, "id"), "a");
  assert_string_equal(ps_str(ps_data(page), "data.1.id"), "b");
  assert_string_equal(ps_str(ps_data(second), "data.0.id"), "a");
  ps_result_free(page);
  ps_result_free(second);
}

static void without_a_sleep_of_its_own_the_library_waits(void **state) {
  static const ps_transport sleepless = {send_recorded, NULL, &seen};
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.transport = &sleepless;
  ps_client *c = ps_client_new(TEST_KEY, &options);
  seen.failures = 1;
  double begun = seconds_now();
  ps_result *r = post(c, NULL);
  double passed = seconds_now() - begun;
  assert_true(ps_result_ok(r));
  assert_true(passed > 0.49 && passed < 4);
  ps_result_free(r);
  ps_client_free(c);
}

/* ---- Uploads, through each driver in C ---- */

static ps_value *upload_params(const char *path) {
  ps_value *params = ps_params("purpose", "dispute_evidence", NULL);
  ps_value *file = ps_map_set(params, "file");
  if (path) {
    ps_value_set_str(ps_map_set(file, "path"), path);
    return params;
  }
  ps_value_set_str(ps_map_set(file, "content"), "a,b\r\n1,2\r\n");
  ps_value_set_str(ps_map_set(file, "filename"), "rows.csv");
  ps_value_set_str(ps_map_set(file, "type"), "text/csv");
  return params;
}

/* Whether `body` holds the two parts that were given. */
static void assert_multipart(const char *body, int64_t announced, const char *disposition, const char *content) {
  assert_int_equal(announced, strlen(body));
  assert_non_null(strstr(body, "name=\"purpose\"\r\n\r\ndispute_evidence\r\n"));
  assert_non_null(strstr(body, disposition));
  assert_non_null(strstr(body, content));
  assert_string_equal(body + strlen(body) - 4, "--\r\n");
}

#define FILE_PATH PS_BUILD_DIR "/tests/faults-upload.txt"

static void write_file(void) {
  FILE *f = fopen(FILE_PATH, "w");
  assert_non_null(f);
  fputs("evidence in a file", f);
  fclose(f);
}

static void a_transport_uploads(void **state) {
  (void)state;
  write_file();
  for (int by_path = 0; by_path < 2; by_path++) {
    end(NULL);
    begin(NULL);
    seen.failures = 1;
    ps_value *params = upload_params(by_path ? FILE_PATH : NULL);
    ps_result *r = ps_call(client, PS_FILES_CREATE, NULL, params, NULL);
    assert_true(ps_result_ok(r));
    assert_string_equal(seen.url, "https://files.stripe.com/v1/files");
    assert_true(seen.deadline < 0);
    assert_multipart(ps_buf_text(&seen.bodies[0]), seen.announced,
                     by_path ? "filename=\"faults-upload.txt\"" : "filename=\"rows.csv\"\r\nContent-Type: text/csv",
                     by_path ? "evidence in a file" : "a,b\r\n1,2\r\n");
    assert_string_equal(ps_buf_text(&seen.bodies[1]), ps_buf_text(&seen.bodies[0]));
    ps_result_free(r);
    ps_value_free(params);
  }
}

static void libcurl_uploads(void **state) {
  (void)state;
  write_file();
  server *resetting = server_start("[{\"reset\":\"after\"}]", NULL);
  ps_client *real = client_to(server_url(resetting), NULL);
  test_clock hours;
  test_clock_init(&hours);
  ps_client_set_clock(real, &hours.clock);
  for (int by_path = 0; by_path < 2; by_path++) {
    ps_value *params = upload_params(by_path ? FILE_PATH : NULL);
    ps_result *r = ps_call(real, PS_FILES_CREATE, NULL, params, NULL);
    assert_string_equal(ps_error_message(r), "");
    assert_int_equal(ps_result_attempts(r), by_path ? 1 : 2);
    assert_multipart(ps_str(ps_data(r), "body"), atoi(ps_str(ps_data(r), "headers.content-length")),
                     by_path ? "filename=\"faults-upload.txt\"" : "filename=\"rows.csv\"\r\nContent-Type: text/csv",
                     by_path ? "evidence in a file" : "a,b\r\n1,2\r\n");
    assert_true(strncmp(ps_str(ps_data(r), "headers.content-type"), "multipart/form-data; boundary=", 30) == 0);
    ps_result_free(r);
    ps_value_free(params);
  }
  ps_client_free(real);
  server_stop(resetting);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_transport_carries_a_call),
    TEST(a_transports_failures_are_tried_again),
    TEST(what_a_transport_says_is_kept),
    TEST(an_empty_response_is_a_lost_connection),
    TEST(an_iterator_never_asks_ahead_of_a_transport),
    TEST(a_page_that_was_taken_outlives_its_iterator),
    TEST(without_a_sleep_of_its_own_the_library_waits),
    TEST(a_transport_uploads),
    TEST(libcurl_uploads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
