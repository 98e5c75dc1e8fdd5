/* Uploads from sources of the caller's, and downloads into files and through the window, against real sockets that are cut:
 * no byte is lost or given twice, no part ever bears the file's name, and the key goes nowhere else. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server.h"

#include <cmocka.h>

static test_clock hours;
static ps_client *client;
static char folder[64], path[100];
static const char *const quote[] = {"qt_1", NULL};

static int begin(void **state) {
  (void)state;
  test_clock_init(&hours);
  client = client_to(server_url(it), NULL);
  ps_client_set_clock(client, &hours.clock);
  snprintf(folder, sizeof folder, "/tmp/pinstripe-files-XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/quote.pdf", folder);
  return 0;
}

/* What the folder holds, apart from the file. */
static size_t strangers(void) {
  size_t count = 0;
  DIR *d = opendir(folder);
  for (struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.' && strcmp(e->d_name, "quote.pdf") != 0;
  closedir(d);
  return count;
}

static int end(void **state) {
  (void)state;
  assert_int_equal(strangers(), 0);
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
  ps_client_free(client);
  return 0;
}

/* That `bytes` are the first `size` of the server's file. */
static void assert_bytes(const char *bytes, size_t length, size_t size) {
  char expected[24];
  assert_int_equal(length, size);
  for (size_t i = 0; i < size; i++) {
    if (i % 8 == 0) snprintf(expected, sizeof expected, "%08zu", i / 8);
    if (bytes[i] != expected[i % 8]) fail_msg("byte %zu is %c, not %c", i, bytes[i], expected[i % 8]);
  }
}

static void read_all(ps_buf *out) {
  char piece[4096];
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) ps_buf_add(out, piece, n);
  fclose(f);
}

static void assert_file(size_t size) {
  ps_buf bytes = PS_BUF_INIT;
  read_all(&bytes);
  assert_bytes(bytes.data, bytes.length, size);
  ps_buf_dispose(&bytes);
}

static ps_result *save(void) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.save_to = path;
  return ps_call(client, PS_QUOTES_PDF, quote, NULL, &options);
}

static void assert_saved(size_t size) {
  ps_result *r = save();
  if (!ps_result_ok(r)) fail_msg("%s", ps_error_message(r));
  size_t length;
  ps_result_body(r, &length);
  assert_int_equal(length, 0);
  ps_result_free(r);
  assert_file(size);
}

/* The call's message must hold this, and nothing lie in the folder. */
static void assert_failed(ps_result *r, const char *kind, const char *message, int attempts) {
  assert_string_equal(ps_error_kind_name(ps_error_kind(r)), kind);
  if (!strstr(ps_error_message(r), message)) fail_msg("%s", ps_error_message(r));
  assert_int_equal(ps_result_attempts(r), attempts);
  ps_result_free(r);
  assert_int_equal(strangers(), 0);
}

static void assert_asked_for(size_t request, const char *range) {
  ps_value *log = server_log(it);
  const ps_value *headers = ps_get(ps_list_get(log, request), "headers");
  assert_string_equal(ps_str(headers, "range"), range);
  if (*range) assert_true(*ps_str(headers, "if-range") == '"');
  else assert_string_equal(ps_str(headers, "if-range"), "");
  ps_value_free(log);
}

/* ---- Into a file ---- */

static void a_file(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[3000001,\"\\\"a\\\"\"]},{\"file\":[5,null]},{\"file\":[0,null]}]");
  assert_saved(3000001);
  assert_asked_for(0, "");
  assert_saved(5); /* in place of the former */
  assert_saved(0);
}

static void a_cut_file_goes_on_where_it_was(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":70000},{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":30000},"
                    "{\"file\":[200000,\"\\\"a\\\"\"]}]");
  assert_saved(200000);
  assert_asked_for(1, "bytes=70000-");
  assert_asked_for(2, "bytes=100000-");
  assert_int_equal(server_requests(it), 3);
}

#define CUT(bytes) "{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":" #bytes "}"

