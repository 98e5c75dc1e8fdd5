/* What the behaviour may answer, beyond a status and a body: late, lost, cut, slowly, or when it is told to. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#include <cmocka.h>

static void request_reply(int fd, const char *reply) {
  ps_buf text = PS_BUF_INIT;
  ps_buf_format(&text, "POST /reply HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", strlen(reply), reply);
  send_bytes(fd, text.data, text.length);
  ps_buf_dispose(&text);
}

static void status_headers_and_body_are_sent(void **state) {
  int fd = dial(it);
  (void)state;
  answer a = ask(fd, "POST", "/reply",
                 "{\"status\": 402, \"headers\": {\"Request-Id\": \"req_1\", \"X-Count\": 3}, \"body\": \"no\"}");
  assert_int_equal(a.status, 402);
  assert_non_null(strstr(ps_buf_text(&a.head), "\r\nRequest-Id: req_1\r\n"));
  assert_non_null(strstr(ps_buf_text(&a.head), "\r\nX-Count: 3\r\n"));
  assert_string_equal(ps_buf_text(&a.body), "no");
  answer_dispose(&a);
  close(fd);
}

static void a_delayed_reply_holds_up_no_other(void **state) {
  int late = dial(it);
  double begin = seconds_now();
  (void)state;
  request_reply(late, "{\"delay\": 0.5, \"body\": \"late\"}");
  for (int i = 0; i < 20; i++) ps_value_free(ask_once(it, "GET", "/echo", NULL));
  assert_true(seconds_now() - begin < 0.4);
  answer a = read_answer(late, false, 5);
  assert_string_equal(ps_buf_text(&a.body), "late");
  assert_true(seconds_now() - begin >= 0.5);
  answer_dispose(&a);
  a = ask(late, "GET", "/echo", NULL); /* the connection is still good */
  assert_int_equal(a.status, 200);
  answer_dispose(&a);
  close(late);
}

static void delayed_replies_come_by_their_time(void **state) {
  int slow = dial(it), fast = dial(it);
  (void)state;
  request_reply(slow, "{\"delay\": 0.4, \"body\": \"slow\"}");
  request_reply(fast, "{\"delay\": 0.1, \"body\": \"fast\"}");
  answer a = read_answer(slow, false, 0.3);
  assert_int_equal(a.end, SILENT);
  answer b = read_answer(fast, false, 0.1);
  assert_string_equal(ps_buf_text(&b.body), "fast");
  a = read_answer(slow, false, 5);
  assert_string_equal(ps_buf_text(&a.body), "slow");
  answer_dispose(&a);
  answer_dispose(&b);
  close(slow);
  close(fast);
}

static void assert_ends(const char *reply, ending how) {
  int fd = dial(it);
  request_reply(fd, reply);
  answer a = read_answer(fd, false, 5);
  assert_int_equal(a.end, how);
  assert_int_equal(a.head.length, 0);
  answer_dispose(&a);
  close(fd);
}

static void a_dropped_connection_ends_without_a_byte(void **state) {
  (void)state;
  assert_ends("{\"close\": \"drop\"}", CLOSED);
  assert_ends("{\"close\": \"drop\", \"delay\": 0.05}", CLOSED);
}

static void a_reset_connection_is_reset(void **state) {
  (void)state;
  assert_ends("{\"close\": \"reset\"}", RESET);
  assert_ends("{\"close\": \"reset\", \"delay\": 0.05}", RESET);
}

static void a_truncated_body_announces_the_whole(void **state) {
  int fd = dial(it);
  (void)state;
  request_reply(fd, "{\"body\": \"0123456789\", \"truncate_at\": 4}");
  answer a = read_answer(fd, false, 5);
  assert_int_equal(a.end, CLOSED);
  assert_int_equal(a.status, 200);
  assert_int_equal(a.announced, 10);
  assert_string_equal(ps_buf_text(&a.body), "0123");
  answer_dispose(&a);
  close(fd);
}

