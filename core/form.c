/* Form encoding, and multipart/form-data (RFC 7578) as a body.
 *
 * A multipart body is one text with all framing, fields and contents from memory in it, cut where a file goes in:
 *
 *   text  [ --b  name="purpose" ... --b  name="file"; filename= | --b-- ]
 *   segments  {0, cut}                      {file, size}          {cut, end}
 *
 * Reading walks the segments; rewinding goes to the first. A file stays open, so that a retry sends the same one. In the
 * place of a file may be a source of the caller's, whose length may be unknown, and which perhaps cannot be rewound. */
#include "form.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

void ps_form_escape(ps_buf *out, const char *s, size_t length) {
  static const char digits[] = "0123456789ABCDEF";
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)s[i];
    if (is_unreserved(c)) {
      ps_buf_char(out, s[i]);
    } else {
      ps_buf_char(out, '%');
      ps_buf_char(out, digits[c >> 4]);
      ps_buf_char(out, digits[c & 15]);
    }
  }
}

static bool is_container(const ps_value *v) { return v->type == PS_LIST || v->type == PS_MAP; }

/* The text of a scalar: "" for null. */
static const char *scalar_text(const ps_value *v, char number[24], size_t *length) {
  switch (v->type) {
    case PS_STRING:
    case PS_NUMBER: *length = v->length; return v->as.text;
    case PS_BOOL: *length = v->as.boolean ? 4 : 5; return v->as.boolean ? "true" : "false";
    case PS_INT: *length = (size_t)snprintf(number, 24, "%lld", (long long)v->as.integer); return number;
    default: *length = 0; return "";
  }
}

typedef void (*emit_fn)(void *context, const ps_buf *name, const ps_value *scalar);
typedef void (*key_fn)(ps_buf *name, const char *key, size_t length);

typedef struct {
  emit_fn emit;
  key_fn add_key; /* how a caller's key is written into a name */
  void *context;
  ps_buf name;
} walk;

/* Calls `emit` for each scalar below `v`, whose name stands in w->name; `nested`: it has one, "" even. */
static void flatten(walk *w, const ps_value *v, bool nested) {
  if (!is_container(v)) {
    w->emit(w->context, &w->name, v);
    return;
  }
  size_t outer = w->name.length;
  int64_t index = 0;
  for (const ps_value *child = ps_first(v); child; child = ps_next(child), index++) {
    if (nested) ps_buf_char(&w->name, '[');
    if (v->type == PS_MAP) w->add_key(&w->name, child->key, child->key_length);
    else ps_buf_int(&w->name, index);
    if (nested) ps_buf_char(&w->name, ']');
    flatten(w, child, true);
    w->name.length = outer;
  }
}

static void emit_pair(void *context, const ps_buf *name, const ps_value *scalar) {
  ps_buf *out = context;
  char number[24];
  size_t length;
  const char *text = scalar_text(scalar, number, &length);
  if (out->length) ps_buf_char(out, '&');
  ps_buf_add(out, name->data, name->length);
  ps_buf_char(out, '=');
  ps_form_escape(out, text, length);
}

void ps_form_encode(ps_buf *out, const ps_value *params) {
  if (!params || params->type != PS_MAP) return;
  walk w = {emit_pair, ps_form_escape, out, PS_BUF_INIT};
  flatten(&w, params, false);
  if (w.name.failed) out->failed = true;
  ps_buf_dispose(&w.name);
}

bool ps_random(void *bytes, size_t length) {
  unsigned char *p = bytes;
  while (length > 0) {
    ssize_t n = getrandom(p, length, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    length -= (size_t)n;
  }
  return true;
}

typedef struct {
  int file;              /* descriptor, or -1 */
  const ps_body *source; /* or NULL: with no file either, bytes of the text */
  size_t begin;          /* in the text */
  int64_t length;        /* -1: unknown, of a source */
} segment;

enum { BOUNDARY = 32 + 10 };

struct ps_multipart {
  ps_body body;
  ps_buf text;
  segment *segments;
  size_t count, current;
  int64_t position, passed; /* within the current segment; in those before it */
  char failure[320];
  char boundary[BOUNDARY + 1];
  char content_type[BOUNDARY + 40];
};

static bool is_text(const segment *s) { return s->file < 0 && !s->source; }

/* With neither file nor source: the text since the last one. */
static void close_segment(ps_multipart *m, int file, const ps_body *source, int64_t length) {
  segment *grown = realloc(m->segments, (m->count + 1) * sizeof *grown);
  if (!grown) {
    m->text.failed = true;
    if (file >= 0) close(file);
    return;
  }
  m->segments = grown;
  segment *last = m->count ? &m->segments[m->count - 1] : NULL;
  size_t begin = last ? last->begin + (is_text(last) ? (size_t)last->length : 0) : 0;
  if (file < 0 && !source) length = (int64_t)(m->text.length - begin);
  m->segments[m->count++] = (segment){file, source, begin, length};
}

static void close_text(ps_multipart *m) { close_segment(m, -1, NULL, 0); }

/* A name inside quotes: as browsers write it (WHATWG, multipart/form-data). */
static void add_quoted(ps_buf *out, const char *s, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (s[i] == '"') ps_buf_str(out, "%22");
    else if (s[i] == '\r') ps_buf_str(out, "%0D");
    else if (s[i] == '\n') ps_buf_str(out, "%0A");
    else ps_buf_char(out, s[i]);
  }
}

