/* Form encoding byte by byte, and multipart bodies, read back by a parser that knows nothing of how they were made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "form.h"
#include "json.h"

/* ---- Form encoding ---- */

static void every_byte_but_the_unreserved_is_escaped(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    const char byte = (char)c;
    char expected[4] = {byte};
    if (c == 0 || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c)) {
      snprintf(expected, sizeof expected, "%%%02X", c);
    }
    ps_buf out = PS_BUF_INIT;
    ps_form_escape(&out, &byte, 1);
    assert_string_equal(ps_buf_text(&out), expected);
    ps_buf_dispose(&out);
  }
}

static void check_form(const char *json, const char *expected) {
  ps_value *v = ps_value_parse(json, strlen(json));
  assert_string_equal(ps_value_error(v), "");
  ps_buf out = PS_BUF_INIT;
  ps_form_encode(&out, v);
  assert_false(out.failed);
  assert_string_equal(ps_buf_text(&out), expected);
  ps_buf_dispose(&out);
  ps_value_free(v);
}

static void names_and_values_keep_their_structure(void **state) {
  (void)state;
  check_form("{}", "");
  check_form("null", "");
  check_form("{\"a\":{\"b\":[{\"c\":1},[true]]},\"d\":null}", "a[b][0][c]=1&a[b][1][0]=true&d=");
  check_form("{\"a\":[],\"b\":{},\"c\":{\"d\":[[]]},\"e\":1}", "e=1");
  check_form("{\"a[b]\":{\"c]d\":\"x&y=z\"}}", "a%5Bb%5D[c%5Dd]=x%26y%3Dz");
  check_form("{\"a\":\"nul\\u0000end\",\"k\\u0000\":1}", "a=nul%00end&k%00=1");
  check_form("{\"\":{\"a\":1,\"\":[2]},\"b\":{\"\":3}}",
             "[a]=1&[][0]=2&b[]=3"); /* an empty key never becomes another */
  check_form("{\"a\":-9223372036854775808,\"b\":0.10,\"c\":123456789012345678901}",
             "a=-9223372036854775808&b=0.10&c=123456789012345678901");
}

static void random_bytes_differ(void **state) {
  (void)state;
  unsigned char a[64] = {0}, b[64] = {0};
  assert_true(ps_random(a, sizeof a) && ps_random(b, sizeof b));
  assert_memory_not_equal(a, b, sizeof a);
  assert_true(ps_random(a, 0));
}

/* ---- An independent reader of multipart/form-data (RFC 7578) ---- */

enum { MOST_PARTS = 16 };

typedef struct {
  char name[200], filename[200], type[100];
  bool is_file;
  const char *content;
  size_t length;
} part;

static void read_parameter(const char *header, const char *name, char *out, size_t size) {
  const char *begin = strstr(header, name);
  *out = '\0';
  if (!begin) return;
  begin += strlen(name);
  const char *end = strchr(begin, '"');
  assert_non_null(end);
  assert_true((size_t)(end - begin) < size);
  memcpy(out, begin, (size_t)(end - begin));
  out[end - begin] = '\0';
}

static void read_part(part *p, const char *begin, const char *end) {
  char head[600];
  const char *blank = memmem(begin, (size_t)(end - begin), "\r\n\r\n", 4);
  assert_non_null(blank);
  assert_true((size_t)(blank - begin) < sizeof head);
  memcpy(head, begin, (size_t)(blank - begin));
  head[blank - begin] = '\0';
  char *second = strstr(head, "\r\n");
  if (second) *second = '\0';
  *p = (part){.content = blank + 4, .length = (size_t)(end - blank) - 4};
  assert_int_equal(strncmp(head, "Content-Disposition: form-data; name=\"", 38), 0);
  read_parameter(head, "; name=\"", p->name, sizeof p->name);
  read_parameter(head, "; filename=\"", p->filename, sizeof p->filename);
  p->is_file = strstr(head, "; filename=\"") != NULL;
  if (second) {
    assert_int_equal(strncmp(second + 2, "Content-Type: ", 14), 0);
    snprintf(p->type, sizeof p->type, "%s", second + 16);
    assert_null(strstr(second + 2, "\r\n")); /* no other header */
  }
}