/* An attempt that came further is no failure in a row. */
static void a_file_that_is_cut_again_and_again(void **state) {
  (void)state;
  server_script(it, "[" CUT(30000) "," CUT(30000) "," CUT(30000) ",{\"close\":true}," CUT(
                      30000) ",{\"status\":500}," CUT(30000) "," CUT(49999) ",{\"file\":[200000,\"\\\"a\\\"\"]}]");
  assert_saved(200000);
  assert_asked_for(8, "bytes=199999-");
  server_script(it, "[" CUT(30000) ",{\"close\":true}," CUT(1) ",{\"close\":true}," CUT(0) "]");
  assert_failed(save(), "connection", "", 5);
}

/* What is sent from its beginning each time comes no further. */
static void a_file_that_never_comes_further(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[99,null],\"cut\":9,\"repeat\":true}]");
  assert_failed(save(), "connection", "", 3);
}

static void progress_is_bounded_by_the_deadline_and_by_no_retries(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.save_to = path;
  options.deadline = 2;
  server_script(it, "[{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":5,\"repeat\":true}]");
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "connection", "", 3); /* waits of 750 ms */
  options.deadline = -1;
  options.max_retries = 0;
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "connection", "", 1);
}

static void a_file_that_has_changed_begins_anew(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":70000},{\"file\":[1000,\"\\\"b\\\"\"]}]");
  assert_saved(1000);
  assert_asked_for(1, "bytes=70000-");
}

/* What the first answer allowed is not asked of another file. */
static void a_file_that_has_changed_and_is_cut_again(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":70000},{\"file\":[1000,\"W/\\\"b\\\"\"],\"cut\":500},"
                    "{\"file\":[1000,null]}]");
  assert_saved(1000);
  assert_asked_for(1, "bytes=70000-");
  assert_asked_for(2, "");
}

static void what_cannot_be_asked_for_in_parts_begins_anew(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[200000,null],\"cut\":70000},{\"file\":[200000,null]}]");
  assert_saved(200000);
  assert_asked_for(1, "");
  server_script(it, "[{\"file\":[200000,\"W/\\\"a\\\"\"],\"cut\":70000},{\"file\":[200000,null]}]");
  assert_saved(200000);
  assert_asked_for(1, "");
}

static void a_wrong_range_is_an_error(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[200000,\"\\\"a\\\"\"],\"cut\":70000},"
                    "{\"status\":206,\"body\":\"abc\",\"headers\":{\"content-range\":\"bytes 7000-7002/9000\"}}]");
  assert_failed(save(), "protocol", "another range", 2);
  assert_int_equal(access(path, F_OK), -1);
}

/* A file of 20 bytes is cut after 10; `second` are the headers of what the server sends then, 5 bytes. */
static void assert_no_rest(const char *second, const char *message) {
  char script[400];
  snprintf(script, sizeof script,
           "[{\"file\":[20,\"\\\"a\\\"\"],\"cut\":10},{\"status\":206,\"body\":\"abcde\",\"headers\":{%s}}]", second);
  server_script(it, script);
  assert_failed(save(), "protocol", message, 2);
  assert_int_equal(access(path, F_OK), -1);
}

static void a_rest_that_is_not_all_or_not_of_this_file(void **state) {
  (void)state;
  assert_no_rest("\"content-range\":\"bytes 10-14/20\",\"etag\":\"\\\"a\\\"\"", "not say that it sends all the rest");
  assert_no_rest("\"content-range\":\"bytes 10-14/*\"", "not say that it sends all the rest");
  assert_no_rest("\"content-range\":\"bytes 10-19/20\"", "ended after 15 of 20 bytes");
  assert_no_rest("\"content-range\":\"bytes 10-/20\"", "not say that it sends all the rest");
  assert_no_rest("\"content-range\":\"bytes 10-19/*\"", "ended after 15 of 20 bytes");
  assert_no_rest("\"content-range\":\"10-19/20\"", "another range");
  assert_no_rest("\"content-range\":\"bytes 10-14/15\"", "another file's");
  assert_no_rest("\"content-range\":\"bytes 10-14/20\",\"etag\":\"\\\"b\\\"\"", "another file's");
  server_script(it, "[{\"status\":206,\"body\":\"abcde\",\"headers\":{\"content-range\":\"bytes 0-4/5\"}}]");
  assert_failed(save(), "protocol", "another range", 1);
}

