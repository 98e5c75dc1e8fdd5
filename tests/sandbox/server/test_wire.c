/* HTTP as clients speak it, well and badly: what reaches the behaviour, and that nobody's mistake is another's trouble. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

#include <cmocka.h>

static ps_value *parse(answer *a) {
  ps_value *v = ps_value_parse(ps_buf_text(&a->body), a->body.length);
  assert_string_equal(ps_value_error(v), "");
  answer_dispose(a);
  return v;
}

static ps_value *expect_echo(int fd) {
  answer a = read_answer(fd, false, 10);
  assert_int_equal(a.end, ANSWERED);
  assert_int_equal(a.status, 200);
  return parse(&a);
}

static void a_request_arrives_as_it_was_sent(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "PATCH /echo?a=%20b&c[]=1+2&d HTTP/1.1\r\nHost: any.example\r\nX-MiXeD: Va Lue \r\nX-Empty:\r\n"
                "Content-Length: 5\r\n\r\na=%41");
  ps_value *echo = expect_echo(fd);
  assert_string_equal(ps_str(echo, "method"), "PATCH");
  assert_string_equal(ps_str(echo, "path"), "/echo");
  assert_string_equal(ps_str(echo, "query"), "a=%20b&c[]=1+2&d");
  assert_string_equal(ps_str(echo, "headers.x-mixed"), "Va Lue");
  assert_int_equal(ps_type(echo, "headers.x-empty"), PS_STRING);
  assert_string_equal(ps_str(echo, "headers.host"), "any.example");
  assert_string_equal(ps_str(echo, "body"), "a=%41");
  ps_value_free(echo);
  close(fd);
}

static void a_line_may_name_the_host(void **state) {
  static const char *const lines[] = {"http://a.example/echo?b=1", "HTTPS://a.example:443/echo?b=1"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    ps_value *echo = ask_once(it, "GET", lines[i], NULL);
    assert_string_equal(ps_str(echo, "path"), "/echo");
    assert_string_equal(ps_str(echo, "query"), "b=1");
    ps_value_free(echo);
  }
}

static void escapes_in_a_path_stay(void **state) {
  int fd = dial(it);
  (void)state;
  answer a = ask(fd, "GET", "/e%63ho", NULL);
  assert_int_equal(a.status, 404);
  answer_dispose(&a);
  close(fd);
}

static void a_request_without_query_and_body_has_none(void **state) {
  ps_value *echo = ask_once(it, "GET", "/echo", NULL);
  (void)state;
  assert_null(ps_map_get(echo, "query", 5));
  assert_null(ps_map_get(echo, "body", 4));
  ps_value_free(echo);
}

static void a_connection_serves_one_request_after_another(void **state) {
  char path[40];
  int fd = dial(it);
  (void)state;
  for (int i = 0; i < 100; i++) {
    snprintf(path, sizeof path, "/echo?%d", i);
    answer a = ask(fd, "POST", path, i % 3 ? "a=1" : NULL);
    ps_value *echo = parse(&a);
    assert_string_equal(ps_str(echo, "query"), strchr(path, '?') + 1);
    assert_string_equal(ps_str(echo, "body"), i % 3 ? "a=1" : "");
    ps_value_free(echo);
  }
  close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state) {
  ps_buf all = PS_BUF_INIT;
  char query[20];
  int fd = dial(it);
  (void)state;
  for (int i = 0; i < 50; i++) {
    ps_buf_format(&all, "POST /echo?%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nb=%02d", i, i);
  }
  send_bytes(fd, all.data, all.length);
  for (int i = 0; i < 50; i++) {
    ps_value *echo = expect_echo(fd);
    snprintf(query, sizeof query, "%d", i);
    assert_string_equal(ps_str(echo, "query"), query);
    ps_value_free(echo);
  }
  ps_buf_dispose(&all);
  close(fd);
}

static void a_request_may_come_byte_by_byte(void **state) {
  const char *text = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nslow=ly";
  int fd = dial(it);
  (void)state;
  for (const char *c = text; *c; c++) {
    send_bytes(fd, c, 1);
    usleep(500);
  }
  ps_value *echo = expect_echo(fd);
  assert_string_equal(ps_str(echo, "body"), "slow=ly");
  ps_value_free(echo);
  close(fd);
}

static void a_chunked_body_is_put_together(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nname\r\n1\r\n=\r\n");
  usleep(20000);
  send_text(fd, "5;ext=1\r\nJenny\r\n0\r\nX-Trailer: 1\r\n\r\n");
  ps_value *echo = expect_echo(fd);
  assert_string_equal(ps_str(echo, "body"), "name=Jenny");
  ps_value_free(echo);
  close(fd);
}

static void head_is_get_without_a_body(void **state) {
  int fd = dial(it);
  (void)state;
  answer a = ask(fd, "HEAD", "/echo", NULL), b = ask(fd, "GET", "/echo", NULL);
  assert_int_equal(a.status, 200);
  assert_true(a.announced > 0);
  assert_int_equal(b.status, 200);
  assert_non_null(strstr(ps_buf_text(&b.body), "\"method\""));
  answer_dispose(&a);
  answer_dispose(&b);
  close(fd);
}

static void a_client_that_expects_100_gets_it_first(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  answer go_on = read_answer(fd, true, 10);
  assert_int_equal(go_on.status, 100);
  answer_dispose(&go_on);
  send_text(fd, "a=1");
  ps_value *echo = expect_echo(fd);
  assert_string_equal(ps_str(echo, "body"), "a=1");
  ps_value_free(echo);
  close(fd);
}

static void an_old_client_gets_one_answer(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "GET /echo HTTP/1.0\r\n\r\n");
  ps_value_free(expect_echo(fd));
  answer a = read_answer(fd, false, 5);
  assert_int_equal(a.end, CLOSED);
  answer_dispose(&a);
  close(fd);
}

/* ---- Large bodies ---- */