static void a_slow_body_comes_in_pieces(void **state) {
  char reply[300];
  int fd = dial(it);
  double begin = seconds_now();
  (void)state;
  snprintf(reply, sizeof reply, "{\"slow\": 200, \"body\": \"%0100d\"}", 1);
  request_reply(fd, reply);
  for (int i = 0; i < 20; i++) ps_value_free(ask_once(it, "GET", "/echo", NULL));
  answer a = read_answer(fd, false, 5);
  assert_int_equal(a.end, ANSWERED);
  assert_int_equal(a.body.length, 100);
  assert_true(seconds_now() - begin >= 0.45 && seconds_now() - begin < 2);
  answer_dispose(&a);
  a = ask(fd, "GET", "/echo", NULL);
  assert_int_equal(a.status, 200);
  answer_dispose(&a);
  close(fd);
}

static void a_slow_body_may_be_truncated(void **state) {
  int fd = dial(it);
  (void)state;
  request_reply(fd, "{\"slow\": 50, \"body\": \"0123456789\", \"truncate_at\": 5}");
  answer a = read_answer(fd, false, 5);
  assert_int_equal(a.end, CLOSED);
  assert_string_equal(ps_buf_text(&a.body), "01234");
  answer_dispose(&a);
  close(fd);
}

/* ---- Awaited ---- */

static bool finish(const char *order) {
  ps_value *v = ask_once(it, "POST", "/finish", order);
  bool found = ps_bool(v, "found");
  ps_value_free(v);
  return found;
}

static void an_awaited_reply_comes_when_it_is_finished(void **state) {
  int fd = dial(it);
  (void)state;
  request_reply(fd, "{\"wait\": \"key\"}");
  answer a = read_answer(fd, false, 0.1);
  assert_int_equal(a.end, SILENT);
  assert_false(finish("{\"key\": \"other\", \"reply\": {}}"));
  assert_true(finish("{\"key\": \"key\", \"reply\": {\"status\": 201, \"body\": \"done\"}}"));
  assert_false(finish("{\"key\": \"key\", \"reply\": {}}"));
  a = read_answer(fd, false, 5);
  assert_int_equal(a.status, 201);
  assert_string_equal(ps_buf_text(&a.body), "done");
  answer_dispose(&a);
  close(fd);
}

static void an_awaited_reply_may_be_a_bad_one(void **state) {
  int fd = dial(it);
  (void)state;
  request_reply(fd, "{\"wait\": \"bad\"}");
  answer a = read_answer(fd, false, 0.1);
  assert_int_equal(a.end, SILENT);
  ps_value *v = ask_once(it, "POST", "/finish", "{\"key\": \"bad\", \"reply\": {\"status\": \"x\"}}");
  assert_non_null(strstr(ps_str(v, "error.message"), "status must be a number"));
  ps_value_free(v);
  a = read_answer(fd, false, 5);
  assert_int_equal(a.end, CLOSED);
  answer_dispose(&a);
  close(fd);
}

static void an_awaited_client_may_have_gone(void **state) {
  int fd = dial(it);
  (void)state;
  request_reply(fd, "{\"wait\": \"gone\"}");
  answer a = read_answer(fd, false, 0.1);
  assert_int_equal(a.end, SILENT);
  close(fd);
  assert_true(finish("{\"key\": \"gone\", \"reply\": {\"body\": \"nobody\"}}"));
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
}

/* ---- Failures ---- */

static void assert_failure(const char *method, const char *path, const char *body, const char *words) {
  int fd = dial(it);
  answer a = ask(fd, method, path, body);
  assert_int_equal(a.status, 500);
  assert_request_id(&a);
  ps_value *v = ps_value_parse(ps_buf_text(&a.body), a.body.length);
  assert_string_equal(ps_str(v, "error.type"), "api_error");
  if (!strstr(ps_str(v, "error.message"), words)) fail_msg("%s", ps_str(v, "error.message"));
  assert_null(strstr(ps_str(v, "error.message"), PS_SOURCE_DIR));
  ps_value_free(v);
  answer_dispose(&a);
  close(fd);
}

static void an_error_of_the_behaviour_is_a_500(void **state) {
  (void)state;
  assert_failure("GET", "/fails", NULL, "sandbox/init.lua:");
  assert_failure("GET", "/fails", NULL, "as it was asked to");
  assert_failure("GET", "/not/a/table", NULL, "table expected");
}

