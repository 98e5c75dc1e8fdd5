/* Connections that fail, and what is known of the request then; and what goes over the ones that hold. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

#include <cmocka.h>

static test_clock hours;
static ps_client *client;

static int begin(void **state) {
  (void)state;
  test_clock_init(&hours);
  client = client_to(server_url(it), NULL);
  ps_client_set_clock(client, &hours.clock);
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  return 0;
}

/* ---- Nothing there ---- */

/* A socket bound to a port of its own; `backlog` negative: nobody listens there. */
static int bind_socket(int backlog, char url[40]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (const struct sockaddr *)&address, length), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  if (backlog >= 0) assert_int_equal(listen(fd, backlog), 0);
  snprintf(url, 40, "http://127.0.0.1:%d", ntohs(address.sin_port));
  return fd;
}

static void a_refused_connection_was_not_sent(void **state) {
  char url[40];
  (void)state;
  int fd = bind_socket(-1, url);
  ps_client *lonely = client_to(url, NULL);
  ps_client_set_clock(lonely, &hours.clock);
  assert_unanswered(post(lonely, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, 3);
  assert_int_equal(hours.sleep_count, 2);
  ps_client_free(lonely);
  close(fd);
}

/* The kernel drops what does not fit into a listener's queue, so that connecting hangs. */
static void a_connection_that_hangs_was_not_sent(void **state) {
  enum { QUEUE = 4 };
  char url[40];
  int listener = bind_socket(0, url), waiting[QUEUE];
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  (void)state;
  getsockname(listener, (struct sockaddr *)&address, &length);
  for (int i = 0; i < QUEUE; i++) {
    waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)!connect(waiting[i], (const struct sockaddr *)&address, length);
  }
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.connect_timeout = 0.2;
  options.max_retries = 1;
  ps_client *lonely = client_to(url, &options);
  ps_client_set_clock(lonely, &hours.clock);
  double before = seconds_now();
  assert_unanswered(post(lonely, NULL), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 2);
  double passed = seconds_now() - before;
  assert_true(passed > 0.39 && passed < 3);
  ps_client_free(lonely);
  for (int i = 0; i < QUEUE; i++) close(waiting[i]);
  close(listener);
}

/* ---- Lost on the way ---- */