static void begin_part(ps_multipart *m, const char *name, size_t length) {
  ps_buf_format(&m->text, "--%s\r\nContent-Disposition: form-data; name=\"", m->boundary);
  add_quoted(&m->text, name, length);
  ps_buf_char(&m->text, '"');
}

static void emit_field(void *context, const ps_buf *name, const ps_value *scalar) {
  ps_multipart *m = context;
  char number[24];
  size_t length;
  const char *text = scalar_text(scalar, number, &length);
  begin_part(m, name->data, name->length);
  ps_buf_str(&m->text, "\r\n\r\n");
  ps_buf_add(&m->text, text, length);
  ps_buf_str(&m->text, "\r\n");
}

/* Opens a regular file and tells its size; -1 with `fault` set. */
static int open_file(const char *key, const char *path, int64_t *size, ps_fault *fault) {
  struct stat info;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0 || fstat(file, &info) != 0) {
    ps_fault_set(fault, PS_ERROR_USAGE, "params.%s.path: cannot read %s: %s", key, path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    ps_fault_set(fault, PS_ERROR_USAGE, "params.%s.path: %s is not a regular file", key, path);
  } else {
    *size = info.st_size;
    return file;
  }
  if (file >= 0) close(file);
  return -1;
}

/* A string that a file may have: without NUL, which would cut it short. */
static const char *file_text(const ps_value *v, const char *name, ps_fault *fault) {
  size_t length;
  const char *text = ps_strn(v, name, &length);
  if (strlen(text) != length) ps_fault_set(fault, PS_ERROR_USAGE, "params.%s.%s holds a NUL", v->key, name);
  return text;
}

static const char *file_name(const ps_value *v, const char *path, ps_fault *fault) {
  const char *given = file_text(v, "filename", fault), *slash = strrchr(path, '/');
  if (*given) return given;
  if (!*path) return "blob";
  return slash ? slash + 1 : path;
}

/* The source of a file that has neither a path nor content; NULL: there is none. */
static const ps_body *source_of(const ps_value *v, const ps_sources *sources) {
  if (!sources->feed || !ps_bool(ps_map_get(v, "feed", 4), NULL)) return sources->file;
  const ps_value *length = ps_map_get(v, "length", 6);
  sources->feed->length = ps_type(length, NULL) == PS_INT && ps_int(length, NULL) >= 0 ? ps_int(length, NULL) : -1;
  if (!ps_bool(ps_map_get(v, "rewind", 6), NULL)) sources->feed->rewind = NULL;
  return sources->feed;
}

static void add_file(ps_multipart *m, const ps_value *v, const ps_sources *sources, ps_fault *fault) {
  const ps_value *content = ps_map_get(v, "content", 7);
  const char *path = file_text(v, "path", fault), *type = file_text(v, "type", fault),
             *name = file_name(v, path, fault);
  if (fault->kind != PS_ERROR_NONE) return;
  if (content && content->type != PS_STRING) content = NULL;
  const ps_body *source = !content && !*path && sources ? source_of(v, sources) : NULL;
  if ((content != NULL) + (*path != '\0') + (source != NULL) != 1) {
    ps_fault_set(fault, PS_ERROR_USAGE,
                 "params.%s must be {path = ...}, or {content = ..., filename = ..., type = ...}, or have a reader",
                 v->key);
    return;
  }
  if (ps_has_control(type)) {
    ps_fault_set(fault, PS_ERROR_USAGE, "params.%s.type holds a control character", v->key);
    return;
  }
  int64_t size = 0;
  int file = *path ? open_file(v->key, path, &size, fault) : -1;
  if (*path && file < 0) return;
  begin_part(m, v->key, v->key_length);
  ps_buf_str(&m->text, "; filename=\"");
  add_quoted(&m->text, name, strlen(name));
  ps_buf_format(&m->text, "\"\r\nContent-Type: %s\r\n\r\n", *type ? type : "application/octet-stream");
  if (content) {
    ps_buf_add(&m->text, content->as.text, content->length);
  } else {
    close_text(m);
    close_segment(m, file, source, source ? source->length : size);
  }
  ps_buf_str(&m->text, "\r\n");
}

static ptrdiff_t fail(ps_multipart *m, const char *what, const char *why) {
  snprintf(m->failure, sizeof m->failure, "%s%s%s", what, why ? ": " : "", why ? why : "");
  return -1;
}

static const char reading[] = "the body of the request could not be read to its end";

static const char *reason_of(const ps_body *source) { return source->reason ? source->reason(source->context) : NULL; }