/* The first answer does not tell the size; the second does. */
static void a_size_that_is_told_late(void **state) {
  (void)state;
  const char *first =
    "{\"raw\":\"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\nETag: \\\"a\\\"\\r\\nAccept-Ranges: "
    "bytes\\r\\n\\r\\n8\\r\\n00000000\\r\\n\"}";
  char script[500];
  snprintf(script, sizeof script,
           "[%s,{\"status\":206,\"body\":\"00000001\",\"headers\":{\"content-range\":\"bytes 8-15/24\"}}]", first);
  server_script(it, script);
  assert_failed(save(), "protocol", "not say that it sends all the rest", 2);
  snprintf(script, sizeof script,
           "[%s,{\"status\":206,\"body\":\"00000001\",\"headers\":{\"content-range\":\"bytes 8-15/*\"}}]", first);
  server_script(it, script);
  assert_failed(save(), "protocol", "not say that it sends all the rest", 2);
  assert_int_equal(access(path, F_OK), -1);
  snprintf(script, sizeof script, "[%s,{\"file\":[24,\"\\\"a\\\"\"]}]", first);
  server_script(it, script);
  assert_saved(24);
  assert_asked_for(1, "bytes=8-");
}

static void no_other_status_has_the_contents(void **state) {
  (void)state;
  ps_call_options raw = PS_CALL_OPTIONS_INIT;
  raw.raw = 1;
  server_script(it, "[{\"status\":204,\"body\":\"\"},{\"status\":202,\"body\":\"{}\"},{\"status\":202,\"body\":\"{}\"},"
                    "{\"status\":202,\"body\":\"{}\"}]");
  assert_failed(save(), "protocol", "an answer with status 204 (", 1);
  assert_failed(save(), "protocol", "an answer with status 202 (Content-Encoding identity) has not", 1);
  assert_int_equal(access(path, F_OK), -1);
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, NULL), "protocol", "status 202", 1);
  ps_result *r = ps_request(client, "GET", "/v1/brand_new", NULL, &raw); /* as it came */
  assert_true(ps_result_ok(r));
  assert_string_equal(ps_result_body(r, NULL), "{}");
  ps_result_free(r);
}

static void a_link_stays_one(void **state) {
  (void)state;
  char target[sizeof path + 8];
  struct stat info;
  snprintf(target, sizeof target, "%s.target", path);
  FILE *f = fopen(target, "wb");
  assert_true(f && fclose(f) == 0);
  assert_int_equal(symlink(target, path), 0);
  server_script(it, "[{\"file\":[80,null]}]");
  ps_result_free(save());
  assert_int_equal(lstat(path, &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_file(80);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rename(target, path), 0);
  assert_file(80);
}

static void a_failure_leaves_what_was_there(void **state) {
  (void)state;
  server_script(it, "[{\"file\":[8,null]},{\"status\":404,\"body\":{\"error\":{\"message\":\"no such quote\"}}},"
                    "{\"file\":[99,null],\"cut\":9},{\"close\":true},{\"close\":true}]");
  assert_saved(8);
  assert_failed(save(), "invalid_request", "no such quote", 1);
  assert_file(8);
  assert_failed(save(), "connection", "", 3);
  assert_file(8);
}

static void a_place_that_cannot_be_written_is_told_first(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  server_script(it, "[]");
  options.save_to = "/nonexistent/quote.pdf";
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "usage", "/nonexistent/quote.pdf", 0);
  options.save_to = folder;
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "usage", "directory", 0);
  options.save_to = "";
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "usage", "must be the path of a file", 0);
  assert_int_equal(mkfifo(path, 0600), 0); /* what is no file is not replaced by one */
  options.save_to = path;
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "usage", "pipe", 0);
  assert_int_equal(unlink(path), 0);
  assert_failed(ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, &options), "usage", "downloads", 0);
  assert_int_equal(server_requests(it), 0);
}