/* The parts of a body; returns how many. */
static size_t read_parts(const char *content_type, const char *body, size_t length, part *parts) {
  static const char intro[] = "multipart/form-data; boundary=";
  assert_int_equal(strncmp(content_type, intro, strlen(intro)), 0);
  char delimiter[80];
  size_t size = (size_t)snprintf(delimiter, sizeof delimiter, "\r\n--%s", content_type + strlen(intro));
  assert_in_range(size, 20, 74); /* RFC 2046: a boundary has 1 to 70 characters */
  const char *at = body + size - 2, *end = body + length;
  assert_memory_equal(body, delimiter + 2, size - 2);
  size_t count = 0;
  while (memcmp(at, "--\r\n", 4) != 0) {
    assert_memory_equal(at, "\r\n", 2);
    const char *next = memmem(at + 2, (size_t)(end - at) - 2, delimiter, size);
    assert_non_null(next);
    assert_in_range(count, 0, MOST_PARTS - 1);
    read_part(&parts[count++], at + 2, next);
    at = next + size;
    assert_true(end - at >= 4);
  }
  assert_ptr_equal(at + 4, end);
  return count;
}

static void check_part(const part *p, const char *name, const char *content, size_t length) {
  assert_string_equal(p->name, name);
  assert_int_equal(p->length, length);
  assert_memory_equal(p->content, content, length);
}

static void check_field(const part *p, const char *name, const char *content) {
  assert_false(p->is_file);
  assert_string_equal(p->type, "");
  check_part(p, name, content, strlen(content));
}

/* ---- Making and reading bodies ---- */

static bool is_file(const void *context, const char *key) {
  (void)context;
  return strncmp(key, "file", 4) == 0 && strncmp(key, "file_", 5) != 0;
}

static ps_multipart *make(const ps_value *params) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  ps_multipart *m = ps_multipart_new(params, is_file, NULL, NULL, &fault);
  assert_string_equal(fault.message, "");
  assert_non_null(m);
  return m;
}

/* Reads to the end, `step` bytes at a time. */
static void drain(const ps_body *body, size_t step, ps_buf *out) {
  char *piece = malloc(step); /* so that a byte too many is seen */
  ptrdiff_t n;
  while ((n = body->read(body->context, piece, step)) > 0) {
    assert_true((size_t)n <= step);
    ps_buf_add(out, piece, (size_t)n);
  }
  free(piece);
  assert_int_equal(n, 0);
  assert_int_equal(out->length, body->length);
}

static ps_value *file_value(ps_value *params, const char *content, size_t length, const char *filename,
                            const char *type) {
  ps_value *file = ps_map_set(params, "file");
  ps_value_set_map(file);
  ps_value_set_strn(ps_map_set(file, "content"), content, length);
  if (filename) ps_value_set_str(ps_map_set(file, "filename"), filename);
  if (type) ps_value_set_str(ps_map_set(file, "type"), type);
  return file;
}

