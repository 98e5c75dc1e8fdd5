/* Certificates, and what fails before and after a handshake; HTTP/2, which only TLS has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#include <cmocka.h>

#define FOLDER PS_BUILD_DIR "/tests/certificates"

static server *good, *other, *http2;
static test_clock hours;
static ps_client *client;

static int start(void **state) {
  static const char *const of_good[] = {"--tls", FOLDER "/good.pem", FOLDER "/good.key", NULL};
  static const char *const of_other[] = {"--tls", FOLDER "/other.pem", FOLDER "/other.key", NULL};
  static const char *const of_http2[] = {"--tls", FOLDER "/good.pem", FOLDER "/good.key", "--h2", NULL};
  (void)state;
  unsetenv("SSL_CERT_FILE");
  unsetenv("SSL_CERT_DIR");
  if (system(PS_SOURCE_DIR "/tests/faults/certificates.sh " FOLDER) != 0) return 1;
  good = server_start("[]", of_good);
  other = server_start("[]", of_other);
  http2 = server_start("[]", of_http2);
  return 0;
}

static int stop(void **state) {
  (void)state;
  server_stop(good);
  server_stop(other);
  server_stop(http2);
  return 0;
}

/* A client that trusts the authority, with the test's clock. */
static ps_client *client_of(const server *s, double connect_timeout) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.ca_file = FOLDER "/ca.pem";
  options.connect_timeout = connect_timeout;
  ps_client *c = client_to(server_url(s), &options);
  ps_client_set_clock(c, &hours.clock);
  return c;
}

static int begin(void **state) {
  (void)state;
  test_clock_init(&hours);
  server_script(good, "[]");
  server_script(http2, "[]");
  client = client_of(good, -1);
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  return 0;
}

static void assert_trusted(const ps_client_options *options) {
  ps_client *c = client_to(server_url(good), options);
  ps_result *r = get(c, NULL);
  assert_string_equal(ps_error_message(r), "");
  ps_result_free(r);
  ps_client_free(c);
}

static void assert_refused(const server *s, const ps_client_options *options) {
  ps_client *c = client_to(server_url(s), options);
  assert_unanswered(post(c, NULL), PS_ERROR_TLS, PS_OUTCOME_NOT_SENT, 1);
  ps_client_free(c);
}

static char *read_text(const char *path) {
  static char text[4000];
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  text[fread(text, 1, sizeof text - 1, f)] = '\0';
  fclose(f);
  return text;
}

static void an_unknown_authority_is_refused(void **state) {
  (void)state;
  assert_refused(good, NULL);
  assert_int_equal(server_requests(good), 0);
}

static void the_authority_is_trusted_from_a_file_text_or_folder(void **state) {
  ps_client_options file = PS_CLIENT_OPTIONS_INIT, data = file, path = file;
  (void)state;
  file.ca_file = FOLDER "/ca.pem";
  assert_trusted(&file);
  data.ca_data = read_text(FOLDER "/ca.pem");
  assert_trusted(&data);
  path.ca_path = FOLDER "/hashed";
  assert_trusted(&path);
}

static void the_environment_may_name_the_authority(void **state) {
  (void)state;
  setenv("SSL_CERT_FILE", FOLDER "/ca.pem", 1);
  assert_trusted(NULL);
  unsetenv("SSL_CERT_FILE");
  setenv("SSL_CERT_DIR", FOLDER "/hashed", 1);
  assert_trusted(NULL);
  unsetenv("SSL_CERT_DIR");
  assert_refused(good, NULL);
}

/* What is named replaces the system's authorities, and the environment's. */
static void other_authorities_are_not_trusted_beside(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.ca_data = read_text(FOLDER "/other.pem");
  setenv("SSL_CERT_FILE", FOLDER "/ca.pem", 1);
  assert_refused(good, &options);
  unsetenv("SSL_CERT_FILE");
}

static void a_certificate_of_another_host_is_refused(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.ca_file = FOLDER "/ca.pem";
  assert_refused(other, &options);
}

static void a_missing_or_empty_authority_is_a_tls_error(void **state) {
  ps_client_options file = PS_CLIENT_OPTIONS_INIT, data = file;
  (void)state;
  file.ca_file = FOLDER "/absent.pem";
  assert_refused(good, &file);
  data.ca_data = "not a certificate";
  assert_refused(good, &data);
}

/* Bytes that this process has read. */
static long bytes_read(void) {
  long count = 0;
  FILE *f = fopen("/proc/self/io", "r");
  assert_non_null(f);
  assert_int_equal(fscanf(f, "rchar: %ld", &count), 1);
  fclose(f);
  return count;
}

/* Where the system keeps certificates by their hash (Debian does), a connection reads those that it needs. */
static void the_systems_bundle_is_not_read(void **state) {
  FILE *f = fopen("/etc/ssl/certs/ca-certificates.crt", "r");
  (void)state;
  if (!f || system("ls /etc/ssl/certs | grep -q '^[0-9a-f]*[.]0$'") != 0) skip();
  fseek(f, 0, SEEK_END);
  long bundle = ftell(f);
  fclose(f);
  assert_true(bundle > 100000);
  assert_refused(good, NULL);
  long before = bytes_read();
  assert_refused(good, NULL);
  assert_true(bytes_read() - before < bundle / 2);
}