/* No file of this process may grow beyond 100,000 bytes. */
static void a_full_disk(void **state) {
  (void)state;
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit tight = {100000, before.rlim_max};
  server_script(it, "[{\"file\":[200000,\"\\\"a\\\"\"]}]");
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &tight);
  ps_result *r = save();
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_DFL);
  assert_failed(r, "usage", "cannot write", 1);
  assert_int_equal(access(path, F_OK), -1);
}

/* ---- To memory, and through the window ---- */

static void memory_has_a_cap(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  server_script(it, "[{\"file\":[5000,null]},{\"file\":[5000,null]}]");
  options.max_body = 5000;
  ps_result *r = ps_call(client, PS_QUOTES_PDF, quote, NULL, &options);
  size_t length;
  const char *body = ps_result_body(r, &length);
  assert_bytes(body, length, 5000);
  ps_result_free(r);
  options.max_body = 4999;
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "too_large", "4999", 1);
}

/* Takes slowly: the most that ever lay in the window. */
static ps_result *stream(ps_buf *out, size_t *most) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.stream = 1;
  ps_exchange *x = ps_exchange_new(client, PS_QUOTES_PDF, quote, NULL, &options);
  for (ps_step step = PS_SEND; step != PS_DONE;) {
    size_t length;
    step = ps_exchange_run(x, 5);
    const char *bytes = ps_exchange_take(x, &length);
    if (length > *most) *most = length;
    ps_buf_add(out, bytes, length);
    assert_string_equal(ps_exchange_take(x, &length), "");
    assert_int_equal(length, 0);
  }
  int64_t done, total;
  ps_exchange_progress(x, &done, &total);
  assert_int_equal(done, out->length);
  ps_result *r = ps_exchange_result(x);
  ps_exchange_free(x);
  return r;
}

static void bytes_through_the_window(void **state) {
  (void)state;
  ps_buf bytes = PS_BUF_INIT;
  size_t most = 0;
  server_script(it, "[{\"file\":[9000000,\"\\\"a\\\"\"],\"cut\":4000000},{\"file\":[9000000,\"\\\"a\\\"\"]}]");
  ps_result *r = stream(&bytes, &most);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  assert_bytes(bytes.data, bytes.length, 9000000);
  assert_true(most > 0 && most < (2 << 20));
  assert_asked_for(1, "bytes=4000000-");
  ps_buf_dispose(&bytes);
}

/* Whole or not: libcurl does not tell that the end of a compressed stream is missing. */
static void compressed_bytes_are_refused(void **state) {
  (void)state;
  ps_call_options raw = PS_CALL_OPTIONS_INIT;
  ps_buf bytes = PS_BUF_INIT;
  size_t most;
  raw.raw = 1;
#define PRESSED "{\"file\":[200000,null],\"gzip\":true,\"chunked\":true,\"repeat\":true}"
  server_script(it, "[" PRESSED "]");
  assert_failed(save(), "protocol", "status 200 (Content-Encoding gzip)", 1);
  assert_int_equal(access(path, F_OK), -1);
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, NULL), "protocol", "Content-Encoding gzip", 1);
  assert_failed(ps_request(client, "GET", "/v1/brand_new", NULL, &raw), "protocol", "Content-Encoding gzip", 1);
  assert_failed(stream(&bytes, &most), "protocol", "Content-Encoding gzip", 1);
  assert_int_equal(bytes.length, 0);
  ps_buf_dispose(&bytes);
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 4);
  for (const ps_value *r = ps_first(log); r; r = ps_next(r)) {
    assert_string_equal(ps_str(r, "headers.accept-encoding"), "identity");
  }
  ps_value_free(log);
}

static void what_went_through_the_window_is_not_given_twice(void **state) {
  (void)state;
  ps_buf bytes = PS_BUF_INIT;
  size_t most = 0;
  server_script(it, "[{\"file\":[9000,null],\"cut\":4000}]");
  assert_failed(stream(&bytes, &most), "connection", "(not sent again: what has arrived cannot be taken back)", 1);
  assert_bytes(bytes.data, bytes.length, 4000);
  bytes.length = 0;
  server_script(it, "[{\"file\":[9000,\"\\\"a\\\"\"],\"cut\":4000},{\"file\":[9000,\"\\\"b\\\"\"]}]");
  assert_failed(stream(&bytes, &most), "protocol", "cannot send the rest alone", 2);
  assert_bytes(bytes.data, bytes.length, 4000);
  bytes.length = 0;
  server_script(it, "[{\"close\":true},{\"file\":[9000,null]}]");
  ps_result *r = stream(&bytes, &most);
  assert_true(ps_result_ok(r));
  ps_result_free(r);
  assert_bytes(bytes.data, bytes.length, 9000);
  ps_buf_dispose(&bytes);
}