static ptrdiff_t read_segment(ps_multipart *m, const segment *s, char *buffer, size_t size) {
  int64_t left = s->length - m->position;
  size_t wanted = s->length < 0 || (int64_t)size < left ? size : (size_t)left;
  if (s->source) {
    ptrdiff_t got = s->source->read(s->source->context, buffer, wanted);
    if (got == 0 && s->length >= 0) return fail(m, reading, "it has fewer bytes than its length says");
    return got >= 0 || got == PS_BODY_LATER ? got : fail(m, reading, reason_of(s->source));
  }
  if (s->file < 0) {
    memcpy(buffer, m->text.data + s->begin + m->position, wanted);
    return (ptrdiff_t)wanted;
  }
  ssize_t n;
  do n = pread(s->file, buffer, wanted, m->position);
  while (n < 0 && errno == EINTR);
  return n > 0 ? n : fail(m, reading, n == 0 ? "the file has shrunk" : strerror(errno));
}

static ptrdiff_t multipart_read(void *context, char *buffer, size_t size) {
  ps_multipart *m = context;
  while (m->current < m->count && size > 0) {
    const segment *s = &m->segments[m->current];
    ptrdiff_t n = m->position == s->length ? 0 : read_segment(m, s, buffer, size);
    if (n > 0) m->position += n;
    if (n != 0) return n;
    m->passed += m->position;
    m->position = 0;
    m->current++;
  }
  return 0;
}

static bool multipart_rewind(void *context) {
  ps_multipart *m = context;
  m->current = 0;
  m->position = m->passed = 0;
  for (size_t i = 0; i < m->count; i++) {
    const ps_body *source = m->segments[i].source;
    if (!source || source->rewind(source->context)) continue;
    fail(m, "the body could not be rewound to be sent again", reason_of(source));
    return false;
  }
  return true;
}

static bool begin_multipart(ps_multipart *m, ps_fault *fault) {
  unsigned char random[16];
  if (!ps_random(random, sizeof random)) {
    ps_fault_set(fault, PS_ERROR_USAGE, "the system's random source failed");
    return false;
  }
  size_t at = (size_t)snprintf(m->boundary, sizeof m->boundary, "pinstripe-");
  for (size_t i = 0; i < sizeof random; i++) at += (size_t)snprintf(m->boundary + at, 3, "%02x", random[i]);
  snprintf(m->content_type, sizeof m->content_type, "multipart/form-data; boundary=%s", m->boundary);
  return true;
}

static void add_params(ps_multipart *m, const ps_value *params, bool (*is_file)(const void *context, const char *key),
                       const void *context, const ps_sources *sources, ps_fault *fault) {
  walk w = {emit_field, ps_buf_add, m, PS_BUF_INIT};
  for (const ps_value *v = ps_first(params); v && fault->kind == PS_ERROR_NONE; v = ps_next(v)) {
    if (is_file(context, v->key)) {
      add_file(m, v, sources, fault);
    } else {
      w.name.length = 0;
      ps_buf_add(&w.name, v->key, v->key_length);
      flatten(&w, v, true);
    }
  }
  if (w.name.failed) m->text.failed = true;
  ps_buf_dispose(&w.name);
}

ps_multipart *ps_multipart_new(const ps_value *params, bool (*is_file)(const void *context, const char *key),
                               const void *context, const ps_sources *sources, ps_fault *fault) {
  ps_multipart *m = calloc(1, sizeof *m);
  if (!m) {
    ps_fault_memory(fault);
    return NULL;
  }
  m->text = PS_BUF_INIT;
  if (begin_multipart(m, fault)) {
    add_params(m, params, is_file, context, sources, fault);
    ps_buf_format(&m->text, "--%s--\r\n", m->boundary);
    close_text(m);
  }
  if (m->text.failed) ps_fault_memory(fault);
  if (fault->kind != PS_ERROR_NONE) {
    ps_multipart_free(m);
    return NULL;
  }
  m->body = (ps_body){0, multipart_read, multipart_rewind, m, NULL};
  for (size_t i = 0; i < m->count; i++) {
    const segment *s = &m->segments[i];
    m->body.length = s->length < 0 || m->body.length < 0 ? -1 : m->body.length + s->length;
    if (s->source && !s->source->rewind) m->body.rewind = NULL;
  }
  return m;
}

const ps_body *ps_multipart_body(const ps_multipart *m) { return &m->body; }

const char *ps_multipart_failure(const ps_multipart *m) { return m ? m->failure : ""; }

int64_t ps_multipart_position(const ps_multipart *m) { return m->passed + m->position; }

const char *ps_multipart_content_type(const ps_multipart *m) { return m->content_type; }

void ps_multipart_free(ps_multipart *m) {
  if (!m) return;
  for (size_t i = 0; i < m->count; i++) {
    if (m->segments[i].file >= 0) close(m->segments[i].file);
  }
  free(m->segments);
  ps_buf_dispose(&m->text);
  free(m);
}