static void fields_and_contents_stand_in_order(void **state) {
  (void)state;
  static const char content[] = "%PDF\0\r\n--pinstripe-\r\n\xff\0";
  ps_value *params = ps_params("purpose", "dispute_evidence", NULL);
  file_value(params, content, sizeof content, "r\xc3\xa9sum\xc3\xa9.pdf", "application/pdf");
  ps_value *link = ps_map_set(params, "file_link_data");
  ps_value_set_bool(ps_map_set(link, "create"), true);
  ps_value_set_int(ps_map_set(link, "expires_at"), -5);
  ps_value_set_str(ps_map_set(ps_map_set(link, "metadata"), "a[b]\"\r\nX-Evil: 1"), "x\r\ny");
  ps_value_set_null(ps_list_add(ps_map_set(link, "tags")));
  ps_value_set_list(ps_map_set(params, "nothing"));
  ps_multipart *m = make(params);
  ps_buf whole = PS_BUF_INIT;
  drain(ps_multipart_body(m), 4096, &whole);
  part parts[MOST_PARTS] = {0};
  assert_int_equal(read_parts(ps_multipart_content_type(m), whole.data, whole.length, parts), 6);
  check_field(&parts[0], "purpose", "dispute_evidence");
  assert_true(parts[1].is_file);
  assert_string_equal(parts[1].filename, "r\xc3\xa9sum\xc3\xa9.pdf");
  assert_string_equal(parts[1].type, "application/pdf");
  check_part(&parts[1], "file", content, sizeof content);
  check_field(&parts[2], "file_link_data[create]", "true");
  check_field(&parts[3], "file_link_data[expires_at]", "-5");
  check_field(&parts[4], "file_link_data[metadata][a[b]%22%0D%0AX-Evil: 1]", "x\r\ny");
  check_field(&parts[5], "file_link_data[tags][0]", "");
  ps_buf_dispose(&whole);
  ps_multipart_free(m);
  ps_value_free(params);
}

static void a_filename_cannot_leave_its_quotes(void **state) {
  (void)state;
  ps_value *params = ps_value_new();
  file_value(params, "x", 1, "a\"; name=\"b\r\nX: y\n.png", NULL);
  ps_multipart *m = make(params);
  ps_buf whole = PS_BUF_INIT;
  drain(ps_multipart_body(m), 100, &whole);
  part parts[MOST_PARTS] = {0};
  assert_int_equal(read_parts(ps_multipart_content_type(m), whole.data, whole.length, parts), 1);
  assert_string_equal(parts[0].name, "file");
  assert_string_equal(parts[0].filename, "a%22; name=%22b%0D%0AX: y%0A.png");
  assert_string_equal(parts[0].type, "application/octet-stream");
  ps_buf_dispose(&whole);
  ps_multipart_free(m);
  ps_value_free(params);
}

static void a_body_without_params_is_only_its_end(void **state) {
  (void)state;
  ps_value *params = ps_value_new();
  ps_value_set_map(params);
  ps_multipart *m = make(params);
  ps_buf whole = PS_BUF_INIT;
  drain(ps_multipart_body(m), 100, &whole);
  part parts[MOST_PARTS] = {0};
  assert_int_equal(read_parts(ps_multipart_content_type(m), whole.data, whole.length, parts), 0);
  ps_buf_dispose(&whole);
  ps_multipart_free(m);
  ps_value_free(params);
}

static void boundaries_differ(void **state) {
  (void)state;
  ps_value *params = ps_params("a", "b", NULL);
  ps_multipart *a = make(params), *b = make(params);
  assert_string_not_equal(ps_multipart_content_type(a), ps_multipart_content_type(b));
  ps_multipart_free(a);
  ps_multipart_free(b);
  ps_value_free(params);
}

/* ---- Files ---- */

static char folder[512];

static const char *path_of(const char *name) {
  static char path[800];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static const char *write_file(const char *name, const char *bytes, size_t length) {
  FILE *f = fopen(path_of(name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, length, f), length);
  assert_int_equal(fclose(f), 0);
  return path_of(name);
}

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "%s/form-XXXXXX", PS_BUILD_DIR);
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    if (unlink(path_of(e->d_name)) != 0) rmdir(path_of(e->d_name));
  }
  if (d) closedir(d);
  return rmdir(folder);
}

static size_t open_files(void) {
  DIR *d = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(d)) count++;
  closedir(d);
  return count;
}

static ps_value *with_path(const char *path) {
  ps_value *params = ps_params("purpose", "identity_document", NULL);
  ps_value_set_str(ps_map_set(ps_map_set(params, "file"), "path"), path);
  ps_value_set_str(ps_map_set(params, "after"), "last");
  return params;
}