enum { MEGABYTE = 1 << 20 };

static void send_megabytes(int fd, int count) {
  char *piece = malloc(MEGABYTE);
  assert_non_null(piece);
  memset(piece, 'a', MEGABYTE);
  for (int i = 0; i < count; i++) send_bytes(fd, piece, MEGABYTE);
  free(piece);
}

static void a_body_of_64_megabytes_is_taken(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n");
  send_megabytes(fd, 64);
  ps_value *echo = expect_echo(fd);
  assert_int_equal(ps_int(echo, "length"), 64 * MEGABYTE);
  ps_value_free(echo);
  close(fd);
}

static void expect_413(int fd) {
  answer a = read_answer(fd, false, 20);
  assert_int_equal(a.end, ANSWERED);
  assert_int_equal(a.status, 413);
  assert_request_id(&a);
  ps_value *error = parse(&a);
  assert_string_equal(ps_str(error, "error.type"), "invalid_request_error");
  assert_non_null(strstr(ps_str(error, "error.message"), "64 MiB"));
  ps_value_free(error);
  close(fd);
}

static void a_larger_one_is_refused_before_it_is_sent(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 67108865\r\nExpect: 100-continue\r\n\r\n");
  expect_413(fd);
}

static void a_larger_one_that_is_sent_at_once_is_refused_at_its_end(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 68157440\r\n\r\n");
  send_megabytes(fd, 65);
  expect_413(fd);
}

static void a_larger_one_in_chunks_is_refused_at_its_end(void **state) {
  int fd = dial(it);
  (void)state;
  send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 65; i++) {
    send_text(fd, "100000\r\n");
    send_megabytes(fd, 1);
    send_text(fd, "\r\n");
  }
  send_text(fd, "0\r\n\r\n");
  expect_413(fd);
}

/* ---- Many, and bad ones ---- */