static void assert_lost(const char *script) {
  server_script(it, script);
  assert_unanswered(post(client, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
  assert_int_equal(server_requests(it), 3);
}

static void a_lost_connection_is_unknown(void **state) {
  (void)state;
  assert_lost("[{\"reset\":\"before\",\"repeat\":true}]");
  assert_lost("[{\"reset\":\"after\",\"repeat\":true}]");
  assert_lost("[{\"close\":true,\"repeat\":true}]");
  assert_lost("[{\"raw\":\"HTTP/1.1 200 OK\\r\\nContent-\",\"repeat\":true}]");
}

static void a_truncated_answer_is_unknown(void **state) {
  (void)state;
  assert_lost("[{\"body\":{\"id\":\"cus_1\"},\"cut\":5,\"repeat\":true}]");
  assert_lost("[{\"size\":100000,\"cut\":50000,\"then\":\"reset\",\"repeat\":true}]");
  assert_lost("[{\"raw\":\"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nab\",\"repeat\":true}]");
  assert_lost(
    "[{\"raw\":\"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n{}\\r\\n\",\"repeat\":true}]");
}

static void a_loss_is_made_good_by_a_later_attempt(void **state) {
  (void)state;
  server_script(it, "[{\"reset\":\"after\"},{\"body\":{\"id\":\"cus_1\"},\"cut\":3},{\"body\":{\"id\":\"cus_1\"}}]");
  ps_result *r = post(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 3);
  assert_string_equal(ps_str(ps_data(r), "id"), "cus_1");
  ps_result_free(r);
}

static void what_is_not_http_is_a_protocol_error(void **state) {
  (void)state;
  server_script(it, "[{\"raw\":\"SSH-2.0-OpenSSH_9.2\\r\\n\"}]");
  assert_unanswered(post(client, NULL), PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
  server_script(it, "[{\"headers\":{\"Content-Encoding\":\"gzip\"},\"body\":\"not gzip at all\"}]");
  assert_unanswered(post(client, NULL), PS_ERROR_PROTOCOL, PS_OUTCOME_UNKNOWN, 1);
}

static void too_large_a_body_is_refused(void **state) {
  static const char *const scripts[] = {
    "[{\"size\":5000}]",
    "[{\"size\":5000,\"chunked\":true}]",
    "[{\"size\":500000,\"gzip\":true}]",
  };
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.max_body = 4999;
  ps_client *small = client_to(server_url(it), &options);
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    server_script(it, scripts[i]);
    assert_unanswered(post(small, NULL), PS_ERROR_TOO_LARGE, PS_OUTCOME_UNKNOWN, 1);
  }
  server_script(it, "[{\"body\":\"\\\"fits\\\"\"}]");
  ps_result *r = post(small, NULL);
  assert_string_equal(ps_str(ps_data(r), NULL), "fits");
  ps_result_free(r);
  ps_client_free(small);
}

/* ---- Kept connections ---- */

static void calls_share_a_connection(void **state) {
  (void)state;
  server_script(it, "[]");
  for (int i = 0; i < 20; i++) {
    ps_result *r = i % 2 ? get(client, NULL) : post(client, NULL);
    assert_true(ps_result_ok(r));
    ps_result_free(r);
  }
  assert_int_equal(server_requests(it), 20);
  assert_int_equal(server_connections(it), 1);
}

static void errors_of_the_server_keep_the_connection(void **state) {
  (void)state;
  server_script(it, "[{\"status\":402,\"body\":{\"error\":{}}},{\"status\":500,\"body\":{}},{}]");
  ps_result_free(post(client, NULL));
  ps_result_free(post(client, NULL));
  assert_int_equal(server_requests(it), 3);
  assert_int_equal(server_connections(it), 1);
}

/* libcurl would send it again by itself; only the machine may. */
static void a_reused_connection_that_dies_is_not_sent_again_silently(void **state) {
  (void)state;
  for (int write = 0; write < 2; write++) {
    ps_call_options options = PS_CALL_OPTIONS_INIT;
    options.max_retries = 0;
    server_script(it, "[{},{\"close\":true},{}]");
    ps_result_free(get(client, NULL));
    ps_result *r = write ? post(client, &options) : get(client, &options);
    assert_unanswered(r, PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 1);
    assert_int_equal(server_requests(it), 2);
    assert_int_equal(server_connections(it), 1);
  }
}

static void the_machine_sends_it_again(void **state) {
  (void)state;
  server_script(it, "[{},{\"close\":true},{}]");
  ps_result_free(get(client, NULL));
  ps_result *r = post(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 2);
  assert_int_equal(server_requests(it), 3);
  assert_int_equal(hours.sleep_count, 1);
  ps_result_free(r);
}

static void a_connection_seen_to_be_closed_is_not_used(void **state) {
  (void)state;
  server_script(it, "[{\"then\":\"close\"},{}]");
  ps_result_free(get(client, NULL));
  usleep(20000);
  ps_result *r = post(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 1);
  assert_int_equal(server_connections(it), 2);
  ps_result_free(r);
}

/* ---- What is sent and read ---- */

static void interim_answers_and_trailers_are_dropped(void **state) {
  (void)state;
  server_script(
    it, "[{\"interim\":[100,103],\"chunked\":true,\"headers\":{\"X-Final\":\" yes \"},\"body\":{\"id\":\"a\"}}]");
  ps_result *r = get(client, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_status(r), 200);
  assert_null(ps_result_header(r, "X-Interim"));
  assert_null(ps_result_header(r, "X-Trailer"));
  assert_string_equal(ps_result_header(r, "x-final"), "yes");
  ps_result_free(r);
}

static void compressed_answers_are_read(void **state) {
  (void)state;
  server_script(it, "[{\"gzip\":true,\"body\":{\"id\":\"packed\"}}]");
  ps_result *r = get(client, NULL);
  assert_string_equal(ps_str(ps_data(r), "id"), "packed");
  ps_result_free(r);
  ps_value *log = server_log(it);
  assert_non_null(strstr(ps_str(log, "0.headers.accept-encoding"), "gzip"));
  ps_value_free(log);
}

/* Cut before anything can be read from it, it is no answer without a body. */
static void a_compressed_answer_without_its_body_is_an_error(void **state) {
  (void)state;
  server_script(it, "[{\"gzip\":true,\"chunked\":true,\"cut\":8,\"body\":{\"id\":\"packed\"}},{\"body\":\"\"}]");
  ps_result *r = ps_request(client, "GET", "/v1/unheard_of", NULL, NULL);
  assert_int_equal(ps_error_kind(r), PS_ERROR_PROTOCOL);
  assert_int_equal(ps_error_outcome(r), PS_OUTCOME_UNKNOWN);
  ps_result_free(r);
  r = ps_request(client, "GET", "/v1/unheard_of", NULL, NULL);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
}

/* With params, an answer, and another request on the same connection. */
static void any_method(void **state) {
  (void)state;
  static const char *const methods[] = {"PUT", "PATCH", "HEAD", "OPTIONS", "DELETE", "HEAD", "GET"};
  ps_value *params = ps_params("a", "b", NULL);
  server_script(
    it, "[{\"body\":{}},{\"status\":500,\"body\":{}},{\"body\":{}},{\"body\":\"\",\"headers\":{\"content-length\":"
        "\"10\"}},{\"body\":{}},{\"body\":{}},{\"status\":404,\"body\":\"\"},{\"body\":{\"id\":\"x\"}}]");
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    ps_result *r = ps_request(client, methods[i], "/v1/brand_new", params, NULL);
    if (i != 5) assert_string_equal(ps_error_message(r), "");
    else assert_string_equal(ps_error_message(r), "the server answered with status 404");
    assert_int_equal(ps_result_attempts(r), i == 1 ? 2 : 1);
    ps_result_free(r);
  }
  ps_value_free(params);
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 8);
  for (const ps_value *v = ps_first(log); v; v = ps_next(v)) {
    const char *method = ps_str(v, "method");
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool in_query = reads || strcmp(method, "DELETE") == 0;
    assert_int_equal(*ps_str(v, "headers.idempotency-key") == '\0', reads);
    assert_string_equal(ps_str(v, "path"), in_query ? "/v1/brand_new?a=b" : "/v1/brand_new");
    assert_string_equal(ps_str(v, "body"), in_query ? "" : "a=b");
  }
  assert_string_equal(ps_str(log, "1.method"), "PATCH");
  assert_string_equal(ps_str(log, "1.headers.idempotency-key"), ps_str(log, "2.headers.idempotency-key"));
  ps_value_free(log);
  static const char *const wrong[] = {"get", "", "GE T", "GET\r\n", NULL};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    ps_result *r = ps_request(client, wrong[i], "/v1/brand_new", NULL, NULL);
    assert_string_equal(ps_error_kind_name(ps_error_kind(r)), "usage");
    assert_non_null(strstr(ps_error_message(r), "the method must be in capitals"));
    ps_result_free(r);
  }
}

