/* Growable bytes, always with room for a NUL behind them. `failed` is the only state besides the bytes: every function
 * looks at it first, so that callers add and add and look once, at the end. Capacity doubles. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 64 };

static const size_t most = PTRDIFF_MAX / 2;

bool ps_buf_reserve(ps_buf *b, size_t more) {
  if (b->failed) return false;
  if (b->capacity > b->length && more < b->capacity - b->length) return true;
  size_t needed = b->length + more + 1, capacity = b->capacity ? b->capacity : LEAST;
  b->failed = more > most || needed > most;
  while (!b->failed && capacity < needed) capacity *= 2;
  char *data = b->failed ? NULL : realloc(b->data, capacity);
  b->failed = !data;
  if (b->failed) return false;
  b->data = data;
  b->capacity = capacity;
  return true;
}

void ps_buf_add(ps_buf *b, const char *bytes, size_t length) {
  if (length == 0 || !ps_buf_reserve(b, length)) return;
  memcpy(b->data + b->length, bytes, length);
  b->length += length;
}

void ps_buf_str(ps_buf *b, const char *s) { ps_buf_add(b, s, strlen(s)); }

void ps_buf_char(ps_buf *b, char c) {
  if (ps_buf_reserve(b, 1)) b->data[b->length++] = c;
}

void ps_buf_int(ps_buf *b, int64_t i) {
  char digits[20], *p = digits + sizeof digits;
  uint64_t rest = i < 0 ? -(uint64_t)i : (uint64_t)i;
  do {
    *--p = (char)('0' + rest % 10);
  } while (rest /= 10);
  if (i < 0) *--p = '-';
  ps_buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void ps_buf_format(ps_buf *b, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length =
    ps_buf_reserve(b, LEAST) ? vsnprintf(b->data + b->length, b->capacity - b->length, format, arguments) : -1;
  bool fits = length >= 0 && (size_t)length < b->capacity - b->length;
  if (length < 0) {
    b->failed = true;
  } else if (fits || ps_buf_reserve(b, (size_t)length)) {
    if (!fits) vsnprintf(b->data + b->length, (size_t)length + 1, format, again);
    b->length += (size_t)length;
  }
  va_end(again);
  va_end(arguments);
}

const char *ps_buf_text(ps_buf *b) {
  if (b->failed || !b->data) return "";
  b->data[b->length] = '\0';
  return b->data;
}

char *ps_buf_take(ps_buf *b, size_t *length) {
  ps_buf_reserve(b, 0);
  char *text = b->failed ? NULL : b->data;
  if (length) *length = text ? b->length : 0;
  if (text) text[b->length] = '\0';
  else free(b->data);
  *b = PS_BUF_INIT;
  return text;
}

void ps_buf_dispose(ps_buf *b) {
  free(b->data);
  *b = PS_BUF_INIT;
}

bool ps_has_control(const char *s) {
  while (*s && (unsigned char)*s >= ' ' && *s != 0x7f) s++;
  return *s != '\0';
}

/* Bytes of the well-formed character at `s` (Unicode, table 3-7), 0 if there is none. */
static size_t utf8_character(const unsigned char *s, size_t length) {
  unsigned char c = s[0], low = 0x80, high = 0xbf;
  size_t size = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
  if (size < 2 || size > length) return size > length ? 0 : size;
  if (c == 0xe0) low = 0xa0;
  if (c == 0xed) high = 0x9f;
  if (c == 0xf0) low = 0x90;
  if (c == 0xf4) high = 0x8f;
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < size; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
  }
  return size;
}

/* Bytes of ASCII at the beginning, by blocks. */
static size_t ascii_span(const char *s, size_t length) {
  size_t at = 0;
  for (uint64_t word[4]; length - at >= sizeof word; at += sizeof word) {
    memcpy(word, s + at, sizeof word);
    if ((word[0] | word[1] | word[2] | word[3]) & UINT64_C(0x8080808080808080)) break;
  }
  while (at < length && (unsigned char)s[at] < 0x80) at++;
  return at;
}

size_t ps_utf8_span(const char *s, size_t length) {
  size_t at = ascii_span(s, length), size;
  while (at < length && (size = utf8_character((const unsigned char *)s + at, length - at)) > 0) {
    at += size;
    at += ascii_span(s + at, length - at);
  }
  return at;
}

bool ps_utf8_valid(const char *s, size_t length) { return ps_utf8_span(s, length) == length; }