static void a_hundred_connections_are_served_at_once(void **state) {
  enum { MANY = 100 };
  int fds[MANY];
  (void)state;
  for (int i = 0; i < MANY; i++) fds[i] = dial(it);
  for (int i = 0; i < MANY; i++) send_text(fds[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  for (int i = MANY - 1; i >= 0; i--) {
    send_text(fds[i], "a");
    ps_value_free(expect_echo(fds[i]));
  }
  for (int i = 0; i < MANY; i++) close(fds[i]);
}

static void a_malformed_request_harms_nobody_else(void **state) {
  static const char *const bad[] = {"\r\n\r\n\r\n",
                                    "GET\r\n\r\n",
                                    "GET / HTTP/9.9\r\n\r\n",
                                    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                                    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                    "GET /echo HTTP/1.1\r\nno colon\r\n\r\n",
                                    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\na"};
  int bystander = dial(it);
  (void)state;
  send_text(bystander, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int fd = dial(it);
    send_text(fd, bad[i]);
    answer a = read_answer(fd, false, 0.1);
    if (a.end == ANSWERED && a.status == 200) print_message("answered: %s\n", bad[i]);
    answer_dispose(&a);
    close(fd);
    ps_value_free(ask_once(it, "GET", "/echo", NULL));
  }
  send_text(bystander, "b");
  ps_value *echo = expect_echo(bystander);
  assert_string_equal(ps_str(echo, "body"), "ab");
  ps_value_free(echo);
  close(bystander);
}

static void headers_beyond_reason_are_refused(void **state) {
  ps_buf text = PS_BUF_INIT;
  int fd = dial(it);
  (void)state;
  ps_buf_str(&text, "GET /echo HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 3000; i++) ps_buf_format(&text, "X-Header-%d: %0100d\r\n", i, i);
  ps_buf_str(&text, "\r\n");
  send_bytes(fd, text.data, text.length);
  answer a = read_answer(fd, false, 5);
  assert_true(a.status == 431 || a.status == 413 || a.end == RESET);
  answer_dispose(&a);
  ps_buf_dispose(&text);
  close(fd);
}

static void a_long_query_and_many_headers_are_taken(void **state) {
  ps_buf text = PS_BUF_INIT;
  int fd = dial(it);
  (void)state;
  ps_buf_str(&text, "GET /echo?");
  for (int i = 0; i < 200; i++) ps_buf_format(&text, "expand[]=data.customer.default_source.%d&", i);
  ps_buf_str(&text, "z=1 HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 40; i++) ps_buf_format(&text, "X-Header-%d: value %d\r\n", i, i);
  ps_buf_str(&text, "\r\n");
  send_bytes(fd, text.data, text.length);
  ps_value *echo = expect_echo(fd);
  assert_string_equal(ps_str(echo, "headers.x-header-39"), "value 39");
  assert_non_null(strstr(ps_str(echo, "query"), ".199&z=1"));
  ps_value_free(echo);
  ps_buf_dispose(&text);
  close(fd);
}

static void clients_that_hang_up_leave_nothing(void **state) {
  (void)state;
  for (int i = 0; i < 50; i++) {
    int fd = dial(it);
    send_text(fd, i % 2 ? "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc" : "GET /ec");
    close(fd);
  }
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_request_arrives_as_it_was_sent),
    cmocka_unit_test(a_line_may_name_the_host),
    cmocka_unit_test(escapes_in_a_path_stay),
    cmocka_unit_test(a_request_without_query_and_body_has_none),
    cmocka_unit_test(a_connection_serves_one_request_after_another),
    cmocka_unit_test(pipelined_requests_are_answered_in_order),
    cmocka_unit_test(a_request_may_come_byte_by_byte),
    cmocka_unit_test(a_chunked_body_is_put_together),
    cmocka_unit_test(head_is_get_without_a_body),
    cmocka_unit_test(a_client_that_expects_100_gets_it_first),
    cmocka_unit_test(an_old_client_gets_one_answer),
    cmocka_unit_test(a_body_of_64_megabytes_is_taken),
    cmocka_unit_test(a_larger_one_is_refused_before_it_is_sent),
    cmocka_unit_test(a_larger_one_that_is_sent_at_once_is_refused_at_its_end),
    cmocka_unit_test(a_larger_one_in_chunks_is_refused_at_its_end),
    cmocka_unit_test(a_hundred_connections_are_served_at_once),
    cmocka_unit_test(a_malformed_request_harms_nobody_else),
    cmocka_unit_test(headers_beyond_reason_are_refused),
    cmocka_unit_test(a_long_query_and_many_headers_are_taken),
    cmocka_unit_test(clients_that_hang_up_leave_nothing),
  };
  return cmocka_run_group_tests(tests, start_sandbox, stop_sandbox);
}