static void a_long_body_goes_out_at_once(void **state) {
  enum { LENGTH = 1200000 };
  (void)state;
  char *text = malloc(LENGTH + 1);
  memset(text, 'a', LENGTH);
  text[LENGTH] = '\0';
  ps_value *params = ps_params("description", text, NULL);
  server_script(it, "[]");
  ps_result *r = ps_call(client, PS_CUSTOMERS_CREATE, NULL, params, NULL);
  assert_true(ps_result_ok(r));
  assert_int_equal(strlen(ps_str(ps_data(r), "body")), LENGTH + strlen("description="));
  assert_string_equal(ps_str(ps_data(r), "headers.content-length"), "1200012");
  assert_null(ps_map_get(ps_get(ps_data(r), "headers"), "expect", 6));
  ps_result_free(r);
  ps_value_free(params);
  free(text);
}

static void a_post_without_params_has_length_0(void **state) {
  const char *ids[] = {"pi_1", NULL};
  (void)state;
  server_script(it, "[]");
  ps_result *r = ps_call(client, PS_PAYMENT_INTENTS_CANCEL, ids, NULL, NULL);
  assert_string_equal(ps_str(ps_data(r), "method"), "POST");
  assert_string_equal(ps_str(ps_data(r), "headers.content-length"), "0");
  ps_result_free(r);
}

/* ---- Proxies ---- */

static ps_client *client_elsewhere(const char *proxy) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.proxy = proxy;
  ps_client *c = client_to("http://api.stripe.test:8080", &options);
  ps_client_set_clock(c, &hours.clock);
  return c;
}