static void a_window_whose_bytes_find_no_place(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  size_t length;
  options.stream = 1;
  server_script(it, "[{\"file\":[9000000,\"\\\"a\\\"\"],\"repeat\":true}]");
  ps_exchange *x = ps_exchange_new(client, PS_QUOTES_PDF, quote, NULL, &options);
  ps_exchange_run(x, -1);
  assert_true(*ps_exchange_take(x, &length) == '0' && length > 0);
  ps_exchange_fail(x, "the tape is full");
  ps_exchange_fail(x, "and torn");
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  ps_exchange_fail(x, "too late");
  assert_failed(ps_exchange_result(x), "usage", "the tape is full", 1);
  ps_exchange_free(x);
}

static void a_window_that_nobody_empties_ends(void **state) {
  (void)state;
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  options.stream = 1;
  server_script(it, "[{\"file\":[9000000,null]}]");
  assert_failed(ps_call(client, PS_QUOTES_PDF, quote, NULL, &options), "cancelled", "", 1);
}

/* ---- Addresses of files ---- */

static void addresses(void **state) {
  (void)state;
  char url[200];
  server_script(it, "[{\"file\":[80,null]},{\"file\":[80,null]},{\"file\":[80,null]}]");
  snprintf(url, sizeof url, "%s/v1/files/file_1/contents", server_url(it));
  ps_result *r = ps_file_download(client, url, NULL);
  size_t length;
  assert_bytes(ps_result_body(r, &length), 80, 80);
  ps_result_free(r);
  ps_result_free(ps_file_download(client, "/v1/files/file_1/contents", NULL));
  snprintf(url, sizeof url, "%s/links/abc?x=1", server_url(it));
  ps_result_free(ps_file_download(client, url, NULL));
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 3);
  assert_string_equal(ps_str(log, "0.headers.authorization"), "Bearer " TEST_KEY);
  assert_string_equal(ps_str(log, "1.path"), "/v1/files/file_1/contents");
  assert_string_equal(ps_str(log, "1.headers.authorization"), "Bearer " TEST_KEY);
  assert_string_equal(ps_str(log, "2.path"), "/links/abc?x=1");
  assert_null(ps_map_get(ps_get(log, "2.headers"), "authorization", 13));
  ps_value_free(log);
}

static void other_addresses_are_refused(void **state) {
  (void)state;
  char url[200];
  static const char *const wrong[] = {"https://evil.example/links/a", "//evil.example/links/a", "http://127.0.0.1",
                                      "file:///etc/passwd",           "/\\evil.example",        ""};
  server_script(it, "[]");
  assert_failed(ps_file_download(client, NULL, NULL), "usage", "not an address", 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_failed(ps_file_download(client, wrong[i], NULL), "usage", "", 0);
  }
  snprintf(url, sizeof url, "%s@evil.example/x", server_url(it));
  assert_failed(ps_file_download(client, url, NULL), "usage", "not an address of Stripe's files", 0);
  snprintf(url, sizeof url, "%s.evil.example/x", server_url(it));
  assert_failed(ps_file_download(client, url, NULL), "usage", "not an address of Stripe's files", 0);
  assert_int_equal(server_requests(it), 0);
}

/* Whoever has the address of a link may read it: nothing of the account goes there. */
static void a_link_is_told_of_no_account(void **state) {
  (void)state;
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  options.stripe_account = "acct_1";
  options.stripe_context = "acct_2";
  ps_client *platform = client_to(server_url(it), &options);
  server_script(it, "[{\"file\":[80,null]},{\"file\":[80,null]}]");
  ps_result_free(ps_file_download(platform, "/links/abc", NULL));
  ps_result_free(ps_file_download(platform, "/v1/files/file_1/contents", NULL));
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 2);
  assert_string_equal(ps_str(log, "0.headers.stripe-account"), "");
  assert_string_equal(ps_str(log, "0.headers.stripe-context"), "");
  assert_string_equal(ps_str(log, "1.headers.stripe-account"), "acct_1");
  assert_string_equal(ps_str(log, "1.headers.stripe-context"), "acct_2");
  ps_value_free(log);
  ps_client_free(platform);
}