static void a_reply_that_is_none_is_a_500(void **state) {
  (void)state;
  assert_failure("POST", "/reply", "{\"status\": 99}", "from 200 to 599");
  assert_failure("POST", "/reply", "{\"status\": \"200\"}", "status must be a number");
  assert_failure("POST", "/reply", "{\"close\": \"softly\"}", "drop or reset");
  assert_failure("POST", "/reply", "{\"headers\": {\"X\": \"a\\r\\nb\"}}", "the header X");
}

static void an_error_at_a_tick_is_told_with_the_next_request(void **state) {
  (void)state;
  ps_value_free(ask_once(it, "POST", "/fails/later", NULL));
  usleep(50000);
  assert_failure("GET", "/echo", NULL, "at a tick");
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
}

/* ---- Time ---- */

static int64_t ticks(const char *wake) {
  ps_value *v = ask_once(it, "POST", "/wake", wake);
  int64_t count = ps_int(v, "ticks");
  ps_value_free(v);
  return count;
}

static void the_behaviour_is_called_at_its_time(void **state) {
  int64_t before = ticks("0.15");
  (void)state;
  assert_int_equal(ticks("60"), before);
  usleep(250000);
  assert_int_equal(ticks("60"), before + 1);
}

/* ---- Parts ---- */

static ps_value *send_parts(const char *type, const char *body) {
  ps_buf text = PS_BUF_INIT;
  int fd = dial(it);
  ps_buf_format(&text, "POST /parts HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", type,
                strlen(body), body);
  send_bytes(fd, text.data, text.length);
  answer a = read_answer(fd, false, 5);
  ps_value *v = ps_value_parse(ps_buf_text(&a.body), a.body.length);
  assert_string_equal(ps_value_error(v), "");
  ps_buf_dispose(&text);
  answer_dispose(&a);
  close(fd);
  return v;
}

static void multipart_bodies_become_parts(void **state) {
  ps_value *v = send_parts("multipart/form-data; boundary=xx",
                           "--xx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndispute_evidence\r\n"
                           "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n"
                           "Content-Type: image/png\r\n\r\n\r\n--x\r\n\r\n--xx--\r\n");
  (void)state;
  assert_int_equal(ps_count(v), 2);
  assert_string_equal(ps_str(v, "0.name"), "purpose");
  assert_string_equal(ps_str(v, "0.content"), "dispute_evidence");
  assert_string_equal(ps_str(v, "1.filename"), "a.png");
  assert_string_equal(ps_str(v, "1.type"), "image/png");
  assert_string_equal(ps_str(v, "1.content"), "\r\n--x\r\n");
  ps_value_free(v);
}

static void a_broken_multipart_body_is_told(void **state) {
  static const char *const bad[] = {"--yy\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--yy--\r\n", "--xx",
                                    "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhalf"};
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ps_value *v = send_parts("multipart/form-data; boundary=xx", bad[i]);
    if (!strstr(ps_str(v, "problem"), "multipart/form-data")) fail_msg("taken: %s", bad[i]);
    ps_value_free(v);
  }
  static const char one[] = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n";
  ps_value *quoted = send_parts("multipart/form-data; boundary=\"x\"", one);
  assert_string_equal(ps_str(quoted, "0.content"), "b");
  ps_value_free(quoted);
  ps_value *bare = send_parts("multipart/form-data; boundary=x", one);
  assert_non_null(strstr(ps_str(bare, "problem"), "must be quoted"));
  ps_value_free(bare);
  ps_value *v = send_parts("text/plain", "a");
  assert_non_null(strstr(ps_str(v, "problem"), "multipart/form-data"));
  ps_value_free(v);
}

/* ---- Webhooks ---- */

static int listen_anywhere(char *url, size_t size) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 5), 0);
  getsockname(fd, (struct sockaddr *)&address, &length);
  snprintf(url, size, "http://127.0.0.1:%d/hook", ntohs(address.sin_port));
  return fd;
}

static void deliver(const char *id, const char *url) {
  char order[400];
  snprintf(order, sizeof order,
           "{\"id\": \"%s\", \"url\": \"%s\", \"body\": \"{}\", \"headers\": {\"Stripe-Signature\": \"t=1\"}, "
           "\"timeout\": 5}",
           id, url);
  ps_value_free(ask_once(it, "POST", "/deliver", order));
}