static void assert_proxied(ps_client *c) {
  server_script(it, "[]");
  ps_result *r = get(c, NULL);
  assert_string_equal(ps_error_message(r), "");
  assert_string_equal(ps_str(ps_data(r), "path"), "http://api.stripe.test:8080/v1/balance");
  ps_result_free(r);
  ps_client_free(c);
}

static void a_proxy_comes_from_the_option_or_the_environment(void **state) {
  (void)state;
  assert_proxied(client_elsewhere(server_url(it)));
  setenv("http_proxy", server_url(it), 1);
  assert_proxied(client_elsewhere(NULL));
  unsetenv("http_proxy");
}

static void loopback_bypasses_every_proxy(void **state) {
  char dead[40];
  (void)state;
  int fd = bind_socket(-1, dead);
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.proxy = dead;
  ps_client *c = client_to(server_url(it), &options);
  setenv("http_proxy", dead, 1);
  setenv("ALL_PROXY", dead, 1);
  server_script(it, "[]");
  ps_result *with_option = get(c, NULL), *with_environment = get(client, NULL);
  assert_true(ps_result_ok(with_option));
  assert_true(ps_result_ok(with_environment));
  assert_string_equal(ps_str(ps_data(with_environment), "path"), "/v1/balance");
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
  ps_result_free(with_option);
  ps_result_free(with_environment);
  ps_client_free(c);
  close(fd);
}

static void a_dead_proxy_means_not_sent(void **state) {
  char dead[40];
  (void)state;
  int fd = bind_socket(-1, dead);
  ps_client *c = client_elsewhere(dead);
  assert_unanswered(post(c, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, 3);
  ps_client_free(c);
  close(fd);
}

static void a_proxys_password_is_not_told(void **state) {
  (void)state;
  ps_client *c = client_elsewhere("bad://ann:opensesame@h:1");
  ps_result *r = post(c, NULL);
  assert_int_equal(ps_error_kind(r), PS_ERROR_CONNECTION);
  assert_non_null(strstr(ps_error_message(r), "bad://"));
  assert_null(strstr(ps_error_message(r), "sesame"));
  ps_result_free(r);
  ps_client_free(c);
}

static void an_exact_body_goes_out_to_its_last_byte(void **state) {
  (void)state;
  static const char bytes[] = "\0a\0\0b\0";
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  server_script(it, "[]");
  options.body = bytes;
  options.content_type = "application/octet-stream";
  for (int i = 0; i < 3; i++) {
    size_t expected = i == 2 ? 0 : 4 + (size_t)i * 2, length;
    options.body_length = i == 2 ? -1 : (int64_t)expected; /* without one: up to its first NUL */
    ps_result *r = ps_request(client, "POST", "/v1/things", NULL, &options);
    assert_true(ps_result_ok(r));
    const char *got = ps_strn(ps_data(r), "body", &length);
    assert_int_equal(length, expected);
    assert_memory_equal(got, bytes, length);
    assert_int_equal(atoi(ps_str(ps_data(r), "headers.content-length")), expected);
    ps_result_free(r);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_refused_connection_was_not_sent),
    TEST(a_connection_that_hangs_was_not_sent),
    TEST(a_lost_connection_is_unknown),
    TEST(a_truncated_answer_is_unknown),
    TEST(a_loss_is_made_good_by_a_later_attempt),
    TEST(what_is_not_http_is_a_protocol_error),
    TEST(too_large_a_body_is_refused),
    TEST(calls_share_a_connection),
    TEST(errors_of_the_server_keep_the_connection),
    TEST(a_reused_connection_that_dies_is_not_sent_again_silently),
    TEST(the_machine_sends_it_again),
    TEST(a_connection_seen_to_be_closed_is_not_used),
    TEST(interim_answers_and_trailers_are_dropped),
    TEST(compressed_answers_are_read),
    TEST(a_compressed_answer_without_its_body_is_an_error),
    TEST(any_method),
    TEST(a_long_body_goes_out_at_once),
    TEST(a_post_without_params_has_length_0),
    TEST(an_exact_body_goes_out_to_its_last_byte),
    TEST(a_proxy_comes_from_the_option_or_the_environment),
    TEST(loopback_bypasses_every_proxy),
    TEST(a_dead_proxy_means_not_sent),
    TEST(a_proxys_password_is_not_told),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