static char *megabyte(void) {
  char *bytes = malloc(1 << 20);
  for (uint32_t i = 0, x = 1; i < 1 << 20; i++) bytes[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
  return bytes;
}

static void check_file_body(const char *name, const char *bytes, size_t length, size_t step) {
  ps_value *params = with_path(write_file(name, bytes, length));
  ps_multipart *m = make(params);
  ps_value_free(params);
  ps_buf whole = PS_BUF_INIT;
  drain(ps_multipart_body(m), step, &whole);
  part parts[MOST_PARTS] = {0};
  assert_int_equal(read_parts(ps_multipart_content_type(m), whole.data, whole.length, parts), 3);
  check_field(&parts[0], "purpose", "identity_document");
  assert_string_equal(parts[1].filename, name);
  check_part(&parts[1], "file", bytes, length);
  check_field(&parts[2], "after", "last");
  ps_buf_dispose(&whole);
  ps_multipart_free(m);
}

static void files_of_any_size_are_read_in_any_steps(void **state) {
  (void)state;
  char *bytes = megabyte();
  check_file_body("empty", "", 0, 16);
  check_file_body("one byte", "x", 1, 1);
  for (size_t step = 1; step <= 70; step++) check_file_body("small.bin", bytes, 5 * step + step / 3, step);
  check_file_body("megabyte.bin", bytes, 1 << 20, 4097);
  free(bytes);
}

static void rewinding_gives_the_same_bytes(void **state) {
  (void)state;
  ps_value *params = with_path(write_file("again.txt", "0123456789", 10));
  ps_value *second = ps_map_set(params, "file2"), *copy = ps_value_new();
  ps_value_set_str(ps_map_set(second, "path"), path_of("again.txt"));
  ps_value_copy(copy, params);
  ps_multipart *m = make(params);
  const ps_body *body = ps_multipart_body(m);
  ps_buf first = PS_BUF_INIT;
  drain(body, 64, &first);
  char piece[1000];
  unlink(path_of("again.txt")); /* the open file is sent, whatever becomes of its name */
  for (int64_t stop = 0; stop <= body->length; stop++) {
    assert_true(body->rewind(body->context));
    for (int64_t got = 0; got < stop;) got += body->read(body->context, piece, (size_t)(stop - got));
    assert_true(body->rewind(body->context));
    ps_buf again = PS_BUF_INIT;
    drain(body, 7, &again);
    assert_memory_equal(again.data, first.data, first.length);
    ps_buf_dispose(&again);
  }
  assert_true(ps_value_equal(params, copy)); /* the caller's stay as they are */
  ps_buf_dispose(&first);
  ps_multipart_free(m);
  ps_value_free(params);
  ps_value_free(copy);
}

static void a_file_that_shrinks_fails_and_one_that_grows_does_not(void **state) {
  (void)state;
  char *bytes = megabyte(), piece[4096];
  ps_value *params = with_path(write_file("changing", bytes, 1 << 20));
  ps_multipart *m = make(params);
  const ps_body *body = ps_multipart_body(m);
  FILE *f = fopen(path_of("changing"), "ab");
  assert_int_equal(fputs("more", f) >= 0 && fclose(f) == 0, 1);
  ps_buf whole = PS_BUF_INIT;
  drain(body, 5000, &whole); /* what was announced */
  assert_true(body->rewind(body->context));
  int64_t got = 0;
  for (int i = 0; i < 100; i++) got += body->read(body->context, piece, sizeof piece);
  assert_int_equal(truncate(path_of("changing"), 200000), 0);
  ptrdiff_t n;
  while ((n = body->read(body->context, piece, sizeof piece)) > 0) got += n;
  assert_int_equal(n, -1);
  assert_int_equal(body->read(body->context, piece, sizeof piece), -1); /* and stays so: never an early end */
  assert_true(got < body->length);
  ps_buf_dispose(&whole);
  ps_multipart_free(m);
  ps_value_free(params);
  free(bytes);
}

static void refuse(const ps_value *params, const char *expected) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  size_t before = open_files();
  ps_multipart *m = ps_multipart_new(params, is_file, NULL, NULL, &fault);
  assert_null(m);
  assert_int_equal(fault.kind, PS_ERROR_USAGE);
  assert_int_equal(fault.outcome, PS_OUTCOME_NOT_SENT);
  if (!strstr(fault.message, expected)) assert_string_equal(fault.message, expected);
  assert_int_equal(open_files(), before);
}