static void a_handshake_that_fails_was_not_sent(void **state) {
  (void)state;
  server_script(good, "[{\"reset\":\"accept\",\"repeat\":true}]");
  assert_unanswered(post(client, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT, 3);
}

static void a_silent_handshake_was_not_sent(void **state) {
  (void)state;
  ps_client *hasty = client_of(good, 0.2);
  server_script(good, "[{\"silence\":\"accept\",\"repeat\":true}]");
  double begun = seconds_now();
  assert_unanswered(post(hasty, NULL), PS_ERROR_TIMEOUT, PS_OUTCOME_NOT_SENT, 3);
  double passed = seconds_now() - begun;
  assert_true(passed > 0.59 && passed < 4);
  ps_client_free(hasty);
}

static void a_loss_after_the_handshake_is_unknown(void **state) {
  (void)state;
  server_script(good, "[{\"reset\":\"after\",\"repeat\":true}]");
  assert_unanswered(post(client, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
  server_script(good, "[{\"body\":{\"id\":\"cus_1\"},\"cut\":4,\"repeat\":true}]");
  assert_unanswered(post(client, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
}

/* Writing to a connection that is gone must not raise SIGPIPE, which would end this program. */
static void a_lost_upload_raises_no_signal(void **state) {
  enum { SIZE = 4 << 20 };
  (void)state;
  char *content = calloc(1, SIZE);
  ps_value *params = ps_params("purpose", "dispute_evidence", NULL);
  ps_value_set_strn(ps_map_set(ps_map_set(params, "file"), "content"), content, SIZE);
  server_script(good, "[{\"reset\":\"headers\",\"repeat\":true}]");
  assert_unanswered(ps_call(client, PS_FILES_CREATE, NULL, params, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
  ps_value_free(params);
  free(content);
}

static void calls_share_a_tls_connection(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) ps_result_free(get(client, NULL));
  assert_int_equal(server_requests(good), 10);
  assert_int_equal(server_connections(good), 1);
}

static void a_reused_tls_connection_is_not_sent_on_again_silently(void **state) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  (void)state;
  options.max_retries = 0;
  server_script(good, "[{},{\"close\":true},{}]");
  ps_result_free(get(client, NULL));
  assert_unanswered(get(client, &options), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 1);
  assert_int_equal(server_requests(good), 2);
}

static void http2_is_spoken(void **state) {
  (void)state;
  ps_client *c = client_of(http2, -1);
  server_script(http2, "[{\"body\":{\"id\":\"a\"}},{\"status\":402,\"body\":{\"error\":{\"message\":\"m\"}}},{}]");
  ps_result *r = post(c, NULL);
  assert_string_equal(ps_str(ps_data(r), "id"), "a");
  assert_int_equal(ps_result_status(r), 200);
  assert_string_equal(ps_result_header(r, "Content-Type"), "application/json");
  ps_result_free(r);
  r = post(c, NULL);
  assert_int_equal(ps_error_kind(r), PS_ERROR_CARD);
  ps_result_free(r);
  ps_result_free(get(c, NULL));
  assert_int_equal(server_connections(http2), 1);
  ps_value *log = server_log(http2);
  assert_string_equal(ps_str(log, "0.method"), "HTTP/2");
  ps_value_free(log);
  ps_client_free(c);
}

/* A refused stream is what libcurl would send again by itself. */
static void a_lost_http2_stream_is_unknown_and_counted(void **state) {
  static const char *const scripts[] = {
    "[{},{\"stream\":\"reset\",\"repeat\":true}]",
    "[{},{\"stream\":\"refused\",\"repeat\":true}]",
    "[{},{\"stream\":\"goaway\",\"repeat\":true}]",
  };
  (void)state;
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    ps_client *c = client_of(http2, -1);
    server_script(http2, scripts[i]);
    ps_result_free(get(c, NULL));
    assert_unanswered(get(c, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
    assert_unanswered(post(c, NULL), PS_ERROR_CONNECTION, PS_OUTCOME_UNKNOWN, 3);
    assert_int_equal(server_requests(http2), 1 + 3 + 3);
    ps_client_free(c);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(an_unknown_authority_is_refused),
    TEST(the_authority_is_trusted_from_a_file_text_or_folder),
    TEST(the_environment_may_name_the_authority),
    TEST(other_authorities_are_not_trusted_beside),
    TEST(a_certificate_of_another_host_is_refused),
    TEST(a_missing_or_empty_authority_is_a_tls_error),
    TEST(the_systems_bundle_is_not_read),
    TEST(a_handshake_that_fails_was_not_sent),
    TEST(a_silent_handshake_was_not_sent),
    TEST(a_loss_after_the_handshake_is_unknown),
    TEST(a_lost_upload_raises_no_signal),
    TEST(calls_share_a_tls_connection),
    TEST(a_reused_tls_connection_is_not_sent_on_again_silently),
    TEST(http2_is_spoken),
    TEST(a_lost_http2_stream_is_unknown_and_counted),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