static void a_link_that_has_expired(void **state) {
  (void)state;
  server_script(it, "[{\"status\":404,\"body\":\"<html>This link has expired</html>\"}]");
  ps_result *r = ps_file_download(client, "/links/abc", NULL);
  assert_int_equal(ps_result_status(r), 404);
  assert_failed(r, "protocol", "This link has expired", 1);
}

/* ---- Uploads ---- */

typedef struct {
  const char *text;
  size_t position, rewinds;
  bool fails, stands; /* stands: it cannot be rewound */
} source;

static ptrdiff_t source_read(void *context, char *buffer, size_t size) {
  source *s = context;
  size_t left = strlen(s->text) - s->position, n = left < size ? left : size;
  if (s->fails && s->position > 0) return -1;
  if (n > 3) n = 3;
  memcpy(buffer, s->text + s->position, n);
  s->position += n;
  return (ptrdiff_t)n;
}

static bool source_rewind(void *context) {
  source *s = context;
  s->position = 0;
  s->rewinds++;
  return !s->stands;
}

static const char *source_reason(void *context) { return ((source *)context)->fails ? "disk on fire" : "it is a pipe"; }

static ps_result *upload(const ps_body *file) {
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  ps_value *params = ps_params("purpose", "dispute_evidence", "file[filename]", "a.txt", NULL);
  options.file = file;
  ps_result *r = ps_call(client, PS_FILES_CREATE, NULL, params, &options);
  ps_value_free(params);
  return r;
}

static void a_source_of_ones_own(void **state) {
  (void)state;
  source s = {.text = "hello, this is evidence"};
  ps_body known = {23, source_read, source_rewind, &s, NULL}, unknown = {-1, source_read, source_rewind, &s, NULL};
  server_script(it, "[]");
  for (int i = 0; i < 2; i++) {
    s.position = 0;
    ps_result *r = upload(i ? &unknown : &known);
    assert_true(ps_result_ok(r));
    assert_non_null(strstr(ps_str(ps_data(r), "body"), "\r\n\r\nhello, this is evidence\r\n--"));
    assert_non_null(strstr(ps_str(ps_data(r), "body"), "filename=\"a.txt\""));
    assert_string_equal(ps_str(ps_data(r), "headers.transfer-encoding"), i ? "chunked" : "");
    ps_result_free(r);
  }
}

static void a_source_is_rewound_to_be_sent_again(void **state) {
  (void)state;
  source s = {.text = "hello, this is evidence"};
  ps_body body = {-1, source_read, source_rewind, &s, NULL};
  server_script(it, "[{\"status\":500,\"body\":{}},{\"close\":true}]");
  ps_result *r = upload(&body);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 3);
  assert_int_equal(s.rewinds, 2);
  assert_non_null(strstr(ps_str(ps_data(r), "body"), "\r\n\r\nhello, this is evidence\r\n--"));
  ps_result_free(r);
  ps_value *log = server_log(it);
  assert_string_equal(ps_str(log, "0.headers.idempotency-key"), ps_str(log, "2.headers.idempotency-key"));
  ps_value_free(log);
}

static void a_source_without_rewind_is_sent_once(void **state) {
  (void)state;
  source s = {.text = "hello"};
  ps_body body = {5, source_read, NULL, &s, NULL};
  server_script(it, "[{\"status\":500,\"body\":{\"error\":{\"message\":\"oops\"}}}]");
  assert_failed(upload(&body), "api", "oops (not sent again: the body cannot be read a second time)", 1);
  server_script(it, "[{\"close\":true}]");
  s.position = 0;
  assert_failed(upload(&body), "connection", "(not sent again: the body", 1);
  server_script(it, "[{\"status\":400,\"body\":{\"error\":{\"message\":\"wrong\"}}}]");
  s.position = 0;
  ps_result *r = upload(&body);
  assert_null(strstr(ps_error_message(r), "again"));
  assert_failed(r, "invalid_request", "wrong", 1);
}