static void a_path_that_is_no_readable_file_is_refused(void **state) {
  (void)state;
  char missing[800], beyond[810], pipe_path[800];
  snprintf(missing, sizeof missing, "%s", path_of("missing"));
  snprintf(beyond, sizeof beyond, "%s/x", write_file("plain", "x", 1));
  snprintf(pipe_path, sizeof pipe_path, "%s", path_of("pipe"));
  assert_int_equal(mkfifo(pipe_path, 0600), 0);
  const struct {
    const char *path, *message;
  } rows[] = {
    {missing, "missing: No such file or directory"},
    {beyond, "/x: Not a directory"},
    {folder, "is not a regular file"},
    {pipe_path, "pipe is not a regular file"},
    {"/dev/zero", "/dev/zero is not a regular file"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ps_value *params = with_path(rows[i].path);
    refuse(params, rows[i].message);
    refuse(params, "params.file.path: ");
    ps_value_free(params);
  }
}

static void refuse_json(const char *json, const char *expected) {
  ps_value *params = ps_value_parse(json, strlen(json));
  assert_string_equal(ps_value_error(params), "");
  refuse(params, expected);
  ps_value_free(params);
}

static void a_file_that_is_neither_path_nor_content_is_refused(void **state) {
  (void)state;
  static const char wrong[] =
    "params.file must be {path = ...}, or {content = ..., filename = ..., type = ...}, or have a reader";
  refuse_json("{\"file\":\"/etc/passwd\"}", wrong);
  refuse_json("{\"file\":null}", wrong);
  refuse_json("{\"file\":[\"x\"]}", wrong);
  refuse_json("{\"file\":{}}", wrong);
  refuse_json("{\"file\":{\"content\":7}}", wrong);
  refuse_json("{\"file\":{\"path\":\"/dev/zero\",\"content\":\"x\"}}", wrong);
  refuse_json("{\"file\":{\"content\":\"x\",\"type\":\"a/b\\r\\nX: y\"}}",
              "params.file.type holds a control character");
  refuse_json("{\"file\":{\"path\":\"/etc/passwd\\u0000.png\"}}", "params.file.path holds a NUL");
  refuse_json("{\"file\":{\"content\":\"x\",\"filename\":\"a\\u0000.png\"}}", "params.file.filename holds a NUL");
}

static void files_are_closed(void **state) {
  (void)state;
  size_t before = open_files();
  ps_value *params = with_path(write_file("closed", "x", 1));
  ps_multipart *m = make(params);
  assert_int_equal(open_files(), before + 1);
  ps_multipart_free(m);
  assert_int_equal(open_files(), before);
  ps_value_set_str(ps_map_set(params, "file3"), "wrong"); /* the first file is open by then */
  refuse(params, "params.file3 must be");
  ps_value_free(params);
  ps_multipart_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_byte_but_the_unreserved_is_escaped),
    cmocka_unit_test(names_and_values_keep_their_structure),
    cmocka_unit_test(random_bytes_differ),
    cmocka_unit_test(fields_and_contents_stand_in_order),
    cmocka_unit_test(a_filename_cannot_leave_its_quotes),
    cmocka_unit_test(a_body_without_params_is_only_its_end),
    cmocka_unit_test(boundaries_differ),
    cmocka_unit_test(files_of_any_size_are_read_in_any_steps),
    cmocka_unit_test(rewinding_gives_the_same_bytes),
    cmocka_unit_test(a_file_that_shrinks_fails_and_one_that_grows_does_not),
    cmocka_unit_test(a_path_that_is_no_readable_file_is_refused),
    cmocka_unit_test(a_file_that_is_neither_path_nor_content_is_refused),
    cmocka_unit_test(files_are_closed),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
