/* Growable bytes. The first failure sticks: everything after it does nothing, and one look at `failed` tells. */
#ifndef PS_BUF_H
#define PS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ps_buf {
  char *data;
  size_t length, capacity;
  bool failed;
} ps_buf;

#define PS_BUF_INIT ((ps_buf){NULL, 0, 0, false})

void ps_buf_add(ps_buf *b, const char *bytes, size_t length);
void ps_buf_str(ps_buf *b, const char *s);
void ps_buf_char(ps_buf *b, char c);
void ps_buf_int(ps_buf *b, int64_t i);
void ps_buf_format(ps_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for `more` bytes beyond `length`; false: failed. */
bool ps_buf_reserve(ps_buf *b, size_t more);
/* NUL-terminated; "" if nothing was added or after a failure. Borrowed until the next change. */
const char *ps_buf_text(ps_buf *b);
/* The same text, given away: free with free(). NULL after a failure. `length` may be NULL. Leaves `b` empty. */
char *ps_buf_take(ps_buf *b, size_t *length);
void ps_buf_dispose(ps_buf *b);

/* Whether a control character is in `s`: none may be in a header. */
bool ps_has_control(const char *s);
/* Bytes up to the first that is not UTF-8 (RFC 3629: no overlong form, no surrogate, none past U+10FFFF). Strings that a
 * caller sets may hold any bytes (a file's content); what is sent as text is checked with this first. */
size_t ps_utf8_span(const char *s, size_t length);
bool ps_utf8_valid(const char *s, size_t length);

#endif