static void a_source_that_fails(void **state) {
  (void)state;
  source s = {.text = "hello", .fails = true};
  ps_body body = {5, source_read, source_rewind, &s, NULL}, longer = {500, source_read, source_rewind, &s, NULL};
  server_script(it, "[]");
  assert_failed(upload(&body), "usage", "could not be read to its end", 1);
  s = (source){.text = "hello"};
  assert_failed(upload(&longer), "usage", "could not be read to its end: it has fewer bytes than its length says", 1);
}

static void a_source_says_why_it_fails(void **state) {
  (void)state;
  source s = {.text = "hello", .fails = true};
  ps_body body = {5, source_read, source_rewind, &s, source_reason};
  server_script(it, "[]");
  assert_failed(upload(&body), "usage", "could not be read to its end: disk on fire", 1);
  server_script(it, "[{\"status\":500,\"body\":{}}]");
  s = (source){.text = "hello", .stands = true};
  assert_failed(upload(&body), "usage", "could not be rewound to be sent again: it is a pipe", 1);
}

static void a_file_that_shrinks(void **state) {
  (void)state;
  FILE *f = fopen(path, "wb");
  assert_true(f && fwrite(folder, 1, sizeof folder, f) == sizeof folder && fclose(f) == 0);
  ps_value *params = ps_params("purpose", "dispute_evidence", "file[path]", path, NULL);
  ps_exchange *x = ps_exchange_new(client, PS_FILES_CREATE, NULL, params, NULL);
  assert_int_equal(truncate(path, 5), 0);
  ps_exchange_run(x, -1);
  assert_failed(ps_exchange_result(x), "usage", "could not be read to its end: the file has shrunk", 1);
  ps_exchange_free(x);
  ps_value_free(params);
}

static void one_place_alone_has_the_bytes(void **state) {
  (void)state;
  source s = {.text = "hello"};
  ps_body body = {5, source_read, source_rewind, &s, NULL};
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  ps_value *params = ps_params("purpose", "dispute_evidence", "file[content]", "abc", NULL);
  options.file = &body;
  server_script(it, "[]");
  assert_failed(upload(NULL), "usage", "params.file must be", 0);
  ps_result *r = ps_call(client, PS_FILES_CREATE, NULL, params, &options);
  assert_true(ps_result_ok(r)); /* content in the map wins; the option is for a map without */
  assert_non_null(strstr(ps_str(ps_data(r), "body"), "\r\n\r\nabc\r\n--"));
  ps_result_free(r);
  ps_value_free(params);
}

/* Feeds `text` in pieces of `size`, anew for each attempt; `fail_at`: which piece cannot be read, and why, or NULL. */
static ps_result *feed(const char *map, const char *text, size_t size, int fail_at, const char *why) {
  ps_value *params = ps_value_parse(map, strlen(map));
  ps_exchange *x = ps_exchange_new(client, PS_FILES_CREATE, NULL, params, NULL);
  int attempt = 0, pieces = 0;
  size_t at = 0;
  ps_value_free(params);
  while (ps_exchange_run(x, -1) != PS_DONE) {
    assert_true(ps_exchange_hungry(x) > 0);
    if (ps_exchange_hungry(x) != attempt) at = 0;
    attempt = ps_exchange_hungry(x);
    size_t left = strlen(text) - at, n = left < size ? left : size;
    if (++pieces == fail_at && why) ps_exchange_fail(x, why);
    else if (pieces == fail_at) ps_exchange_feed(x, NULL, 0);
    else ps_exchange_feed(x, text + at, n);
    at += n;
  }
  assert_int_equal(ps_exchange_hungry(x), 0);
  ps_result *r = ps_exchange_result(x);
  ps_exchange_free(x);
  return r;
}

#define FED(more) "{\"purpose\":\"dispute_evidence\",\"file\":{\"feed\":true,\"filename\":\"a.txt\"" more "}}"