/* The outcome of `id`, waited for; to be freed. */
static ps_value *outcome(const char *id) {
  for (double end = seconds_now() + 10; seconds_now() < end; usleep(5000)) {
    ps_value *all = ask_once(it, "GET", "/outcomes", NULL);
    for (const ps_value *v = ps_first(all); v; v = ps_next(v)) {
      if (strcmp(ps_str(v, "id"), id) != 0) continue;
      ps_value *found = ps_value_new();
      ps_value_copy(found, v);
      ps_value_free(all);
      return found;
    }
    ps_value_free(all);
  }
  fail_msg("no outcome of %s", id);
  return NULL;
}

static void a_webhook_is_posted_and_its_status_told(void **state) {
  char url[60];
  int listener = listen_anywhere(url, sizeof url);
  (void)state;
  deliver("evt_1", url);
  int fd = accept(listener, NULL, NULL);
  answer a = read_answer(fd, false, 5); /* a request reads like an answer */
  assert_int_equal(strncmp(ps_buf_text(&a.head), "POST /hook HTTP/1.1\r\n", 21), 0);
  assert_non_null(strstr(ps_buf_text(&a.head), "\r\nStripe-Signature: t=1\r\n"));
  assert_string_equal(ps_buf_text(&a.body), "{}");
  send_text(fd, "HTTP/1.1 418 no\r\nContent-Length: 0\r\n\r\n");
  ps_value *v = outcome("evt_1");
  assert_int_equal(ps_int(v, "status"), 418);
  ps_value_free(v);
  answer_dispose(&a);
  close(fd);
  close(listener);
}

static void a_silent_endpoint_holds_up_no_other(void **state) {
  char silent[60], url[60];
  int hole = listen_anywhere(silent, sizeof silent), listener = listen_anywhere(url, sizeof url);
  double begin = seconds_now();
  (void)state;
  deliver("evt_silent", silent);
  deliver("evt_heard", url);
  int fd = accept(listener, NULL, NULL);
  answer a = read_answer(fd, false, 5);
  send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ps_value_free(outcome("evt_heard"));
  assert_true(seconds_now() - begin < 3);
  close(hole); /* refuses what had been accepted for it */
  ps_value *v = outcome("evt_silent");
  assert_true(*ps_str(v, "problem"));
  ps_value_free(v);
  answer_dispose(&a);
  close(fd);
  close(listener);
}

static void a_webhook_without_an_answer_has_a_reason(void **state) {
  (void)state;
  deliver("evt_2", "http://127.0.0.1:1/");
  ps_value *v = outcome("evt_2");
  assert_int_equal(ps_type(v, "status"), PS_NULL);
  assert_true(*ps_str(v, "problem"));
  ps_value_free(v);
  v = ask_once(it, "POST", "/deliver", "{\"id\": \"evt_3\", \"url\": 7}");
  assert_non_null(strstr(ps_str(v, "error.message"), "url must be a string"));
  ps_value_free(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(status_headers_and_body_are_sent),
    cmocka_unit_test(a_delayed_reply_holds_up_no_other),
    cmocka_unit_test(delayed_replies_come_by_their_time),
    cmocka_unit_test(a_dropped_connection_ends_without_a_byte),
    cmocka_unit_test(a_reset_connection_is_reset),
    cmocka_unit_test(a_truncated_body_announces_the_whole),
    cmocka_unit_test(a_slow_body_comes_in_pieces),
    cmocka_unit_test(a_slow_body_may_be_truncated),
    cmocka_unit_test(an_awaited_reply_comes_when_it_is_finished),
    cmocka_unit_test(an_awaited_reply_may_be_a_bad_one),
    cmocka_unit_test(an_awaited_client_may_have_gone),
    cmocka_unit_test(an_error_of_the_behaviour_is_a_500),
    cmocka_unit_test(a_reply_that_is_none_is_a_500),
    cmocka_unit_test(an_error_at_a_tick_is_told_with_the_next_request),
    cmocka_unit_test(the_behaviour_is_called_at_its_time),
    cmocka_unit_test(multipart_bodies_become_parts),
    cmocka_unit_test(a_broken_multipart_body_is_told),
    cmocka_unit_test(a_webhook_is_posted_and_its_status_told),
    cmocka_unit_test(a_silent_endpoint_holds_up_no_other),
    cmocka_unit_test(a_webhook_without_an_answer_has_a_reason),
  };
  return cmocka_run_group_tests(tests, start_sandbox, stop_sandbox);
}