static void bytes_that_are_fed(void **state) {
  (void)state;
  static const char *const maps[] = {FED(""), FED(",\"length\":23"), FED(",\"rewind\":true")};
  server_script(it, "[]");
  for (size_t i = 0; i < 3; i++) {
    ps_result *r = feed(maps[i], "hello, this is evidence", 5 + i, 0, NULL);
    if (!ps_result_ok(r)) fail_msg("%s", ps_error_message(r));
    assert_non_null(strstr(ps_str(ps_data(r), "body"), "\r\n\r\nhello, this is evidence\r\n--"));
    assert_string_equal(ps_str(ps_data(r), "headers.transfer-encoding"), i == 1 ? "" : "chunked");
    ps_result_free(r);
  }
}

static void fed_bytes_are_asked_for_again(void **state) {
  (void)state;
  server_script(it, "[{\"status\":500,\"body\":{}},{\"reset\":\"headers\"}]");
  ps_result *r = feed(FED(",\"rewind\":true"), "hello, this is evidence", 4, 0, NULL);
  if (!ps_result_ok(r)) fail_msg("%s", ps_error_message(r));
  assert_int_equal(ps_result_attempts(r), 3);
  assert_non_null(strstr(ps_str(ps_data(r), "body"), "\r\n\r\nhello, this is evidence\r\n--"));
  ps_result_free(r);
  server_script(it, "[{\"status\":500,\"body\":{\"error\":{\"message\":\"oops\"}}}]");
  assert_failed(feed(FED(""), "hello", 4, 0, NULL), "api", "(not sent again: the body", 1);
}

static void feeding_fails(void **state) {
  (void)state;
  server_script(it, "[]");
  assert_failed(feed(FED(""), "hello", 1, 3, NULL), "usage", "could not be read to its end", 1);
  assert_failed(feed(FED(""), "hello", 1, 3, "tape torn"), "usage", "could not be read to its end: tape torn", 1);
  assert_failed(feed(FED(",\"length\":50"), "hello", 1, 0, NULL), "usage", "could not be read to its end", 1);
  ps_value *params = ps_value_parse(FED(""), strlen(FED("")));
  assert_failed(ps_call(client, PS_FILES_CREATE, NULL, params, NULL), "cancelled", "", 1);
  ps_value_free(params);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
  const struct CMUnitTest tests[] = {
    TEST(a_file),
    TEST(a_cut_file_goes_on_where_it_was),
    TEST(a_file_that_is_cut_again_and_again),
    TEST(a_file_that_never_comes_further),
    TEST(progress_is_bounded_by_the_deadline_and_by_no_retries),
    TEST(a_file_that_has_changed_begins_anew),
    TEST(a_file_that_has_changed_and_is_cut_again),
    TEST(what_cannot_be_asked_for_in_parts_begins_anew),
    TEST(a_wrong_range_is_an_error),
    TEST(a_rest_that_is_not_all_or_not_of_this_file),
    TEST(a_size_that_is_told_late),
    TEST(no_other_status_has_the_contents),
    TEST(a_link_stays_one),
    TEST(a_failure_leaves_what_was_there),
    TEST(a_place_that_cannot_be_written_is_told_first),
    TEST(a_full_disk),
    TEST(memory_has_a_cap),
    TEST(bytes_through_the_window),
    TEST(compressed_bytes_are_refused),
    TEST(what_went_through_the_window_is_not_given_twice),
    TEST(a_window_whose_bytes_find_no_place),
    TEST(a_window_that_nobody_empties_ends),
    TEST(addresses),
    TEST(other_addresses_are_refused),
    TEST(a_link_is_told_of_no_account),
    TEST(a_link_that_has_expired),
    TEST(a_source_of_ones_own),
    TEST(a_source_is_rewound_to_be_sent_again),
    TEST(a_source_without_rewind_is_sent_once),
    TEST(a_source_that_fails),
    TEST(a_source_says_why_it_fails),
    TEST(a_file_that_shrinks),
    TEST(one_place_alone_has_the_bytes),
    TEST(bytes_that_are_fed),
    TEST(fed_bytes_are_asked_for_again),
    TEST(feeding_fails),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
